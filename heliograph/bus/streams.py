"""Streams: made as they should be, repaired when they differ, looked at, deleted.

An update keeps what an operator has set and we do not speak of.

Source: stream configuration, https://docs.nats.io/nats-concepts/jetstream/streams; time to live of
messages: ADR-43 of nats-io/nats-architecture-and-design.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from heliograph.bus.errors import JetStreamError, StreamMissing
from heliograph.bus.jetstream import API, Outcome, Requester, decode, nanoseconds

_NAME_IN_USE: Final = 10058
_ON_DISK_S: Final = 5.0  # making, changing and deleting a store takes the server longer


class StreamSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The stream of one exporting cluster: a file store of the last message per subject.

    Attributes:
        name: "HELIOGRAPH_<cluster>".
        subjects: What it stores.
        replicas: Copies in a server cluster; 1 on a single server.
        duplicate_window_s: How long a message id is remembered; longer than any retry takes.
        max_bytes: Limit of the store; None for the account's limit.
    """

    name: str
    subjects: tuple[str, ...]
    replicas: int = 1
    duplicate_window_s: int = 120
    max_bytes: int | None = None


class StreamInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream holds.

    Attributes:
        created: RFC 3339; another value means another stream, though the name be the same.
        first_sequence: Sequence of the oldest message held.
        last_sequence: Sequence of the newest message ever stored.
        messages: How many it holds: one per subject.
        now: RFC 3339; the server's clock when it answered.
    """

    name: str
    created: str
    first_sequence: int
    last_sequence: int
    messages: int
    now: str = ""


class _State(msgspec.Struct, frozen=True, kw_only=True):
    messages: int
    first_seq: int
    last_seq: int


class _Stream(msgspec.Struct, frozen=True, kw_only=True):
    config: dict[str, Any]
    created: str
    state: _State
    ts: str = ""


class _Names(msgspec.Struct, frozen=True, kw_only=True):
    streams: list[str] | None = None


async def ensure_stream(
    connection: Requester, settings: StreamSettings, *, api: str = API
) -> StreamInfo:
    """Create the stream, or update it when its configuration differs from `settings`.

    Fields that `settings` does not speak of stay as an operator has set them. Safe to repeat.
    """
    wanted = _config(settings)
    try:
        found = await _stream(connection, settings.name, api)
    except StreamMissing:
        return await _create(connection, settings, api)
    if all(found.config.get(key) == value for key, value in wanted.items()):
        return _info(found)
    merged = msgspec.json.encode(found.config | wanted)
    subject = f"{api}.STREAM.UPDATE.{settings.name}"
    reply = await connection.request(subject, merged, timeout_s=_ON_DISK_S)
    return _info(decode(reply, _Stream, f"updating stream {settings.name}", settings.name))


async def _create(connection: Requester, settings: StreamSettings, api: str) -> StreamInfo:
    subject, doing = f"{api}.STREAM.CREATE.{settings.name}", f"creating stream {settings.name}"
    body = msgspec.json.encode(_config(settings))
    reply = await connection.request(subject, body, timeout_s=_ON_DISK_S)
    try:
        return _info(decode(reply, _Stream, doing, settings.name))
    except JetStreamError as error:
        if error.code != _NAME_IN_USE:
            raise
    return await stream_info(connection, settings.name, api=api)  # somebody else was faster


async def stream_info(connection: Requester, name: str, *, api: str = API) -> StreamInfo:
    """Return what the stream holds; `StreamMissing` if there is none of that name."""
    return _info(await _stream(connection, name, api))


async def stream_names(connection: Requester, subject: str, *, api: str = API) -> tuple[str, ...]:
    """Return the names of the streams that store `subject`, at most 1024."""
    body = msgspec.json.encode({"subject": subject})
    reply = await connection.request(f"{api}.STREAM.NAMES", body)
    return tuple(decode(reply, _Names, "listing streams", "").streams or ())


async def delete_stream(connection: Requester, name: str, *, api: str = API) -> None:
    """Delete the stream with all it holds; `StreamMissing` if there is none."""
    reply = await connection.request(f"{api}.STREAM.DELETE.{name}", timeout_s=_ON_DISK_S)
    decode(reply, Outcome, f"deleting stream {name}", name)


async def _stream(connection: Requester, name: str, api: str) -> _Stream:
    reply = await connection.request(f"{api}.STREAM.INFO.{name}")
    return decode(reply, _Stream, f"looking at stream {name}", name)


def _config(settings: StreamSettings) -> dict[str, Any]:
    return {
        "name": settings.name,
        "subjects": list(settings.subjects),
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "max_msgs_per_subject": 1,
        "max_bytes": -1 if settings.max_bytes is None else settings.max_bytes,
        "num_replicas": settings.replicas,
        "duplicate_window": nanoseconds(settings.duplicate_window_s),
        "allow_msg_ttl": True,
        "allow_direct": True,
    }


def _info(stream: _Stream) -> StreamInfo:
    state = stream.state
    return StreamInfo(
        name=stream.config["name"],
        created=stream.created,
        first_sequence=state.first_seq,
        last_sequence=state.last_seq,
        messages=state.messages,
        now=stream.ts,
    )
