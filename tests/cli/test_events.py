"""`heliograph events` as a person and as a program read it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.cli.app import run
from heliograph.contract.messages import ClusterAnnounced, ServiceExported, ServicePort, encode
from heliograph.contract.subjects import Kind
from tests.bus.support import connected, embedded
from tests.support.announcing import make_stream
from tests.support.builders import CREATED, subject

pytestmark = pytest.mark.nats

EAST = ClusterAnnounced(service_cidrs=("10.96.0.0/16",), peering="kilo", version="1.2.3")
CART = ServiceExported(
    ports=(ServicePort(port=80),), cluster_ips=("10.96.0.7",), ready=True, exported_at=CREATED
)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The URL of a bus with cluster east and one Service of it."""

    async def fill(url: str) -> None:
        async with connected(url) as connection:
            await make_stream(connection)
            await connection.request("heliograph.v1.east.cluster.east", encode(EAST))
            headers = {"ce-time": CREATED, "ce-id": "7-1"}
            await connection.publish(str(subject(Kind.SERVICE, "cart")), encode(CART), headers)

    with embedded(tmp_path / "nats") as server:
        asyncio.run(fill(server.url))
        yield server.url


def test_people_see_a_line_for_each_thing(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """When, whose, what, and how it is."""
    assert run(["events", "--nats", url]) == 0

    header, *lines = (line.split(None, 5) for line in capsys.readouterr().out.splitlines())
    assert header == ["TIME", "CHANGE", "CLUSTER", "KIND", "NAME", "WHAT"]
    east = "services 10.96.0.0/16; peering kilo; version 1.2.3"
    assert sorted(lines) == [
        ["-", "added", "east", "cluster", "east", east],
        [CREATED, "added", "east", "service", "shop/cart", "10.96.0.7 80/TCP; ready"],
    ]


def test_programs_read_a_json_object_on_each_line(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message is in it as the contract has it; the last one says that all was told."""
    assert run(["events", "--nats", url, "--json", "--kind", "service"]) == 0

    cart, synced = map(json.loads, capsys.readouterr().out.splitlines())
    assert cart["data"] == json.loads(encode(CART))
    assert cart["stored_at_ns"] > 0
    del cart["data"], cart["stored_at_ns"]
    assert cart == {
        "change": "added",
        "cluster": "east",
        "kind": "service",
        "namespace": "shop",
        "name": "cart",
        "id": "7-1",
        "time": CREATED,
    }
    assert synced == {"change": "synced", "cluster": "east"}


def test_nothing_found_is_said(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As kubectl says it: on standard error, and that is no failure."""
    assert run(["events", "--nats", url, "-n", "nowhere"]) == 0
    assert capsys.readouterr() == ("", "No events found.\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--kind", "services"), "'services' is no kind of mesh event; did you mean service?"),
        (("--cluster", "eats"), "cluster 'eats' has nothing on the bus"),
        (("--cluster", "eats"), "; did you mean east?"),
        (("--cluster", "East_1"), "is no cluster id"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(
    url: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    """One sentence, exit code 2."""
    assert run(["events", "--nats", url, *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_pipe_that_is_closed_is_no_failure(url: str) -> None:
    """As with `heliograph events --follow | head`: it ends quietly at the next line."""
    command = f"{sys.executable} -m heliograph events --follow --json --nats {url} | :"
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)  # noqa: S607

    assert (ran.stdout, ran.stderr) == ("", "")
