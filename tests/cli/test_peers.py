"""`heliograph peers` shows what agents answer, over a real bus."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from heliograph.bus import EmbeddedServer
from heliograph.bus.background import alongside
from heliograph.cli.app import run
from heliograph.cli.asked import AskSettings
from heliograph.cli.peers_shown import NotAnswered, Output, ago, peers, size
from heliograph.contract.messages import LinkStated, encode
from heliograph.contract.tunnels import Tunnel, TunnelsTold, in_parts
from heliograph.errors import InputError
from heliograph.run.settings import ProgramSettings
from heliograph.run.tunnels import Collected
from services.peerer.wireguard.answering import Answering
from tests.bus.support import connected, embedded
from tests.support.announcing import make_stream
from tests.support.builders import EAST, KEY, OTHER_KEY

X1 = Tunnel(
    exporting="west",
    peer="x1",
    public_key=KEY,
    state="answering",
    endpoint="203.0.113.9:51820",
    handshake_age_s=75.4,
    received_bytes=1_268_776,
    sent_bytes=148,
    ranges=("10.42.0.0/24", "10.96.0.0/16", "100.64.16.5/32"),
    claims=("10.96.0.0/16",),
)
X2 = Tunnel(exporting="west", peer="x2", public_key=OTHER_KEY, state="roaming", roams=True)
N1 = Tunnel(
    exporting="north", peer="n1", public_key=OTHER_KEY, state="silent", ranges=("10.9.0.0/24",)
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.9, "0s"), (59, "59s"), (185, "3m5s"), (7_800, "2h10m"), (356_400, "4d3h")],
)
def test_ages_are_written_as_kubectl_does(seconds: float, text: str) -> None:
    """The two greatest units, without a space."""
    assert ago(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (5 << 50, "5.00 PiB")]
)
def test_amounts_are_written_as_wg_does(count: int, text: str) -> None:
    """In powers of 1,024, with two digits behind the point."""
    assert size(count) == text


def test_half_an_answer_is_none() -> None:
    """A node has answered when all parts are there; one that answers anew begins anew."""
    first, second, third = in_parts("w1", [X1] * 201)
    collected = Collected()
    collected.put(third)
    collected.put(first)
    assert collected.whole() == {}
    collected.put(second)
    assert {node: len(found) for node, found in collected.whole().items()} == {"w1": 201}
    collected.put(TunnelsTold(node="w1", tunnels=(X2,)))
    assert collected.whole() == {"w1": (X2,)}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """Run the bus of cluster east."""
    with embedded(tmp_path / "nats") as running:
        async with connected(running.url) as connection:
            await make_stream(connection)
        yield running


@contextlib.asynccontextmanager
async def agents(server: EmbeddedServer, **tunnels: tuple[Tunnel, ...]) -> AsyncIterator[None]:
    """Let the agents of these nodes answer; each has stated something before."""
    async with contextlib.AsyncExitStack() as stack:
        connection = await stack.enter_async_context(connected(server.url))
        for node, found in tunnels.items():
            answering = Answering(connection, EAST, node, lambda found=found: found)  # type: ignore[misc]
            await stack.enter_async_context(alongside(answering.run()))
            await state(server, node)
        yield


async def state(server: EmbeddedServer, node: str) -> None:
    """Let a node's agent state something, and wait until that is stored."""
    async with connected(server.url) as connection:
        payload = encode(LinkStated())
        await connection.request(f"heliograph.v1.{EAST}.link.{node}", payload)


async def ask(
    server: EmbeddedServer,
    which: str | None = None,
    output: Output | None = None,
    wait_s: float = 10,
) -> int:
    """Run the command for cluster east."""
    program = ProgramSettings(nats=(server.url,))
    return await peers(program, AskSettings(cluster=EAST, wait_s=wait_s), which, output)


