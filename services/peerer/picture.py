"""All that is known of other clusters' nodes and of the own cluster, and the plan from it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from heliograph.admission.declaration import Decision, Declaration, declaration_of
from heliograph.admission.explain import REASON, explain
from heliograph.admission.overlaps import declared_spans
from heliograph.admission.policy import RangePolicy
from heliograph.admission.spans import Spans, joined, spans_of
from heliograph.contract.messages import NodeAnnounced
from heliograph.contract.names import ClusterId
from heliograph.kilo.peer import Peer, PeerSpec
from heliograph.membership.record import Membership
from heliograph.wireguard.notation import endpoint_name
from services.peerer.book import Book, make_book
from services.peerer.desired import DesiredPeers, desire_peers
from services.peerer.nodes import Here, Neighbour
from services.peerer.operations import Plan
from services.peerer.own import OwnPeers, segment_of
from services.peerer.plan import plan_peers, trim_refused
from services.peerer.refusal import Refusal, Where, rejected, unresolvable
from services.peerer.settings import PeererSettings
from services.peerer.table import NodeTable


class _Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """What an API server did not take, and what it said."""

    spec: PeerSpec
    refusal: Refusal


class Picture:
    """What the plans of one importing cluster are made from.

    Attributes:
        own: Its Peers.
        tables: The nodes of every cluster, its own included.
        membership: What people decided about the ClusterSet.
        decision: Which clusters are admitted.
        declared: The importing cluster's own ranges; None while they are not known.
        own_nodes: Its nodes, as its API server had them at the start; what its watcher says of
            them counts once all was heard.
        absent: Whether the importing cluster has no kind Peer.
        policy: Which ranges are admitted at all.
        resolvable: DNS names that resolve in the importing cluster; None if that is not asked. One
            name that does not stops Kilo's agents on all nodes, so such a Peer is not written.
    """

    def __init__(self, importing: ClusterId, settings: PeererSettings) -> None:
        self.own = OwnPeers()
        self.tables: dict[ClusterId, NodeTable] = {}
        self.membership = Membership()
        self.decision = Decision()
        self.declared: Declaration | None = None
        self.own_nodes: Mapping[str, NodeAnnounced] = {}
        self.absent = False
        self.resolvable: frozenset[str] | None = None
        self._importing = importing
        self.policy = RangePolicy(settings.admitted_ranges)
        self._import_from = frozenset(e.partition("=")[0] for e in settings.import_from)
        self._rejected: dict[ClusterId, dict[str, _Rejection]] = {}
        self._here: Here | None = None
        self._hosts: frozenset[str] | None = None
        self._desired: dict[ClusterId, DesiredPeers | None] = {}

    def exporting(self) -> set[ClusterId]:
        """Return the clusters of which Peers are, or may have to be."""
        return (self.own.exporting() | set(self.tables)) - {self._importing}

    @property
    def complete(self) -> bool:
        """Whether every cluster that is peered with has said all its nodes."""
        return all(self.tables[c].known for c in self.tables if self.peers_with(c))

    def listed(self, exporting: ClusterId) -> bool:
        """Tell whether a cluster is one of those to peer with, by the settings."""
        return not self._import_from or exporting in self._import_from

    def peers_with(self, exporting: ClusterId) -> bool:
        """Tell whether a cluster is one to peer with, as whoever runs this one has decided."""
        member = not self.membership.left and exporting not in self.membership.forgotten
        return member and exporting != self._importing and self.listed(exporting)

    def changed(self) -> None:
        """Something that plans of all clusters may depend on has changed."""
        self._here = self._hosts = None
        self._desired.clear()

    def contested(self) -> frozenset[ClusterId]:
        """Return the clusters with nodes whose key or address another node announces too."""
        return self._book().contested

    def plan(self, exporting: ClusterId) -> Plan:
        """Return what to do about the Peers of one cluster now."""
        if self._is_gone(exporting):
            return plan_peers(
                DesiredPeers(exporting=exporting, peers=()), self.own, self._importing
            )
        if exporting in self.decision.refused:
            plan = trim_refused(self.own, exporting, self._others_addresses(exporting))
            return msgspec.structs.replace(plan, refusals=(self._not_admitted(exporting),))
        desired = self.desired(exporting)
        if desired is None:
            return Plan()  # not heard, or not heard whole: what stands, stands
        refused = {**self._still_rejected(desired), **self._unresolved(desired)}
        specs = {segment: rejection.spec for segment, rejection in refused.items()}
        plan = plan_peers(desired, self.own, self._importing, specs)
        answers = tuple(rejection.refusal for rejection in refused.values())
        return msgspec.structs.replace(plan, refusals=plan.refusals + answers)

    def reject(self, exporting: ClusterId, peer: Peer, answer: str) -> None:
        """Take that the API server does not take a Peer as it should be."""
        desired, segment = self.desired(exporting), segment_of(peer)
        for one in (desired.peers if desired else None) or ():
            if one.segment == segment:
                where = Where(importing=self._importing, exporting=exporting, node=one.leader)
                refusal = rejected(where, peer.metadata.name, answer)
                found = _Rejection(spec=one.spec, refusal=refusal)
                self._rejected.setdefault(exporting, {})[segment] = found

    def forget_rejections(self) -> set[ClusterId]:
        """Let everything be tried again that was not taken; return whose Peers these are."""
        concerned = set(self._rejected)
        self._rejected.clear()
        return concerned

    def hosts(self) -> frozenset[str]:
        """Return the DNS names among the endpoints of nodes that are peered with."""
        if self._hosts is None:
            nodes = (node for c in self.decision.admitted for node in self._nodes(c).values())
            names = (endpoint_name(node.endpoint) for node in nodes)
            self._hosts = frozenset(name for name in names if name)
        return self._hosts

    def _unresolved(self, desired: DesiredPeers) -> dict[str, _Rejection]:
        """Return the Peers whose endpoint has a name that does not resolve here."""
        found: dict[str, _Rejection] = {}
        for peer in desired.peers or ():
            host = peer.spec.endpoint.dns_or_ip.dns if peer.spec.endpoint else None
            if host and self.resolvable is not None and host not in self.resolvable:
                where = Where(
                    importing=self._importing, exporting=desired.exporting, node=peer.leader
                )
                refusal = unresolvable(where, host)
                found[peer.segment] = _Rejection(spec=peer.spec, refusal=refusal)
        return found

    def _still_rejected(self, desired: DesiredPeers) -> dict[str, _Rejection]:
        """Return what was rejected and is still to be as it was; forget the rest."""
        known = self._rejected.pop(desired.exporting, {})
        specs = {peer.segment: peer.spec for peer in desired.peers or ()}
        still = {s: one for s, one in known.items() if specs.get(s) == one.spec}
        if still:
            self._rejected[desired.exporting] = still
        return still

    def _not_admitted(self, exporting: ClusterId) -> Refusal:
        return Refusal(
            exporting=exporting,
            kind="cluster",
            name=exporting,
            reason=REASON,
            message=explain(self._importing, self.decision.refused[exporting]),
        )

    def _is_gone(self, exporting: ClusterId) -> bool:
        """Tell whether a cluster left, or people want nothing from it (any more)."""
        if not self.peers_with(exporting):
            return True
        table = self.tables.get(exporting)
        if table is None:
            return exporting in self.membership.departed
        return table.left_at is not None

    def desired(self, exporting: ClusterId) -> DesiredPeers | None:
        """Return the Peers that should be of a cluster; None while that cannot be told.

        Kept until `changed`: a change of one node is followed by several plans.
        """
        if exporting not in self._desired:
            self._desired[exporting] = self._desire(exporting)
        return self._desired[exporting]

    def _desire(self, exporting: ClusterId) -> DesiredPeers | None:
        table = self.tables.get(exporting)
        declaration = self.declaration(exporting)
        if table is None or declaration is None or not table.known:
            return None
        if exporting not in self.decision.admitted:
            return None
        neighbour = Neighbour(declaration=declaration, nodes=table.nodes)
        return desire_peers(neighbour, self._surroundings())

    def _surroundings(self) -> Here:
        if self._here is None:
            self._here = Here(
                cluster=self._importing,
                policy=self.policy,
                taken=self._taken(),
                book=make_book((name, self._nodes(name)) for name in self._by_right()),
            )
        return self._here

    def _book(self) -> Book:
        return self._surroundings().book

    def _by_right(self) -> list[ClusterId]:
        """Return the clusters that have said their nodes, those with the better right first."""
        record = self.decision.record
        known = (c for c, table in self.tables.items() if table.known)
        admitted = (c for c in known if c in self.decision.admitted)
        ranked = sorted(admitted, key=lambda c: (record[c].since if c in record else "~", c))
        return [self._importing, *(c for c in ranked if self.peers_with(c))]

    def _nodes(self, cluster: ClusterId) -> Mapping[str, NodeAnnounced]:
        table = self.tables.get(cluster)
        if table is not None and table.known:
            return table.nodes
        return self.own_nodes if cluster == self._importing else {}

    def _taken(self) -> Spans:
        """Return all addresses that this cluster and the admitted ones declare."""
        declared = (self.declaration(cluster) for cluster in self.decision.admitted)
        others = (self.policy.limit(one) for one in declared if one is not None)
        known = (one for one in (self.declared, *others) if one is not None)
        return joined(span for one in known for span in declared_spans(one))

    def declaration(self, cluster: ClusterId) -> Declaration | None:
        """Return the ranges that a cluster declares; None while it has not."""
        table = self.tables.get(cluster)
        message = table.announced if table else None
        return declaration_of(cluster, message) if message else None

    def _others_addresses(self, exporting: ClusterId) -> Spans:
        """Return the addresses because of which a cluster is refused."""
        overlaps = self.decision.refused[exporting]
        return spans_of(tuple(overlap.with_cidr for overlap in overlaps))
