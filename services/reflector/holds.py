"""Holds back what would remove most of a cluster's mirrors at once, until people had time to look.

One wrong selector, one watcher with another cluster's kubeconfig, and everything is withdrawn, duly
and with a digest. Mirrors in use are worth a delay, and a question. Pure: the clock is an argument.

A few removals are carried out at once. From the tenth within a short time on they wait until no
more come: then it is known whether most would go. If so, they are held; if not, they go.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable
from typing import Final

import msgspec

from heliograph.contract.names import ClusterId
from services.reflector.table import ServiceKey

_RECENT_S: Final = 10.0
"""Removals belong together when they come within this time."""

_GATHER_S: Final = 1.0
"""No more removals come when none came for so long."""

_GATHER_AT_MOST_S: Final = 5.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Which removals are held.

    Attributes:
        at_least: Fewer removals at once than these are carried out, whatever their share.
        share: More than this part of a cluster's mirrors is most of them.
        hold_s: For how long they are held, unless somebody confirms them; 0 to hold nothing.
    """

    at_least: int = 10
    share: float = 0.5
    hold_s: float = 600.0


class Verdict(enum.Enum):
    """What became of removals that waited."""

    HELD = "held"
    RELEASED = "released"


class News(msgspec.Struct, frozen=True, kw_only=True):
    """Something to tell people.

    Attributes:
        exporting: The cluster whose mirrors they are.
        verdict: What became of them.
        removals: How many came at once, those included that were carried out before it was sure.
        mirrors: How many mirrors the cluster had.
        keys: Those that may be removed now; empty while they are held.
    """

    exporting: ClusterId
    verdict: Verdict
    removals: int
    mirrors: int
    keys: frozenset[ServiceKey] = frozenset()


class _Cluster:
    """The removals of one cluster's mirrors.

    Attributes:
        recent: Those that came lately, or while some wait; with their time, in its order.
        removed: Those of them that are carried out.
        waiting: Those of them that wait.
        held: Whether it is certain that most would go.
        mirrors: How many mirrors there were when the last removal came, removed ones included.
        since_s: When the first of those that wait came.
        due_s: When it is to be decided about them.
    """

    def __init__(self) -> None:
        self.recent: dict[ServiceKey, float] = {}
        self.removed: set[ServiceKey] = set()
        self.waiting: set[ServiceKey] = set()
        self.held = False
        self.mirrors = 0
        self.since_s = self.due_s = 0.0

    def forget_older_than(self, time_s: float) -> None:
        """Forget removals of some time ago, unless any wait: those belong together still."""
        if self.waiting:
            return
        in_order = self.recent.items()  # of their time
        old = [key for key, _ in itertools.takewhile(lambda item: item[1] < time_s, in_order)]
        for key in old:
            del self.recent[key]
        self.removed.difference_update(old)


