"""The bus: one stream per exporting cluster, over NATS JetStream.

Subjects are strings and payloads bytes here: nothing in this package knows of Kubernetes or of
the contract's messages. `connect` gives a connection that comes back by itself; `Publisher` gets
the last value of every subject stored; `Consumer` reads a stream from its first message on, and
over again on any doubt. Only `client.py` imports nats-py.
"""

from __future__ import annotations

from heliograph.bus.acks import Stored
from heliograph.bus.connection import Connection, Subscription, connect
from heliograph.bus.consume import Consumer
from heliograph.bus.errors import (
    BusUnreachable,
    Disconnected,
    InvalidPublication,
    JetStreamError,
    JetStreamUnavailable,
    NoResponders,
    PermissionDenied,
    RequestTimeout,
    StreamMissing,
)
from heliograph.bus.events import (
    BusEvent,
    ConnectionEvent,
    ConsumerSettings,
    Delivery,
    Denied,
    Interrupted,
    Lost,
    Restored,
    SnapshotBegun,
    SnapshotComplete,
)
from heliograph.bus.outbox import Publication
from heliograph.bus.publish import Publisher
from heliograph.bus.questions import Answering, ask
from heliograph.bus.request import Message, Reply
from heliograph.bus.server import EmbeddedServer, ServerSettings
from heliograph.bus.settings import ConnectionSettings
from heliograph.bus.streams import (
    StreamInfo,
    StreamSettings,
    delete_stream,
    ensure_stream,
    stream_info,
    stream_names,
)

__all__ = [
    "Answering",
    "BusEvent",
    "BusUnreachable",
    "Connection",
    "ConnectionEvent",
    "ConnectionSettings",
    "Consumer",
    "ConsumerSettings",
    "Delivery",
    "Denied",
    "Disconnected",
    "EmbeddedServer",
    "Interrupted",
    "InvalidPublication",
    "JetStreamError",
    "JetStreamUnavailable",
    "Lost",
    "Message",
    "NoResponders",
    "PermissionDenied",
    "Publication",
    "Publisher",
    "Reply",
    "RequestTimeout",
    "Restored",
    "ServerSettings",
    "SnapshotBegun",
    "SnapshotComplete",
    "Stored",
    "StreamInfo",
    "StreamMissing",
    "StreamSettings",
    "Subscription",
    "ask",
    "connect",
    "delete_stream",
    "ensure_stream",
    "stream_info",
    "stream_names",
]
