"""Which Peers held one range, after each event of a watch. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import dropwhile, groupby

from heliograph.kilo.peer import Peer


class Holders:
    """The names of the Peers that held a range, one entry for each event."""

    def __init__(self, cidr: str) -> None:
        self.cidr = cidr
        self._history: list[tuple[str, ...]] = []

    def record(self, peers: Iterable[Peer]) -> None:
        """Take all Peers, as they are after an event."""
        names = sorted(p.metadata.name for p in peers if self.cidr in p.spec.allowed_ips)
        self._history.append(tuple(names))

    @property
    def now(self) -> tuple[str, ...]:
        """Who holds it now."""
        return self._history[-1] if self._history else ()

    @property
    def kept(self) -> bool:
        """Whether it had a holder after every event since the first Peer got it."""
        return all(dropwhile(lambda names: not names, self._history))

    def mark(self) -> int:
        """Return this moment, for `since`."""
        return max(len(self._history) - 1, 0)

    def since(self, mark: int) -> Sequence[tuple[str, ...]]:
        """Return who has held it since a moment; equal entries in a row are one."""
        return [names for names, _ in groupby(self._history[mark:])]
