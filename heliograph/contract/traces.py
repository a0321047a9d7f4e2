"""What a watcher answers when somebody asks how a Service's changes travelled; never stored. Pure.

A request goes to the watcher of one cluster, on `heliograph.traces.v1.<cluster>`; it answers with
one part for each change that it remembers, and one part if there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from heliograph.contract.feedback import Step
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import VERSION
from heliograph.errors import TerminalError

T = TypeVar("T", bound=msgspec.Struct)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An importing cluster's word on a change.

    Attributes:
        importing: The cluster.
        outcome: "applied" or "refused"; other words may come.
        heard_s: When it was heard, seconds since the watch line, by the exporting cluster's clock.
        seconds: From delivery to the last write, by the importing cluster's clock.
        steps: What was done in between, likewise.
        reason: Why it was refused: one CamelCase word; empty if it was not.
        message: The same in one sentence for people.
    """

    importing: str
    outcome: str
    heard_s: float
    seconds: float
    steps: tuple[Step, ...] = ()
    reason: str = ""
    message: str = ""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One publication that a change of a Service caused; times by the exporting cluster's clock.

    Attributes:
        event_id: `ce-id` of the message.
        type: Such as "service.exported.v1".
        name: Of the Service, or of the EndpointSlice.
        seen_at: When the watch line was read, RFC 3339 in UTC.
        sent_s: When the message left, seconds since the watch line.
        stored_s: When the bus had acknowledged it, likewise; None if it has not.
        trace_id: Of its trace, 32 hexadecimal digits; empty if there is none.
        answers: By importing cluster, in the order of hearing.
    """

    event_id: str
    type: str
    name: str
    seen_at: str
    sent_s: float
    stored_s: float | None = None
    trace_id: str = ""
    answers: tuple[Answer, ...] = ()


class TraceAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A question to a watcher about a Service.

    Attributes:
        namespace: Its namespace.
        name: Its name.
    """

    namespace: str
    name: str


class TraceTold(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a watcher's answer.

    Attributes:
        cluster: The exporting cluster.
        exported: Whether the Service is exported now.
        since: When the watcher began to remember, RFC 3339 in UTC.
        part: Which part this is, from 0.
        parts: How many there are.
        changes: The newest last.
    """

    cluster: str
    exported: bool
    since: str
    part: int = 0
    parts: int = 1
    changes: tuple[Change, ...] = ()


def traces_subject(cluster: ClusterId) -> str:
    """Return where the watcher of a cluster is asked."""
    return f"heliograph.traces.{VERSION}.{cluster}"


def in_parts(told: TraceTold, changes: Sequence[Change]) -> list[TraceTold]:
    """Return an answer with these changes, one in each part; there is always one part."""
    parts = max(1, len(changes))
    return [
        msgspec.structs.replace(
            told, part=number, parts=parts, changes=tuple(changes[number : number + 1])
        )
        for number in range(parts)
    ]


class MalformedTrace(TerminalError):
    """A question about a Service's changes, or an answer, that this version cannot read."""


def encode_trace(message: TraceAsked | TraceTold) -> bytes:
    """Return what travels on the bus."""
    return msgspec.json.encode(message)


def decode_asked(payload: bytes) -> TraceAsked:
    """Return a question.

    Raises:
        MalformedTrace: The bytes are none.
    """
    return _decode(payload, TraceAsked)


def decode_told(payload: bytes) -> TraceTold:
    """Return one part of an answer.

    Raises:
        MalformedTrace: The bytes are none.
    """
    return _decode(payload, TraceTold)


def _decode(payload: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedTrace(f"{kind.__name__} cannot be read: {error}") from error
