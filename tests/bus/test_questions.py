"""Questions over a bus, and who is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from heliograph.bus import Answering, Connection, Message, ask
from heliograph.bus.background import alongside
from tests.bus.support import connected, embedded

pytestmark = pytest.mark.nats

SUBJECTS = ("heliograph.ask.one", "heliograph.ask.two")


def echo(question: Message) -> Iterator[bytes]:
    """Say where the question came, and then what it was."""
    yield question.subject.encode()
    yield question.payload


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncIterator[Connection]:
    """A connection to a bus where somebody answers."""
    with embedded(tmp_path / "nats") as server:
        async with connected(server.url) as connection, connected(server.url) as other:
            answering = Answering(other, SUBJECTS, echo)
            async with alongside(answering.run()):
                yield connection


async def answer(connection: Connection, subject: str, question: bytes) -> list[bytes]:
    """Ask until the answer, of two parts, is there; the first time nobody may listen yet."""
    parts: list[bytes] = []

    def enough(part: bytes) -> bool:
        parts.append(part)
        return len(parts) == 2

    while not parts:
        await ask(connection, subject, question, enough=enough, within_s=5)
    return parts


async def test_each_subject_is_answered(asking: Connection) -> None:
    """Answers of several parts come whole, from every subject that is listened to."""
    for subject in SUBJECTS:
        assert await answer(asking, subject, b"why") == [subject.encode(), b"why"]


async def test_nobody_makes_a_program_write_elsewhere(asking: Connection) -> None:
    """A question that names a subject of a stream for its answer is not answered there."""
    written: list[bytes] = []
    await asking.subscribe("heliograph.v1.>", lambda message: written.append(message.payload))
    await answer(asking, SUBJECTS[0], b"first")  # it listens
    await asking.publish(SUBJECTS[0], b"forged", reply="heliograph.v1.x.service.shop.cart")
    await answer(asking, SUBJECTS[0], b"last")  # the one before was taken by now

    assert written == []
