"""What a cluster's stream proves: that all of it was heard, that something is gone. Pure.

Everything is rebuilt from the replay of the stream; a replay proves what is absent only when a
digest of the exporting cluster confirms it. So an empty, half-filled or lost stream proves nothing.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from heliograph.contract.digest import LiveSet
from heliograph.contract.messages import AnyMessage, ClusterAnnounced
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind
from heliograph.errors import RetryableError

K = TypeVar("K", bound=Hashable)

_MISMATCHES_TO_DOUBT: Final = 2


class StaleEpoch(RetryableError):
    """A message of an earlier incarnation of the exporting cluster's watcher."""

    def __init__(self, cluster: ClusterId, epoch: int, newest: int) -> None:
        super().__init__(
            f"a message of incarnation {epoch} of cluster {cluster}'s watcher came after one of "
            f"{newest}, and is passed over; do two watchers run for that cluster?"
        )


class Evidence(Generic[K]):
    """The account of one cluster's stream, as far as some kinds of messages go.

    `K` stands for a message's subject, as its owner keeps it anyway.

    Attributes:
        left_at: Epoch at which the cluster said that it left the ClusterSet; None while it has
            not. Nothing that it published before counts, wherever it comes from.
        epoch: The newest incarnation of the publisher that was heard in this replay.
        replaying: Whether the stream is being read from its beginning.
    """

    def __init__(
        self, cluster: ClusterId, kinds: tuple[Kind, ...], *, left_at: int | None = None
    ) -> None:
        self.left_at, self.epoch, self.replaying = left_at, 0, True
        self._cluster, self._kinds = cluster, kinds
        self._confirmed = False
        self._candidate: ClusterAnnounced | None = None
        self._mismatches = 0
        self._live: dict[Kind, LiveSet[K]] = {}
        self.forget()

    def forget(self) -> None:
        """Know no message."""
        self._live = {kind: LiveSet() for kind in self._kinds}

    @property
    def complete(self) -> bool:
        """Whether what is absent is gone, by a whole replay that a digest confirmed."""
        return self._confirmed or self.left_at is not None

    @property
    def doubtful(self) -> bool:
        """Whether two digests running did not match: the stream must be replayed."""
        return self._mismatches >= _MISMATCHES_TO_DOUBT

    def begin_replay(self) -> None:
        """A replay of the whole stream begins."""
        self.forget()
        self.replaying, self._candidate = True, None
        self._mismatches = 0
        self._confirmed = False
        self.epoch = 0

    def end_replay(self) -> bool:
        """The replay is over; return whether a digest that came with it confirms it."""
        self.replaying = False
        return self._candidate is not None and self._confirm(self._candidate)

    def heeds(self, epoch: int, message: AnyMessage | None = None) -> bool:
        """Tell whether a message counts; None is one that cannot be read.

        What cannot be read makes nothing else stale: it may not be of the publisher at all.

        Raises:
            StaleEpoch: A newer incarnation of the publisher has spoken already.
        """
        if self._precedes_departure(epoch, message):
            return False
        if epoch < self.epoch:
            self._candidate = None  # it stands in the place of something that came after
            raise StaleEpoch(self._cluster, epoch, self.epoch)
        if message is not None:
            self.epoch = epoch
        return True

    def count(self, kind: Kind, place: K, fingerprint: int | None) -> None:
        """Take into account that a message is live, or (None) that it is withdrawn."""
        self._candidate = None
        if fingerprint is None:
            self._live[kind].drop(place)
        else:
            self._live[kind].put(place, fingerprint)

    def hear(self, message: ClusterAnnounced) -> bool:
        """Take the cluster's own message; return whether it confirms all that was heard.

        During a replay it is kept for the end: what it confirms may not all have come yet. A
        cluster that had left is back, and a replay brings what was passed over meanwhile.
        """
        if self.left_at is not None:
            self.left_at = None
            self._mismatches = _MISMATCHES_TO_DOUBT
        if self.replaying:
            self._candidate = message
            return False
        return self._confirm(message)

    def depart(self, epoch: int) -> None:
        """The cluster has left: that is evidence about everything, until a newer incarnation."""
        self.left_at = epoch if self.left_at is None else self.left_at
        self.forget()

    def _confirm(self, message: ClusterAnnounced) -> bool:
        """Compare digests."""
        if message.digests is None:
            return False
        if any(message.digests.get(kind) != self._live[kind].digest() for kind in self._kinds):
            self._mismatches += 1
            return False
        self._mismatches = 0
        self._confirmed = True
        return True

    def _precedes_departure(self, epoch: int, message: AnyMessage | None) -> bool:
        """Tell whether a message was published before the cluster left; so it means nothing now.

        Whoever leaves is a new incarnation, and so is whoever comes back.
        """
        if self.left_at is None:
            return False
        return epoch < self.left_at or (
            epoch == self.left_at and isinstance(message, ClusterAnnounced)
        )
