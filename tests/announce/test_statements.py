"""Statements: the part of a stream that one program owns says what stands, again if need be."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping

import pytest

from heliograph import telemetry
from heliograph.announce.statements import Part, Statements
from heliograph.bus import Connection, Message
from heliograph.bus.background import alongside
from heliograph.contract.messages import Link, LinkStated, LinkWithdrawn, decode
from heliograph.contract.subjects import Kind, Subject, kind_filter, parse_subject
from heliograph.metrics import Metrics
from tests.bus.support import eventually, writing
from tests.support.builders import EAST, subject

pytestmark = pytest.mark.nats

N1, N2 = subject(Kind.LINK, "n1"), subject(Kind.LINK, "n2")
ANSWERING = LinkStated(links=(Link(exporting="west", answering=2),))
SILENT = LinkStated(links=(Link(exporting="west", silent=("w1", "w2")),))


class Heard:
    """What a stream is told of links, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[Subject, object]] = []

    def take(self, message: Message) -> None:
        """Take one message."""
        where = parse_subject(message.subject)
        self.told.append((where, decode(where, message.payload)))


@contextlib.asynccontextmanager
async def stating(
    connection: Connection, standing: Mapping[str, LinkStated]
) -> AsyncIterator[tuple[Statements[str], Heard]]:
    """State what stands of node n1's links, and of no other node's."""
    heard = Heard()
    subscription = await connection.subscribe(kind_filter(EAST, Kind.LINK), heard.take)
    statements: Statements[str] = Statements(
        connection,
        Part(cluster=EAST, kind=Kind.LINK, owned=lambda where: where.name == "n1"),
        messages=lambda node: {N1: standing[node]} if node in standing else {},
        telemetry=telemetry.disabled(),
        metrics=Metrics("agent", EAST),
    )
    async with alongside(statements.run(lambda: standing)):
        yield statements, heard
    await subscription.unsubscribe()


async def test_what_stands_is_stated_once(connection: Connection) -> None:
    """Stating the same again costs no message; what changes does."""
    standing = {"n1": ANSWERING}
    async with stating(connection, standing) as (statements, heard):
        await eventually(lambda: heard.told == [(N1, ANSWERING)])
        statements.state("n1")
        standing["n1"] = SILENT
        statements.state("n1")

        await eventually(lambda: heard.told == [(N1, ANSWERING), (N1, SILENT)])


async def test_a_repetition_is_published_though_nothing_changed(connection: Connection) -> None:
    """It is a sign of life; and what changes after it is stated as ever."""
    standing = {"n1": ANSWERING}
    async with stating(connection, standing) as (statements, heard):
        await eventually(lambda: heard.told == [(N1, ANSWERING)])
        for count in (2, 3):
            statements.repeat("n1")
            await eventually(lambda count=count: heard.told == [(N1, ANSWERING)] * count)  # type: ignore[misc]
        standing["n1"] = SILENT
        statements.state("n1")

        await eventually(lambda: heard.told == [*[(N1, ANSWERING)] * 3, (N1, SILENT)])


async def test_a_repetition_says_what_stands_now(connection: Connection) -> None:
    """It never brings an older statement back, and withdraws what does not stand any more."""
    standing = {"n1": ANSWERING}
    async with stating(connection, standing) as (statements, heard):
        await eventually(lambda: heard.told == [(N1, ANSWERING)])
        del standing["n1"]
        statements.repeat("n1")

        await eventually(lambda: heard.told == [(N1, ANSWERING), (N1, LinkWithdrawn())])


async def test_repeating_before_the_stream_was_read_is_harmless(connection: Connection) -> None:
    """What stands is stated when it was."""
    standing = {"n1": ANSWERING}
    async with stating(connection, standing) as (statements, heard):
        statements.repeat("n1")
        await eventually(lambda: heard.told == [(N1, ANSWERING)])
        statements.repeat("n1")

        await eventually(lambda: heard.told == [(N1, ANSWERING)] * 2)


async def test_leftovers_of_an_earlier_incarnation_go_and_others_are_left(
    connection: Connection,
) -> None:
    """Only what is owned is withdrawn, and only once everything was looked at."""
    async with writing(connection) as writer:
        for where in (N1, N2):
            writer.offer(str(where), '{"type":"link.stated.v1"}')
        await writer.settled()
    async with stating(connection, {}) as (statements, heard):
        statements.looked_at_everything()

        await eventually(lambda: heard.told == [(N1, LinkWithdrawn())])
