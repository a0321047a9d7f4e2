"""Reads what a stream holds, so that its owner can compare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing

import msgspec
import structlog

from heliograph.bus import (
    Connection,
    Consumer,
    ConsumerSettings,
    Delivery,
    Interrupted,
    SnapshotBegun,
    SnapshotComplete,
)
from heliograph.contract.headers import epoch_of
from heliograph.contract.messages import is_withdrawn
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import (
    Kind,
    MalformedSubject,
    Subject,
    kind_filter,
    parse_subject,
    stream_name,
)

_log = structlog.get_logger()


Owned = Callable[[Subject], bool]


class StreamReading(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream holds of some kinds.

    Attributes:
        cluster: Whose stream it is.
        kinds: Which kinds were read.
        live: Payloads of the live messages by subject.
        newest_epoch: Highest epoch among all messages; 0 if there are none.
        owned: Tells which subjects of these kinds belong to the reader: two programs of a cluster
            may publish messages of one kind.
    """

    cluster: ClusterId
    kinds: tuple[Kind, ...]
    live: Mapping[str, bytes]
    newest_epoch: int
    owned: Owned = lambda _: True


async def read_stream(
    connection: Connection,
    cluster: ClusterId,
    kinds: Iterable[Kind],
    owned: Owned = lambda _: True,
) -> StreamReading:
    """Return what the cluster's stream holds; waits until it exists and can be read whole."""
    wanted = tuple(kinds)
    settings = ConsumerSettings(
        stream=stream_name(cluster),
        filter_subjects=tuple(kind_filter(cluster, kind) for kind in wanted),
        name_prefix="compare",
    )
    live: dict[str, bytes] = {}
    epoch = 0
    async with aclosing(Consumer(connection, settings).events()) as events:
        async for event in events:
            match event:
                case SnapshotBegun():
                    live, epoch = {}, 0
                case Delivery():
                    epoch = max(epoch, epoch_of(event.headers) or 0)
                    if _is_live(event.subject, event.payload, owned):
                        live[event.subject] = event.payload
                case SnapshotComplete():
                    break
                case Interrupted():
                    _log.info("reading the stream again", cluster=cluster, reason=event.reason)
    return StreamReading(cluster=cluster, kinds=wanted, live=live, newest_epoch=epoch, owned=owned)


def _is_live(text: str, payload: bytes, owned: Owned) -> bool:
    """Tell whether a message is state of ours; one that cannot be read is, so it is replaced."""
    try:
        subject = parse_subject(text)
    except MalformedSubject:
        return False
    return owned(subject) and not is_withdrawn(payload)
