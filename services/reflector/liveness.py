"""Which exporting clusters are silent: not heard of, and not answering either. Pure.

That a cluster is not heard says nothing of the path to it: its watcher, its bus or the way there
may be away while its pods serve on. That its nodes do not answer says nothing of the cluster: this
one's agents may see wrongly, or have just begun. Both together are taken for its death.

The other way round either is enough, but it takes a word: what nobody says any more stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from heliograph.contract.names import ClusterId
from heliograph.imports.heard import Heard
from heliograph.imports.link_table import Path

_UNHEARD_S: Final = 10.0
"""The lease of a cluster that has not been heard yet: the contract's."""

_SHORTEST_S: Final = 1.0
_LONGEST_S: Final = 3600.0
"""A lease is another cluster's word: none so short that it flaps, or so long that it never ends."""


class _Lease(msgspec.Struct, frozen=True, kw_only=True):
    """One cluster's lease.

    Attributes:
        lasts_s: How long it lasts, seconds.
        since_s: From when on.
        stored_at_ns: Which message renewed it; 0 if none did.
    """

    lasts_s: float
    since_s: float
    stored_at_ns: int = 0

    @property
    def ends_s(self) -> float:
        return self.since_s + self.lasts_s


class Liveness:
    """The leases of the exporting clusters, and who of them is silent.

    Attributes:
        silent: The clusters that are silent, as decided last.
    """

    def __init__(
        self, path: Callable[[ClusterId, float], Path], *, unknown_is_silent: bool = False
    ) -> None:
        """Know no cluster.

        Args:
            path: Tells whether packets reach a cluster, at a time.
            unknown_is_silent: Whether it is enough that nobody says, once a lease is out.
        """
        self.silent: frozenset[ClusterId] = frozenset()
        self._path = path
        self._enough = {"silent", "unknown"} if unknown_is_silent else {"silent"}
        self._leases: dict[ClusterId, _Lease] = {}
        self._deaf = False

    def expect(self, exporting: ClusterId, now_s: float) -> None:
        """Begin to listen to a cluster: from now on it could be heard."""
        self._leases.setdefault(exporting, _Lease(lasts_s=_UNHEARD_S, since_s=now_s))

    def renewed(self, exporting: ClusterId, lease_s: float, heard: Heard) -> None:
        """Take that a cluster renewed its lease.

        The same message again, as a replay brings it, renews nothing; and none that is older than
        our own listening ends a lease sooner, unless it is the first that is heard at all.
        """
        before = self._leases.get(exporting)
        since_s = heard.at_s
        if before is not None and before.stored_at_ns:
            if before.stored_at_ns == heard.stored_at_ns:
                return
            since_s = max(since_s, before.since_s)
        self._leases[exporting] = _Lease(
            lasts_s=min(max(lease_s, _SHORTEST_S), _LONGEST_S),
            since_s=since_s,
            stored_at_ns=heard.stored_at_ns,
        )

    def deafen(self) -> None:
        """Take that nothing can be heard here: nobody is called silent for that."""
        self._deaf = True

    def listen(self, now_s: float) -> None:
        """Take that nothing could be heard until now: every lease gets its whole time.

        Not those of silent clusters: these are called back by a word, not by our absence.
        """
        self._deaf = False
        for exporting in self._leases.keys() - self.silent:
            lease = self._leases[exporting]
            self._leases[exporting] = msgspec.structs.replace(lease, since_s=now_s)

    def forget(self, exporting: ClusterId) -> None:
        """Take that a cluster has left, or that people want nothing from it."""
        self._leases.pop(exporting, None)

    def ends_s(self, exporting: ClusterId) -> float:
        """Return when a cluster's lease ends, or ended."""
        return self._leases[exporting].ends_s

    def look(self, exporting: ClusterId, now_s: float) -> bool:
        """Decide whether one cluster is silent now; return whether that is not as it was."""
        silent = exporting in self._leases and self._is_silent(exporting, now_s)
        if silent == (exporting in self.silent):
            return False
        self.silent ^= {exporting}
        return True

    def look_at_all(self, now_s: float) -> set[ClusterId]:
        """Decide about every cluster; return those for which it is not as it was."""
        known = self._leases.keys() | self.silent
        return {exporting for exporting in known if self.look(exporting, now_s)}

    def due_s(self, now_s: float) -> float | None:
        """Return when the next lease ends that stands; None if none does."""
        if self._deaf:
            return None
        ends = (lease.ends_s for lease in self._leases.values())
        return min((ends_s for ends_s in ends if ends_s > now_s), default=None)

    def waits(self, now_s: float) -> bool:
        """Tell whether there is a cluster that is not silent for its path alone."""
        out = {c for c, lease in self._leases.items() if lease.ends_s <= now_s}
        return not self._deaf and bool(out - self.silent)

    def _is_silent(self, exporting: ClusterId, now_s: float) -> bool:
        if now_s < self._leases[exporting].ends_s:
            return False
        path = self._path(exporting, now_s)
        if exporting in self.silent:
            return path != "answering"
        return not self._deaf and path in self._enough
