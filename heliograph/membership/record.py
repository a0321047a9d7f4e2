"""The ConfigMap's content, and what it means. Pure.

One entry for each decision, so that people and programs change different entries at the same time
without conflicts: "left", "forgotten.CLUSTER", "confirmed.CLUSTER", "departed.CLUSTER",
"admitted.CLUSTER".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from heliograph.admission.declaration import Admitted
from heliograph.contract.messages import Timestamp
from heliograph.contract.names import ClusterId, is_dns_label
from heliograph.ranges import canonical, join_ranges

NAMESPACE: Final = "heliograph"
"""The default of the setting."""

NAME: Final = "clusterset"
LEFT: Final = "left"
FORGOTTEN: Final = "forgotten"
CONFIRMED: Final = "confirmed"
DEPARTED: Final = "departed"
ADMITTED: Final = "admitted"
_BY_CLUSTER: Final = (FORGOTTEN, CONFIRMED, DEPARTED, ADMITTED)


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
        admitted: By cluster, which of its ranges were admitted, and when the newest of them was.
        unknown: Entries that mean nothing, such as misspelt ones.
    """

    left_at: str = ""
    forgotten: frozenset[ClusterId] = frozenset()
    confirmed: Mapping[ClusterId, str] = {}
    departed: Mapping[ClusterId, int] = {}
    admitted: Mapping[ClusterId, Admitted] = {}
    unknown: tuple[str, ...] = ()

    def decides_as(self, other: Membership) -> bool:
        """Tell whether another one differs at most in the record of who was admitted."""
        return msgspec.structs.replace(self, admitted=other.admitted) == other

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
        admitted={c: found for c, text in known[ADMITTED].items() if (found := _admitted(text))},
        unknown=tuple(sorted(unknown)),
    )


def entry_of(word: str, cluster: ClusterId) -> str:
    """Return the name of the entry in which a word is said of a cluster."""
    return f"{word}.{cluster}"


def admitted_text(admitted: Admitted) -> str:
    """Return how it is written that a cluster was admitted: the time, and its ranges."""
    return f"{admitted.since} {','.join(admitted.ranges)}"


def _fits(word: str, value: str) -> bool:
    if word == ADMITTED:
        return _admitted(value) is not None
    return word != DEPARTED or (value.isascii() and value.isdigit())


def _admitted(text: str) -> Admitted | None:
    since, _, ranges = text.strip().partition(" ")
    cidrs = [cidr for part in ranges.split(",") if (cidr := canonical(part.strip()))]
    try:
        since = msgspec.convert(since, Timestamp)
    except msgspec.ValidationError:
        return None
    if len(cidrs) != ranges.count(",") + 1:
        return None
    return Admitted(since=since, ranges=join_ranges(cidrs))
