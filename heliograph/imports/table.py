"""What a program keeps of one cluster, as its messages and what these prove say. Pure."""

from __future__ import annotations

import abc
from collections.abc import Hashable
from typing import Generic, TypeVar

from heliograph.contract.messages import AnyMessage, ClusterAnnounced
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject
from heliograph.imports.evidence import Evidence

K = TypeVar("K", bound=Hashable)


class Table(abc.ABC, Generic[K]):
    """What is kept of one cluster, by things `K` such as Services.

    Attributes:
        name: What is kept, as a metric's label.
        cluster: The cluster.
        kinds: What is consumed beside the cluster's own message.
        announced: Its own message; None until one came.
        evidence: What its stream proves.
    """

    name: str
    kinds: tuple[Kind, ...]

    def __init__(self, cluster: ClusterId, *, left_at: int | None = None) -> None:
        self.cluster = cluster
        self.announced: ClusterAnnounced | None = None
        self.evidence: Evidence[K] = Evidence(cluster, self.kinds, left_at=left_at)

    @property
    def left_at(self) -> int | None:
        """Epoch at which the cluster said that it left the ClusterSet; None while it has not."""
        return self.evidence.left_at

    @property
    def complete(self) -> bool:
        """Whether what is absent is not there, by a whole replay that a digest confirmed."""
        return self.evidence.complete

    @property
    def doubtful(self) -> bool:
        """Whether two digests running did not match: the stream must be replayed."""
        return self.evidence.doubtful

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """How many things are known."""

    @abc.abstractmethod
    def begin_replay(self) -> None:
        """A replay of the whole stream begins: what it does not bring may be gone."""

    @abc.abstractmethod
    def end_replay(self) -> set[K]:
        """The replay is over; return the things that it showed to be gone."""

    @abc.abstractmethod
    def fold(self, subject: Subject, message: AnyMessage, payload: bytes, epoch: int) -> set[K]:
        """Take one message; return the things that it touches.

        Raises:
            StaleEpoch: A newer incarnation of the publisher has spoken already.
        """

    @abc.abstractmethod
    def fold_unreadable(self, subject: Subject, payload: bytes, epoch: int) -> None:
        """Take a message that this version cannot read: what it is about is there, unchanged.

        It counts in the digest, so a newer watcher's messages raise no doubt.

        Raises:
            StaleEpoch: A newer incarnation of the publisher has spoken already.
        """
