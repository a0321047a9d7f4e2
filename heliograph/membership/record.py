"""The ConfigMap's content, and what it means. Pure.

One entry for each decision, so that people and programs change different entries at the same time
without conflicts: "left", "forgotten.CLUSTER", "confirmed.CLUSTER", "departed.CLUSTER".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from heliograph.contract.names import ClusterId, is_dns_label

NAMESPACE: Final = "heliograph"
"""The default of the setting."""

NAME: Final = "clusterset"
LEFT: Final = "left"
FORGOTTEN: Final = "forgotten"
CONFIRMED: Final = "confirmed"
DEPARTED: Final = "departed"
_BY_CLUSTER: Final = (FORGOTTEN, CONFIRMED, DEPARTED)


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided.

    Attributes:
        left_at: When this cluster was told to leave the ClusterSet, as it was written; empty while
            it is a member.
        forgotten: Clusters that nothing is taken from any more, whatever their streams hold.
        confirmed: By cluster, a text that changes whenever somebody confirms that most of its
            mirrors may go.
        departed: By cluster, the epoch at which it said that it left, as the reflector keeps it:
            what its stream holds from before does not count.
        unknown: Entries that mean nothing, such as misspelt ones.
    """

    left_at: str = ""
    forgotten: frozenset[ClusterId] = frozenset()
    confirmed: Mapping[ClusterId, str] = {}
    departed: Mapping[ClusterId, int] = {}
    unknown: tuple[str, ...] = ()

    @property
    def left(self) -> bool:
        """Whether this cluster has left the ClusterSet."""
        return bool(self.left_at)


def read(data: Mapping[str, str]) -> Membership:
    """Return what the ConfigMap's data say; what cannot be read is unknown, and nothing else."""
    known: dict[str, dict[ClusterId, str]] = {word: {} for word in _BY_CLUSTER}
    unknown = []
    for entry, value in data.items():
        word, _, cluster = entry.partition(".")
        if word in known and is_dns_label(cluster) and _fits(word, value):
            known[word][ClusterId(cluster)] = value
        elif entry != LEFT:
            unknown.append(entry)
    return Membership(
        left_at=data.get(LEFT, ""),
        forgotten=frozenset(known[FORGOTTEN]),
        confirmed=known[CONFIRMED],
        departed={cluster: int(epoch) for cluster, epoch in known[DEPARTED].items()},
        unknown=tuple(sorted(unknown)),
    )


def entry_of(word: str, cluster: ClusterId) -> str:
    """Return the name of the entry in which a word is said of a cluster."""
    return f"{word}.{cluster}"


def _fits(word: str, value: str) -> bool:
    return word != DEPARTED or (value.isascii() and value.isdigit())
