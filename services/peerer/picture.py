"""What a cluster's Kilo Peers should be and are, and the plan from it. Pure."""

from __future__ import annotations

import msgspec
from typing_extensions import override

from heliograph.contract.names import ClusterId
from heliograph.kilo.peer import Peer, PeerSpec
from services.peerer.desired import DesiredPeers, desire_peers
from services.peerer.neighbourhood import Neighbourhood
from services.peerer.operations import Plan
from services.peerer.own import OwnPeers, segment_of
from services.peerer.plan import plan_peers, trim_refused
from services.peerer.refusal import Refusal, Where, rejected, unresolvable
from services.peerer.settings import PeererSettings


class _Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """What an API server did not take, and what it said."""

    spec: PeerSpec
    refusal: Refusal


class Picture(Neighbourhood):
    """What the Peers of one importing cluster are planned from.

    Attributes:
        own: Its Peers.
        absent: Whether the importing cluster has no kind Peer.
        resolvable: DNS names that resolve in the importing cluster; None if that is not asked. One
            name that does not stops Kilo's agents on all nodes, so such a Peer is not written.
    """

    @override
    def __init__(self, importing: ClusterId, settings: PeererSettings) -> None:
        super().__init__(importing, settings)
        self.own = OwnPeers()
        self.absent = False
        self.resolvable: frozenset[str] | None = None
        self._rejected: dict[ClusterId, dict[str, _Rejection]] = {}
        self._desired: dict[ClusterId, DesiredPeers | None] = {}

    @override
    def exporting(self) -> set[ClusterId]:
        """Return the clusters of which Peers are, or may have to be."""
        return (self.own.exporting() | set(self.tables)) - {self.importing}

    @override
    def changed(self) -> None:
        """Something that plans of all clusters may depend on has changed."""
        super().changed()
        self._desired.clear()

    def plan(self, exporting: ClusterId) -> Plan:
        """Return what to do about the Peers of one cluster now."""
        if self.is_gone(exporting):
            return plan_peers(DesiredPeers(exporting=exporting, peers=()), self.own, self.importing)
        if exporting in self.decision.refused:
            plan = trim_refused(self.own, exporting, self.others_addresses(exporting))
            return msgspec.structs.replace(plan, refusals=(self.not_admitted(exporting),))
        desired = self.desired(exporting)
        if desired is None:
            return Plan()  # not heard, or not heard whole: what stands, stands
        refused = {**self._still_rejected(desired), **self._unresolved(desired)}
        specs = {segment: rejection.spec for segment, rejection in refused.items()}
        plan = plan_peers(desired, self.own, self.importing, specs)
        answers = tuple(rejection.refusal for rejection in refused.values())
        return msgspec.structs.replace(plan, refusals=plan.refusals + answers)

    def reject(self, exporting: ClusterId, peer: Peer, answer: str) -> None:
        """Take that the API server does not take a Peer as it should be."""
        desired, segment = self.desired(exporting), segment_of(peer)
        for one in (desired.peers if desired else None) or ():
            if one.segment == segment:
                where = Where(importing=self.importing, exporting=exporting, node=one.leader)
                refusal = rejected(where, peer.metadata.name, answer)
                found = _Rejection(spec=one.spec, refusal=refusal)
                self._rejected.setdefault(exporting, {})[segment] = found

    def forget_rejections(self) -> set[ClusterId]:
        """Let everything be tried again that was not taken; return whose Peers these are."""
        concerned = set(self._rejected)
        self._rejected.clear()
        return concerned

    def _unresolved(self, desired: DesiredPeers) -> dict[str, _Rejection]:
        """Return the Peers whose endpoint has a name that does not resolve here."""
        found: dict[str, _Rejection] = {}
        for peer in desired.peers or ():
            host = peer.spec.endpoint.dns_or_ip.dns if peer.spec.endpoint else None
            if host and self.resolvable is not None and host not in self.resolvable:
                where = Where(
                    importing=self.importing, exporting=desired.exporting, node=peer.leader
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

    def desired(self, exporting: ClusterId) -> DesiredPeers | None:
        """Return the Peers that should be of a cluster; None while that cannot be told.

        Kept until `changed`: a change of one node is followed by several plans.
        """
        if exporting not in self._desired:
            self._desired[exporting] = self._desire(exporting)
        return self._desired[exporting]

    def _desire(self, exporting: ClusterId) -> DesiredPeers | None:
        neighbour = self.neighbour(exporting)
        return None if neighbour is None else desire_peers(neighbour, self.here())
