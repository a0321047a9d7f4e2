"""Tables from messages that are known without a stream. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from heliograph.contract.digest import LiveSet, fingerprint
from heliograph.contract.messages import (
    ClusterAnnounced,
    ClusterWithdrawn,
    Message,
    decode,
    encode,
)
from heliograph.contract.subjects import Kind, Subject
from heliograph.imports.table import Table

TableT = TypeVar("TableT", bound=Table[Any])

_EPOCH: Final = 1


def fill(
    table: TableT,
    announced: ClusterAnnounced | ClusterWithdrawn,
    messages: Mapping[Subject, Message],
    *,
    whole: bool = True,
) -> TableT:
    """Return the table once a cluster's messages were consumed.

    Args:
        table: An empty one, of that cluster.
        announced: The cluster's own message; its digests are made anew.
        messages: All others by subject; those of kinds that the table does not keep are left out.
        whole: Whether these are all that there are: then a digest confirms them, and what is not
            among them is gone.
    """
    live: dict[Kind, LiveSet[str]] = {kind: LiveSet() for kind in table.kinds}
    for subject, message in messages.items():
        if subject.kind in live:
            payload, text = encode(message), str(subject)
            table.fold(subject, decode(subject, payload), payload, _EPOCH)
            live[subject.kind].put(text, fingerprint(text, payload))
    if isinstance(announced, ClusterAnnounced):
        digests = {str(kind): one.digest() for kind, one in live.items()} if whole else None
        announced = msgspec.structs.replace(announced, digests=digests)
    own = Subject(cluster=table.cluster, kind=Kind.CLUSTER, name=table.cluster)
    table.fold(own, announced, encode(announced), _EPOCH)
    table.end_replay()
    return table