class Holds:
    """The removals that wait, by exporting cluster."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._clusters: dict[ClusterId, _Cluster] = {}

    def waits(self, exporting: ClusterId, key: ServiceKey) -> bool:
        """Tell whether a mirror must not lose a cluster's addresses now, though withdrawn."""
        cluster = self._clusters.get(exporting)
        return cluster is not None and key in cluster.waiting

    @property
    def held(self) -> dict[ClusterId, int]:
        """Return how many removals are held, by cluster."""
        return {name: len(c.waiting) for name, c in self._clusters.items() if c.held}

    @property
    def due_s(self) -> float | None:
        """When `decide` is to be called next; None while nothing waits."""
        return min((c.due_s for c in self._clusters.values() if c.waiting), default=None)

    def withdrawn(
        self, exporting: ClusterId, keys: Iterable[ServiceKey], *, standing: int, now_s: float
    ) -> News | None:
        """Take that mirrors would lose a cluster's addresses; some may have to wait.

        Args:
            exporting: The cluster.
            keys: The mirrors.
            standing: How many mirrors point at the cluster now, these included.
            now_s: The time, on the clock of all calls.

        Returns:
            News when they are held, which is certain at once when all come at once.
        """
        if not self._limits.hold_s:
            return None
        cluster = self._clusters.setdefault(exporting, _Cluster())
        cluster.forget_older_than(now_s - _RECENT_S)
        new = [key for key in keys if key not in cluster.recent]
        cluster.recent |= dict.fromkeys(new, now_s)
        cluster.mirrors = standing + len(cluster.removed)
        if not new or len(cluster.recent) < self._limits.at_least:
            return None
        return self._wait(exporting, cluster, new, now_s)

    def exported(self, exporting: ClusterId, key: ServiceKey) -> None:
        """Take that a cluster exports a Service, perhaps again."""
        cluster = self._clusters.get(exporting)
        if cluster is not None and cluster.recent.pop(key, None) is not None:
            cluster.removed.discard(key)
            self._no_longer_waits(cluster, key)

    def carried_out(self, exporting: ClusterId, key: ServiceKey) -> None:
        """Take that a mirror does not point at a cluster any more: nothing of it waits."""
        cluster = self._clusters.get(exporting)
        if cluster is not None and key in cluster.recent:
            cluster.removed.add(key)
            self._no_longer_waits(cluster, key)

    def withdrawing(self, key: ServiceKey) -> tuple[ClusterId, ...]:
        """Return the clusters that withdrew a Service lately."""
        return tuple(name for name, c in self._clusters.items() if key in c.recent)

    def decide(self, now_s: float) -> list[News]:
        """Return what is decided by now: removals that have gathered, or were held long enough."""
        due = {n: c for n, c in self._clusters.items() if c.waiting and c.due_s <= now_s}
        news = []
        for name, cluster in due.items():
            if not cluster.held and self._is_most(cluster):
                news.append(self._hold(name, cluster, now_s))
            else:
                news.append(self._release(name, cluster))
        return news

    def confirm(self, exporting: ClusterId) -> News | None:
        """Take that somebody confirmed the removals of a cluster's mirrors."""
        cluster = self._clusters.get(exporting)
        if cluster is None or not cluster.waiting:
            return None
        return self._release(exporting, cluster)

    def forget(self, exporting: ClusterId) -> None:
        """Hold nothing of a cluster: it left, or was forgotten, and people wanted that."""
        self._clusters.pop(exporting, None)

    def _wait(
        self, name: ClusterId, cluster: _Cluster, new: Iterable[ServiceKey], now_s: float
    ) -> News | None:
        if not cluster.waiting:
            cluster.since_s = now_s
        cluster.waiting |= set(new)
        if cluster.held:
            return None
        if self._is_most(cluster):
            return self._hold(name, cluster, now_s)
        cluster.due_s = min(now_s + _GATHER_S, cluster.since_s + _GATHER_AT_MOST_S)
        return None

    @staticmethod
    def _no_longer_waits(cluster: _Cluster, key: ServiceKey) -> None:
        cluster.waiting.discard(key)
        cluster.held = cluster.held and bool(cluster.waiting)

    def _is_most(self, cluster: _Cluster) -> bool:
        return len(cluster.recent) > self._limits.share * cluster.mirrors

    def _hold(self, name: ClusterId, cluster: _Cluster, now_s: float) -> News:
        cluster.held = True
        cluster.waiting = set(cluster.recent) - cluster.removed
        cluster.due_s = now_s + self._limits.hold_s
        return _news(name, Verdict.HELD, cluster)

    def _release(self, name: ClusterId, cluster: _Cluster) -> News:
        del self._clusters[name]
        released = _news(name, Verdict.RELEASED, cluster)
        return msgspec.structs.replace(released, keys=frozenset(cluster.waiting))


def _news(name: ClusterId, verdict: Verdict, cluster: _Cluster) -> News:
    return News(
        exporting=name, verdict=verdict, removals=len(cluster.recent), mirrors=cluster.mirrors
    )
