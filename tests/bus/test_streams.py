"""Streams are made as they should be, repaired when they differ, and left alone otherwise."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from heliograph.bus import (
    Connection,
    JetStreamError,
    JetStreamUnavailable,
    Message,
    StreamMissing,
    StreamSettings,
    delete_stream,
    ensure_stream,
    stream_info,
    stream_names,
)
from tests.bus.support import STREAM, STREAM_SETTINGS, writing

pytestmark = pytest.mark.nats


async def config(connection: Connection, name: str = STREAM) -> dict[str, Any]:
    reply = await connection.request(f"$JS.API.STREAM.INFO.{name}")
    found: dict[str, Any] = msgspec.json.decode(reply.payload)["config"]
    return found


async def test_a_stream_of_the_last_message_per_subject(connection: Connection) -> None:
    """On disk, one message per subject, oldest go first, time to live allowed."""
    found = await config(connection)
    assert {
        "subjects": ["east.>"],
        "storage": "file",
        "retention": "limits",
        "discard": "old",
        "max_msgs_per_subject": 1,
        "max_bytes": -1,
        "num_replicas": 1,
        "duplicate_window": 120_000_000_000,
        "allow_msg_ttl": True,
        "allow_direct": True,
    }.items() <= found.items()


async def test_ensuring_again_changes_nothing(connection: Connection) -> None:
    """What is there stays there, and what the stream holds is told."""
    before = await stream_info(connection, STREAM)
    async with writing(connection) as writer:
        for subject in ("east.a", "east.b", "east.a"):
            writer.offer(subject, "x")
            await writer.settled()
    after = await ensure_stream(connection, STREAM_SETTINGS)
    assert (after.name, after.created) == (STREAM, before.created)
    assert (after.messages, after.first_sequence, after.last_sequence) == (2, 2, 3)


async def test_a_difference_is_repaired_and_an_operators_fields_stay(
    connection: Connection,
) -> None:
    """Ours are put right; what we do not speak of is the operator's."""
    theirs = await config(connection)
    theirs |= {"description": "mind the gap", "max_msgs_per_subject": 3, "max_bytes": 1 << 30}
    body = msgspec.json.encode(theirs)
    await connection.request(f"$JS.API.STREAM.UPDATE.{STREAM}", body)
    await ensure_stream(connection, STREAM_SETTINGS)
    found = await config(connection)
    assert (found["description"], found["max_msgs_per_subject"], found["max_bytes"]) == (
        "mind the gap",
        1,
        -1,
    )


async def test_the_settings_reach_the_stream(connection: Connection) -> None:
    """Limits and windows are as asked for, also later."""
    settings = StreamSettings(
        name="OTHER", subjects=("x.>", "y.*"), duplicate_window_s=60, max_bytes=1 << 20
    )
    await ensure_stream(connection, settings)
    await ensure_stream(connection, msgspec.structs.replace(settings, subjects=("x.>",)))
    found = await config(connection, "OTHER")
    assert (found["subjects"], found["duplicate_window"], found["max_bytes"]) == (
        ["x.>"],
        60_000_000_000,
        1 << 20,
    )


async def test_who_stores_a_subject(connection: Connection) -> None:
    """The names tell whether a subject is taken."""
    assert await stream_names(connection, "east.a") == (STREAM,)
    assert await stream_names(connection, "north.a") == ()


async def test_subjects_of_another_stream_are_refused(connection: Connection) -> None:
    """JetStream's words and number arrive as they are."""
    with pytest.raises(
        JetStreamError, match=r"creating stream THIEF: .*subjects overlap"
    ) as raised:
        await ensure_stream(connection, StreamSettings(name="THIEF", subjects=("east.node.>",)))
    assert raised.value.code == 10065


async def test_a_stream_that_is_gone(connection: Connection) -> None:
    """Looking at it and deleting it again both say so."""
    await delete_stream(connection, STREAM)
    for missing in (stream_info, delete_stream):
        with pytest.raises(StreamMissing, match=f"stream {STREAM} does not exist") as raised:
            await missing(connection, STREAM)
        assert raised.value.stream == STREAM


class Answering:
    """A connection whose every request gets the next of these answers."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)

    async def request(
        self, subject: str, payload: bytes = b"", *, timeout_s: float = 2.0
    ) -> Message:
        """Answer."""
        assert payload is not None
        assert timeout_s
        answer = self.answers.pop(0)
        return Message(subject=subject, payload=answer, reply="", headers={})


MISSING = b'{"error":{"code":404,"err_code":10059,"description":"stream not found"}}'
TAKEN = b'{"error":{"code":400,"err_code":10058,"description":"stream name already in use"}}'
BUSY = b'{"error":{"code":503,"err_code":10008,"description":"temporarily unavailable"}}'
FOUND = msgspec.json.encode(
    {
        "config": {"name": STREAM},
        "created": "2026-01-01T00:00:00Z",
        "state": {"messages": 1, "first_seq": 1, "last_seq": 1},
    }
)


async def test_somebody_else_makes_the_stream_at_the_same_time() -> None:
    """Who comes second takes the stream that is there."""
    found = await ensure_stream(Answering(MISSING, TAKEN, FOUND), STREAM_SETTINGS)
    assert found.messages == 1


async def test_jetstream_is_not_ready() -> None:
    """A server that is starting, or electing, is worth another attempt."""
    with pytest.raises(JetStreamUnavailable, match=f"looking at stream {STREAM}: .*unavailable"):
        await stream_info(Answering(BUSY), STREAM)


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b'{"config":{}}'])
async def test_an_answer_that_makes_no_sense(answer: bytes) -> None:
    """Whatever comes, it is an error of ours."""
    with pytest.raises(JetStreamError, match="something unreadable"):
        await stream_info(Answering(answer), STREAM)
