"""JetStream's API as raw JSON over plain requests: answers, errors, and pull consumers.

Structs name only the fields that are used; unknown ones are skipped. Durations are nanoseconds on
the wire and seconds in our names.

Source: https://docs.nats.io/reference/reference-protocols/nats_api_reference
"""

from __future__ import annotations

from typing import Any, Final, Protocol, TypeVar

import msgspec

from heliograph.bus.errors import JetStreamError, JetStreamUnavailable, StreamMissing
from heliograph.bus.request import Reply

API: Final = "$JS.API"
NANOSECONDS: Final = 1_000_000_000
_STREAM_NOT_FOUND: Final = 10059
_NO_ERROR, _UNAVAILABLE = 0, 503


class Requester(Protocol):
    """What this module needs of a connection."""

    async def request(self, subject: str, payload: bytes = b"", *, timeout_s: float = 2.0) -> Reply:
        """Publish and return the first reply."""


class ConsumerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer just created; `num_pending` messages wait in it."""

    stream_name: str
    name: str
    num_pending: int = 0


class _Failure(msgspec.Struct, frozen=True, kw_only=True):
    code: int = 0
    err_code: int = _NO_ERROR
    description: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a request succeeded; every answer can be read as this first."""

    error: _Failure | None = None


T = TypeVar("T")


async def create_consumer(
    connection: Requester, stream: str, config: dict[str, Any], *, api: str = API
) -> ConsumerInfo:
    """Create the named consumer of `config`; `StreamMissing` if there is no such stream.

    With one filter its subject is part of the request's subject, so that permissions can keep a
    user to that filter; with several they cannot.
    """
    filters = config["filter_subjects"]
    subject = f"{api}.CONSUMER.CREATE.{stream}.{config['name']}"
    if len(filters) == 1:
        config = {k: v for k, v in config.items() if k != "filter_subjects"}
        config |= {"filter_subject": filters[0]}
        subject = f"{subject}.{filters[0]}"
    body = {"stream_name": stream, "config": config, "action": "create"}
    reply = await connection.request(subject, msgspec.json.encode(body))
    return decode(reply, ConsumerInfo, f"creating a consumer of {stream}", stream)


def next_subject(stream: str, consumer: str, *, api: str = API) -> str:
    """Return where to ask a pull consumer for messages."""
    return f"{api}.CONSUMER.MSG.NEXT.{stream}.{consumer}"


def delete_subject(stream: str, consumer: str, *, api: str = API) -> str:
    """Return where to ask for the end of a consumer."""
    return f"{api}.CONSUMER.DELETE.{stream}.{consumer}"


def nanoseconds(seconds: float) -> int:
    """Return a duration as JetStream wants it."""
    return round(seconds * NANOSECONDS)


def decode(reply: Reply, kind: type[T], doing: str, stream: str) -> T:
    """Read an answer as `kind`, or raise the error it carries.

    Args:
        reply: The answer.
        kind: What it should be.
        doing: What was asked for, for the error's words.
        stream: The stream concerned, for `StreamMissing`.
    """
    try:
        failure = msgspec.json.decode(reply.payload, type=Outcome).error
        if failure is None:
            return msgspec.json.decode(reply.payload, type=kind)
    except msgspec.MsgspecError as error:
        raise JetStreamError(doing, _NO_ERROR, f"something unreadable: {error}") from error
    if failure.err_code == _STREAM_NOT_FOUND:
        raise StreamMissing(stream)
    if failure.code == _UNAVAILABLE:
        raise JetStreamUnavailable(doing, failure.err_code, failure.description)
    raise JetStreamError(doing, failure.err_code, failure.description)
