"""Keeps which clusters one importing cluster takes part with, and the record of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final

import structlog

from heliograph.admission.decide import decide, dropped, merged
from heliograph.admission.declaration import Admitted, Decision, Declaration
from heliograph.admission.overlaps import declared_spans
from heliograph.admission.policy import RangePolicy
from heliograph.admission.spans import meet, spans_of
from heliograph.clock import now_ns, rfc3339
from heliograph.contract.names import ClusterId
from heliograph.errors import HeliographError
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import AlreadyExists, Conflict, NotFound
from heliograph.kube.node_ranges import pod_cidrs_of
from heliograph.kube.objects import NODES, SERVICE_CIDRS, Node
from heliograph.membership.configmap import current_version, write_unless_changed
from heliograph.membership.record import ADMITTED, NAME, Membership, admitted_text, entry_of
from heliograph.nodes import peer_facts
from heliograph.ranges import canonical, join_ranges

_AGAIN_S: Final = 30.0
_ATTEMPTS: Final = 10
Record = Mapping[ClusterId, Admitted]
_log = structlog.get_logger()


class Admissions:
    """The decision of one importing cluster, made anew whenever anything that matters changes.

    Several programs of a cluster do this at the same time. Each writes only into the version of the
    record that it has read, and what is kept already wins; so all end with one decision.

    Attributes:
        decision: Who takes part now; nobody until own ranges and record are known.
        known: Set once both are.
        settled: Set while the record is written, or cannot be for a while.
        records: Whether the record is kept here. Else others keep it, and only clusters that are
            in it count: about new ones they may decide otherwise.
    """

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        cluster: ClusterId,
        *,
        policy: RangePolicy,
        changed: Callable[[Decision], None],
        clock: Callable[[], int] = now_ns,
    ) -> None:
        """Prepare.

        Args:
            client: The own cluster.
            namespace: Where the ConfigMap with the record is.
            cluster: The own cluster's id.
            policy: Which ranges of others are admitted at all; the rest does not count.
            changed: Hears of every decision that differs from the one before.
            clock: Nanoseconds since the Unix epoch.
        """
        self._client, self._namespace, self._cluster = client, namespace, cluster
        self._policy, self._changed, self._clock = policy, changed, clock
        self.records = True
        self._own: Declaration | None = None
        self._heard: dict[ClusterId, Declaration] = {}
        self._membership: Membership | None = None
        self._left: set[ClusterId] = set()
        self._ours: Record = {}  # decided here, and not seen in the record yet
        self._due = asyncio.Event()
        self._complaint = ""
        self.decision = Decision()
        self.known, self.settled = asyncio.Event(), asyncio.Event()
        self.settled.set()

    def put(self, declaration: Declaration) -> None:
        """Take what a cluster declares; that of the own cluster stands for its own ranges."""
        cluster = declaration.cluster
        if cluster != self._cluster:
            declaration = self._policy.limit(declaration)
        if declaration == (self._own if cluster == self._cluster else self._heard.get(cluster)):
            return
        if cluster == self._cluster:
            self._own = declaration
        else:
            self._heard[cluster] = declaration
            self._left.discard(cluster)
        self._decide_anew()

    def drop(self, cluster: ClusterId) -> None:
        """Take that a cluster has left for good: its ranges are free."""
        if cluster != self._cluster:
            self._heard.pop(cluster, None)
            self._left.add(cluster)
            self._decide_anew()

    def follow(self, membership: Membership) -> None:
        """Take what is kept in the ConfigMap: the record, and who has left or is forgotten."""
        self._membership = membership
        self._decide_anew()

    def contradicts(self, own: Declaration) -> bool:
        """Tell whether own ranges would take the place of a cluster that was admitted before."""
        entries = self._membership.admitted.values() if self._membership else ()
        return any(meet(declared_spans(own), spans_of(entry.ranges)) for entry in entries)

    async def run(self) -> None:
        """Keep the record in the ConfigMap, for ever; it is written only where it changes."""
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._write()
            except HeliographError as error:
                self._complain(str(error))
                self.settled.set()
                await asyncio.sleep(_AGAIN_S)
                self._due.set()
            else:
                self._complaint = ""
                if not self._due.is_set():
                    self.settled.set()

    def _decide_anew(self) -> None:
        if self._own is None or self._membership is None:
            return
        before, self.decision = self.decision, self._decide(self._membership)
        self.known.set()
        stored = self._membership.admitted
        record = self.decision.record
        self._ours = {c: entry for c, entry in record.items() if stored.get(c) != entry}
        if self.records and _changes(stored, record):
            self._due.set()
            if not self._complaint:
                self.settled.clear()
        if (before.admitted, before.refused) != (self.decision.admitted, self.decision.refused):
            self._changed(self.decision)

    def _decide(self, membership: Membership) -> Decision:
        """Decide from a record; nothing is taken from clusters that left or are forgotten."""
        gone = self._left | membership.forgotten | (membership.departed.keys() - self._heard.keys())
        record: Record = merged(membership.admitted, self._ours)
        for cluster in gone & record.keys():
            record = dropped(record, cluster)
        counts = self._heard.keys() if self.records else membership.admitted.keys()
        heard = (self._heard[name] for name in self._heard if name in counts and name not in gone)
        return decide(self._own, heard, record, rfc3339(self._clock()))

    async def _write(self) -> None:
        """Write what differs, decided from the record as it is now."""
        for _ in range(_ATTEMPTS):
            membership, version = await current_version(self._client, self._namespace)
            changes = _changes(membership.admitted, self._decide(membership).record)
            if not changes:
                return
            with suppress(Conflict, AlreadyExists):
                await write_unless_changed(self._client, self._namespace, changes, version)
                return
        self._due.set()

    def _complain(self, error: str) -> None:
        """Say once that the record is only remembered: a restart may decide otherwise."""
        if error != self._complaint:
            self._complaint = error
            where = f"ConfigMap {self._namespace}/{NAME}"
            _log.info("who was admitted is not written down", where=where, error=error)


def decide_now(
    own: Declaration | None,
    others: Iterable[Declaration],
    membership: Membership,
    policy: RangePolicy,
) -> Decision:
    """Decide who would take part now, and write nothing down: for looks ahead."""
    limited = (policy.limit(other) for other in others)
    return decide(own, limited, membership.admitted, rfc3339(now_ns()))


async def own_declaration(client: KubeClient, cluster: ClusterId) -> Declaration:
    """Return the ranges of a cluster, as its API server has them now.

    What its watcher announces replaces them, since that heeds settings too.
    """
    nodes = (await client.list(NODES)).items
    pod_cidrs, tunnel_cidrs = set[str](), set[str]()
    for node in nodes:
        pod_cidrs.update(pod_cidrs_of(node))
        tunnel_cidrs.update(_tunnel_cidrs_of(node))
    return Declaration(
        cluster=cluster,
        service_cidrs=await _service_cidrs(client),
        pod_cidrs=join_ranges(pod_cidrs),
        tunnel_cidrs=join_ranges(tunnel_cidrs),
    )


def _tunnel_cidrs_of(node: Node) -> tuple[str, ...]:
    """Return the range of tunnel addresses as the node states it."""
    facts = peer_facts(node)
    cidr = canonical(facts.tunnel_ip) if facts and facts.tunnel_ip else None
    return (cidr,) if cidr else ()


async def _service_cidrs(client: KubeClient) -> tuple[str, ...]:
    """Return the ranges of cluster IPs; none where the API server does not know ServiceCIDRs."""
    try:
        found = (await client.list(SERVICE_CIDRS)).items
    except NotFound:
        return ()
    cidrs = (canonical(cidr) for item in found for cidr in item.spec.cidrs)
    return join_ranges(filter(None, cidrs))


def _changes(stored: Record, wanted: Record) -> dict[str, str | None]:
    """Return the entries of the ConfigMap that are to be set, or (None) removed."""
    changes: dict[str, str | None] = {
        entry_of(ADMITTED, cluster): None for cluster in stored.keys() - wanted.keys()
    }
    for cluster, entry in wanted.items():
        if stored.get(cluster) != entry:
            changes[entry_of(ADMITTED, cluster)] = admitted_text(entry)
    return changes