def rows(text: str) -> list[list[str]]:
    """Return the cells of a table, of which two spaces or more are the borders."""
    return [[cell for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]


@pytest.mark.nats
async def test_a_person_sees_a_table(
    server: EmbeddedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each tunnel of each node; claims apart from what is the peer's own."""
    async with agents(server, n1=(X1, X2), n2=(N1,)):
        assert await ask(server) == 0

    header, *lines = rows(capsys.readouterr().out)
    assert [cell.strip() for cell in header] == [
        *("NODE", "CLUSTER", "PEER", "STATE", "ENDPOINT", "HANDSHAKE"),
        *("RECEIVED", "SENT", "RANGES", "CLAIMS"),
    ]
    assert [[cell.strip() for cell in line] for line in lines] == [
        [
            *("n1", "west", "x1", "answering", "203.0.113.9:51820", "1m15s ago"),
            *("1.21 MiB", "148 B", "10.42.0.0/24,100.64.16.5/32", "10.96.0.0/16"),
        ],
        [
            *("n1", "west", "x2", "roaming", "<none> (roams)", "<none>"),
            *("0 B", "0 B", "<none>", "<none>"),
        ],
        [
            *("n2", "north", "n1", "silent", "<none>", "<none>"),
            *("0 B", "0 B", "10.9.0.0/24", "<none>"),
        ],
    ]


@pytest.mark.nats
@pytest.mark.parametrize(
    ("which", "shown"),
    [
        ("n1", [("n1", "x1"), ("n1", "x2"), ("n2", "n1")]),
        ("n2", [("n2", "n1")]),
        ("west", [("n1", "x1"), ("n1", "x2")]),
        ("x2", [("n1", "x2")]),
    ],
)
async def test_programs_get_json(
    server: EmbeddedServer,
    capsys: pytest.CaptureFixture[str],
    which: str,
    shown: list[tuple[str, str]],
) -> None:
    """Of all, of one node with all its tunnels, or of one cluster at the other end."""
    async with agents(server, n1=(X1, X2), n2=(N1,)):
        assert await ask(server, which, "json") == 0

    report = json.loads(capsys.readouterr().out)
    assert [(n["node"], t["peer"]) for n in report["nodes"] for t in n["tunnels"]] == shown
    assert (report["cluster"], report["missing"]) == ("east", [])


@pytest.mark.nats
async def test_programs_get_yaml(
    server: EmbeddedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same, under the same names."""
    async with agents(server, n1=(X1,)):
        assert await ask(server, output="yaml") == 0

    (node,) = yaml.safe_load(capsys.readouterr().out)["nodes"]
    assert node["tunnels"][0]["claims"] == ["10.96.0.0/16"]
    assert node["tunnels"][0]["handshake_age_s"] == 75.4


@pytest.mark.nats
async def test_agents_that_do_not_answer_are_named(
    server: EmbeddedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the others say is shown all the same; a fault, though, for whoever relies on it."""
    await state(server, "n3")
    async with agents(server, n1=(X1,)):
        with pytest.raises(NotAnswered, match="agent of node n3 of cluster east did not answer"):
            await ask(server, wait_s=0.5)
        assert "x1" in capsys.readouterr().out
        assert await ask(server, "n1", wait_s=0.5) == 0  # about n1 nothing is missing


@pytest.mark.nats
async def test_a_name_that_nobody_has_is_bad_input(server: EmbeddedServer) -> None:
    """It can be told once all agents have answered."""
    async with agents(server, n1=(X1,)):
        with pytest.raises(InputError, match="'n9' is neither a node of cluster east"):
            await ask(server, "n9")


@pytest.mark.nats
async def test_a_node_without_tunnels_is_none_missing(
    server: EmbeddedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its agent answered, and has nothing to tell: programs get an empty list."""
    async with agents(server, n1=()):
        assert await ask(server) == 0
        assert capsys.readouterr() == ("", "No tunnels found.\n")


@pytest.mark.nats
async def test_a_bus_without_agents_is_told_apart(server: EmbeddedServer) -> None:
    """The wrong bus, or a cluster with Kilo."""
    with pytest.raises(NotAnswered, match="is this the bus of east"):
        await ask(server, wait_s=0.2)


def test_json_has_a_flag_of_its_own_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As every list of ours; here it is the same as `-o json`."""
    asked: list[object] = []

    async def note(*given: object) -> int:
        asked.append(given[-1])
        return 0

    monkeypatch.setattr("heliograph.cli.peers_shown.peers", note)
    assert run(["peers", "--cluster", "east", "--json"]) == 0
    assert run(["peers", "--cluster", "east", "-o", "yaml"]) == 0
    assert asked == ["json", "yaml"]
    assert capsys.readouterr().err == ""


def test_a_cluster_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Bad input: one sentence, exit code 2."""
    assert run(["peers"]) == 2
    assert "setting 'cluster' is missing" in capsys.readouterr().err
