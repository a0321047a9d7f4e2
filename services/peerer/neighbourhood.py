"""What is known of other clusters' nodes and of the own one, whoever sets the peers. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from heliograph.admission.declaration import Decision, Declaration, declaration_of
from heliograph.admission.explain import REASON, explain
from heliograph.admission.overlaps import declared_spans
from heliograph.admission.policy import RangePolicy
from heliograph.admission.spans import Spans, joined, spans_of
from heliograph.contract.messages import NodeAnnounced
from heliograph.contract.names import ClusterId
from heliograph.membership.record import Membership
from heliograph.wireguard.notation import endpoint_name
from services.peerer.book import Book, make_book
from services.peerer.judging import Here, Neighbour, make_here
from services.peerer.refusal import Refusal, cluster_refusal
from services.peerer.settings import PeererSettings
from services.peerer.table import NodeTable


class Neighbourhood:
    """What the peers of one importing cluster are decided from.

    Attributes:
        importing: Its id.
        tables: The nodes of every cluster, its own included.
        membership: What people decided about the ClusterSet.
        decision: Which clusters are admitted.
        declared: The importing cluster's own ranges; None while they are not known.
        own_nodes: Its nodes, as its API server had them at the start; what its watcher says of
            them counts once all was heard.
        policy: Which ranges are admitted at all.
    """

    def __init__(self, importing: ClusterId, settings: PeererSettings) -> None:
        self.importing = importing
        self.tables: dict[ClusterId, NodeTable] = {}
        self.membership = Membership()
        self.decision = Decision()
        self.declared: Declaration | None = None
        self.own_nodes: Mapping[str, NodeAnnounced] = {}
        self.policy = RangePolicy(settings.admitted_ranges)
        self._import_from = frozenset(e.partition("=")[0] for e in settings.import_from)
        self._here: Here | None = None
        self._hosts: frozenset[str] | None = None

    @property
    def complete(self) -> bool:
        """Whether every cluster that is peered with has said all its nodes."""
        return all(self.tables[c].known for c in self.tables if self.peers_with(c))

    def heard(self, exporting: ClusterId) -> bool:
        """Tell whether a cluster has said all its nodes."""
        table = self.tables.get(exporting)
        return table is not None and table.known

    def exporting(self) -> set[ClusterId]:
        """Return the clusters with which there are peers, or may have to be."""
        return set(self.tables) - {self.importing}

    def listed(self, exporting: ClusterId) -> bool:
        """Tell whether a cluster is one of those to peer with, by the settings."""
        return not self._import_from or exporting in self._import_from

    def peers_with(self, exporting: ClusterId) -> bool:
        """Tell whether a cluster is one to peer with, as whoever runs this one has decided."""
        member = not self.membership.left and exporting not in self.membership.forgotten
        return member and exporting != self.importing and self.listed(exporting)

    def is_gone(self, exporting: ClusterId) -> bool:
        """Tell whether a cluster left, or people want nothing from it (any more)."""
        if not self.peers_with(exporting):
            return True
        table = self.tables.get(exporting)
        if table is None:
            return exporting in self.membership.departed
        return table.left_at is not None

    def changed(self) -> None:
        """Something that the peers of all clusters may depend on has changed."""
        self._here = self._hosts = None

    def contested(self) -> frozenset[ClusterId]:
        """Return the clusters with nodes whose key or address another node announces too."""
        return self._book().contested

    def declaration(self, cluster: ClusterId) -> Declaration | None:
        """Return the ranges that a cluster declares; None while it has not."""
        table = self.tables.get(cluster)
        message = table.announced if table else None
        return declaration_of(cluster, message) if message else None

    def neighbour(self, exporting: ClusterId) -> Neighbour | None:
        """Return a cluster that is admitted; None while that, or what it says, is not known."""
        table, declaration = self.tables.get(exporting), self.declaration(exporting)
        if table is None or declaration is None or not table.known:
            return None
        if exporting not in self.decision.admitted:
            return None
        return Neighbour(declaration=declaration, nodes=table.nodes)

    def here(self) -> Here:
        """Return the importing cluster, as far as it decides about peers."""
        if self._here is None:
            book = make_book((name, self.nodes(name)) for name in self._by_right())
            self._here = make_here(self.importing, self.policy, self._ranges(), book)
        return self._here

    def hosts(self) -> frozenset[str]:
        """Return the DNS names among the endpoints of nodes that are peered with."""
        if self._hosts is None:
            nodes = (node for c in self.decision.admitted for node in self.nodes(c).values())
            names = (endpoint_name(node.endpoint) for node in nodes)
            self._hosts = frozenset(name for name in names if name)
        return self._hosts

    def nodes(self, cluster: ClusterId) -> Mapping[str, NodeAnnounced]:
        """Return the nodes of a cluster, as far as they are all known."""
        table = self.tables.get(cluster)
        if table is not None and table.known:
            return table.nodes
        return self.own_nodes if cluster == self.importing else {}

    def not_admitted(self, exporting: ClusterId) -> Refusal:
        """Return why a cluster is refused as a whole."""
        return cluster_refusal(
            exporting,
            REASON,
            explain(self.importing, self.decision.refused[exporting]),
        )

    def others_addresses(self, exporting: ClusterId) -> Spans:
        """Return the addresses because of which a cluster is refused."""
        overlaps = self.decision.refused[exporting]
        return spans_of(tuple(overlap.with_cidr for overlap in overlaps))

    def _book(self) -> Book:
        return self.here().book

    def _by_right(self) -> list[ClusterId]:
        """Return the clusters that have said their nodes, those with the better right first."""
        known = (c for c in self._ranked() if c in self.tables and self.tables[c].known)
        return [self.importing, *(c for c in known if self.peers_with(c))]

    def _ranked(self) -> list[ClusterId]:
        """Return the admitted clusters, those with the better right first."""
        record = self.decision.record
        return sorted(
            self.decision.admitted, key=lambda c: (record[c].since if c in record else "~", c)
        )

    def _ranges(self) -> dict[ClusterId, Spans]:
        """Return what this cluster and the admitted ones declare, up to each of these."""
        taken = declared_spans(self.declared) if self.declared else ()
        found = {self.importing: taken}
        for cluster in self._ranked():
            if (declaration := self.declaration(cluster)) is not None:
                taken = joined((*taken, *declared_spans(self.policy.limit(declaration))))
                found[cluster] = taken
        return found
