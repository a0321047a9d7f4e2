"""What the bus tells: a consumer its reader, a connection its observers. Only data."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from heliograph.bus.jetstream import API


class ConsumerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What to read, and how watchfully.

    Attributes:
        stream: Name of the stream.
        filter_subjects: At least one. Only a single filter can be enforced by permissions: it
            then stands in the subject of the request that creates the consumer.
        name_prefix: First part of the consumers' names, for the server's reports.
        heartbeat_s: The server says so often that there is nothing new; three silent periods
            are a doubt. The server refuses less than 0.1 s.
        batch: Messages asked for at once; at most three times as many are held in memory.
        api: Prefix of JetStream's API; "$JS.<domain>.API" for the JetStream of a leaf node.
    """

    stream: str
    filter_subjects: tuple[str, ...]
    name_prefix: str
    heartbeat_s: float = 0.4
    batch: int = 1000
    api: str = API


class SnapshotBegun(msgspec.Struct, frozen=True):
    """A replay of the last message of every subject begins; forget nothing before its end.

    Attributes:
        stream_created: RFC 3339; when it differs from the last one, it is another stream.
    """

    stream_created: str


class Delivery(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message of the stream.

    Attributes:
        stored_at_ns: When the server stored it, nanoseconds since the Unix epoch, its clock.
        in_snapshot: It comes from the replay, not from a change that just happened.
    """

    subject: str
    headers: Mapping[str, str]
    payload: bytes
    stream_sequence: int
    stored_at_ns: int
    in_snapshot: bool


class SnapshotComplete(msgspec.Struct, frozen=True):
    """Every subject's last message was delivered; what was not delivered does not exist.

    It is told when the reader has caught up, so a reader that changes outrun waits for it: a
    value may be replaced before its turn, and come later.
    """


class Interrupted(msgspec.Struct, frozen=True):
    """Something may have been missed; the next `SnapshotBegun` starts anew.

    Attributes:
        reason: A short phrase for people.
    """

    reason: str


BusEvent = SnapshotBegun | Delivery | SnapshotComplete | Interrupted


class Lost(msgspec.Struct, frozen=True):
    """The connection is gone; the supervisor is dialling."""


class Restored(msgspec.Struct, frozen=True):
    """There is a new connection with all subscriptions in place."""


class Denied(msgspec.Struct, frozen=True, kw_only=True):
    """The server refused a "publish" or "subscription"; nats-py lowers the subject's letters."""

    operation: str
    subject: str


ConnectionEvent = Lost | Restored | Denied
Observer = Callable[[ConnectionEvent], None]
