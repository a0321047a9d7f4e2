"""What a subscriber has been told of one cluster, and so what is a change to it. Pure.

A stream is replayed after every doubt. Whoever follows it wants each change once: what a replay
brings again is passed over, and what it does not bring any more is withdrawn - as soon as a digest
of the cluster proves that nothing is missing in the stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from heliograph.contract.digest import fingerprint
from heliograph.contract.headers import OBSERVED_AT, TRACEPARENT, epoch_of
from heliograph.contract.messages import (
    AnyMessage,
    ClusterAnnounced,
    ClusterWithdrawn,
    MalformedMessage,
    decode,
    encode,
    is_withdrawal,
)
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject
from heliograph.imports.evidence import Evidence
from heliograph.mesh.event import Change, MeshEvent

DIGESTED: Final = (Kind.NODE, Kind.SERVICE, Kind.ENDPOINTS)
"""What the watcher publishes, and counts."""

_UNCOUNTED: Final = (Kind.LINK, Kind.REFUSAL)
"""What others publish. A cluster's own message vanishes when nobody renews it: it did not leave."""

Headers = Mapping[str, str]


class Said(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message of a stream.

    Attributes:
        subject: Its subject, as it was read.
        text: The same, as it came.
        headers: Its headers.
        payload: Its payload.
        live: Whether it came as a change, and not in a replay.
        stored_at_ns: When the bus stored it, nanoseconds since the Unix epoch, by its clock.
    """

    subject: Subject
    text: str
    headers: Headers
    payload: bytes
    live: bool
    stored_at_ns: int = 0


class ClusterView:
    """Tells the changes of one cluster.

    Attributes:
        cluster: The cluster.
    """

    def __init__(self, cluster: ClusterId, kinds: tuple[Kind, ...]) -> None:
        """Prepare.

        Args:
            cluster: The cluster.
            kinds: What is told; the cluster's own message is read in any case.
        """
        self.cluster = cluster
        self._kinds = frozenset(kinds)
        self._evidence: Evidence[Subject] = Evidence(
            cluster, tuple(kind for kind in DIGESTED if kind in self._kinds)
        )
        self._told: dict[Subject, int] = {}
        self._missing: set[Subject] = set()

    @property
    def doubtful(self) -> bool:
        """Whether two digests running did not match: the stream must be replayed."""
        return self._evidence.doubtful

    def begin_replay(self) -> None:
        """A replay of the whole stream begins: what it does not bring may be gone."""
        self._evidence.begin_replay()
        self._missing = set(self._told)

    def end_replay(self) -> Iterator[MeshEvent]:
        """The replay is over; yield what is gone, and that all has been told."""
        gone = {one for one in self._missing if one.kind in _UNCOUNTED}
        yield from self._withdraw(self._missing if self._evidence.end_replay() else gone)
        yield MeshEvent(change="synced", cluster=self.cluster)

    def take(self, said: Said) -> Iterator[MeshEvent]:
        """Yield what changes by one message.

        Raises:
            MalformedMessage: It cannot be read. What it is about is there, unchanged.
            StaleEpoch: A newer incarnation of the publisher has spoken already.
        """
        subject = said.subject
        self._missing.discard(subject)
        message = self._decode(said)
        if message is None:
            return
        if isinstance(message, ClusterWithdrawn):
            self._evidence.depart(epoch_of(said.headers) or 0)
            yield from self._withdraw(self._told.keys() - {subject})
        if subject.kind in self._kinds and (event := self._tell(said, message)) is not None:
            yield event
        if isinstance(message, ClusterAnnounced) and self._evidence.hear(message):
            yield from self._withdraw(self._missing)

    def _decode(self, said: Said) -> AnyMessage | None:
        """Return a message that counts; None for one that does not."""
        subject, epoch = said.subject, epoch_of(said.headers) or 0
        mark = fingerprint(said.text, said.payload)
        try:
            message = decode(subject, said.payload)
        except MalformedMessage:  # of a newer watcher, whose digest has it
            self._count(subject, epoch, mark, None)
            raise
        live = None if is_withdrawal(message) else mark
        return message if self._count(subject, epoch, live, message) else None

    def _count(
        self, subject: Subject, epoch: int, mark: int | None, message: AnyMessage | None
    ) -> bool:
        if subject.kind not in DIGESTED:
            return True
        heeded = self._evidence.heeds(epoch, message)
        if heeded and subject.kind in self._kinds:
            self._evidence.count(subject.kind, subject, mark)
        return heeded

    def _tell(self, said: Said, message: AnyMessage) -> MeshEvent | None:
        subject, headers = said.subject, said.headers
        before, now = self._told.get(subject), _mark(said.text, message)
        if before == now:
            return None
        if now is None:
            del self._told[subject]
        else:
            self._told[subject] = now
        change: Change = "withdrawn" if now is None else "added" if before is None else "modified"
        return MeshEvent(
            change=change,
            cluster=self.cluster,
            kind=subject.kind,
            namespace=subject.namespace,
            name=subject.name,
            data=None if now is None else message,
            live=said.live,
            id=headers.get("ce-id", ""),
            time=headers.get(OBSERVED_AT, ""),
            stored_at_ns=said.stored_at_ns,
            traceparent=headers.get(TRACEPARENT, ""),
        )

    def _withdraw(self, subjects: set[Subject]) -> Iterator[MeshEvent]:
        for subject in sorted(subjects & self._told.keys(), key=str):
            del self._told[subject]
            yield MeshEvent(
                change="withdrawn",
                cluster=self.cluster,
                kind=subject.kind,
                namespace=subject.namespace,
                name=subject.name,
            )
        self._missing -= subjects


def _mark(subject: str, message: AnyMessage) -> int | None:
    """Return what tells states apart; None if it is withdrawn.

    A cluster announces itself every few seconds, with digests that change with all that it has:
    neither is a change of the cluster.
    """
    if is_withdrawal(message):
        return None
    if isinstance(message, ClusterAnnounced):
        message = msgspec.structs.replace(message, digests=None)
    return fingerprint(subject, encode(message))
