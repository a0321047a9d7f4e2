"""The own agents' statements, followed on a real bus."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from heliograph.bus import Connection, delete_stream
from heliograph.bus.background import alongside
from heliograph.contract.messages import Link, LinkStated, LinkWithdrawn, Message, encode
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import stream_name
from heliograph.imports.links import LinkFollower
from tests.bus.support import connected, embedded, eventually
from tests.support.announcing import make_stream
from tests.support.builders import EAST

pytestmark = pytest.mark.nats

WEST = ClusterId("west")
SILENT = LinkStated(links=(Link(exporting=WEST, silent=("w1",)),))
ANSWERING = LinkStated(links=(Link(exporting=WEST, answering=1),))


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[Connection]:
    """Return a connection to a server that has the stream of cluster east."""
    async with embedded(tmp_path / "nats") as server, connected(server.url) as made:
        await make_stream(made)
        yield made


async def state(
    connection: Connection, node: str, message: Message, epoch: int = 1, cluster: str = EAST
) -> None:
    """Let a node's agent state something; return when the stream has it."""
    subject, inbox = f"heliograph.v1.{cluster}.link.{node}", connection.new_inbox()
    stored = asyncio.Event()
    answers = await connection.subscribe(inbox, lambda _: stored.set())
    headers = {"Heliograph-Epoch": str(epoch)}
    await connection.publish(subject, encode(message), headers, reply=inbox)
    async with asyncio.timeout(10):
        await stored.wait()
    await answers.unsubscribe()


class Following:
    """A follower with what it told."""

    def __init__(self, connection: Connection) -> None:
        self.told: list[set[str]] = []
        self.follower = LinkFollower(connection, EAST, changed=self.told.append)

    def path(self) -> str:
        """Return the path to west, now."""
        return self.follower.table.path(WEST, asyncio.get_running_loop().time())


@contextlib.asynccontextmanager
async def following(connection: Connection) -> AsyncIterator[Following]:
    """Follow, and begin when all that was stated before is known."""
    made = Following(connection)
    async with alongside(made.follower.run()):
        await made.follower.known.wait()
        yield made


async def test_what_was_stated_before_and_what_changes_is_followed(connection: Connection) -> None:
    """Each change is told with the cluster that it is about; a withdrawal is one."""
    await state(connection, "n1", SILENT)
    async with following(connection) as west:
        assert (west.path(), west.told) == ("silent", [{WEST}])
        await state(connection, "n2", ANSWERING)
        await eventually(lambda: west.path() == "answering")
        await state(connection, "n2", LinkWithdrawn())
        await eventually(lambda: west.path() == "silent")

        assert west.told == [{WEST}] * 3


async def test_every_agent_has_epochs_of_its_own(connection: Connection) -> None:
    """One that began long ago counts beside one that has just begun, and after it."""
    async with following(connection) as west:
        await state(connection, "n1", SILENT, epoch=1000)
        await eventually(lambda: west.path() == "silent")
        await state(connection, "n2", ANSWERING, epoch=1)

        await eventually(lambda: west.path() == "answering")


async def test_what_cannot_be_read_is_harmless_and_logged_once(connection: Connection) -> None:
    """What that node stated before stands, also when the stream is read anew."""
    await state(connection, "n1", SILENT)
    with capture_logs() as logs:
        async with following(connection) as west:
            for payload in (b"nonsense", b'{"type":"node.withdrawn.v1"}'):
                await connection.publish("heliograph.v1.east.link.n1", payload)
            await connection.publish("heliograph.v1.east.link.N2.more", encode(ANSWERING))
            await state(connection, "n3", LinkStated(links=(Link(exporting="south"),)))
            await eventually(lambda: "n3" in west.follower.table.nodes())

            assert west.path() == "silent"

    rejected = [log for log in logs if log["event"] == "link message rejected"]
    assert len(rejected) == 2  # one for each reason


async def test_a_stream_that_lost_everything_says_nothing(connection: Connection) -> None:
    """What it does not hold any more was taken back, until the agents state it again."""
    await state(connection, "n1", SILENT)
    async with following(connection) as west:
        await delete_stream(connection, stream_name(EAST))
        await make_stream(connection)
        await eventually(lambda: west.path() == "unknown")
        await state(connection, "n1", SILENT)

        await eventually(lambda: west.path() == "silent")


async def test_without_a_stream_nothing_is_waited_for(connection: Connection) -> None:
    """A cluster whose watcher never ran has no agents that spoke."""
    await delete_stream(connection, stream_name(EAST))
    async with following(connection) as west:
        assert west.path() == "unknown"
