"""`heliograph status` as a person and as a program read it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.bus.background import alongside
from heliograph.cli import status_shown
from heliograph.cli.app import run
from heliograph.cli.status_shown import Reach
from heliograph.contract.messages import ClusterAnnounced, encode
from heliograph.run.settings import BusSettings
from tests.bus.support import connected, embedded
from tests.support.announcing import make_stream

pytestmark = pytest.mark.nats


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The URL of an empty bus."""
    with embedded(tmp_path / "nats") as server:
        yield server.url


@pytest.fixture
def joined(url: str) -> str:
    """The URL of a bus with cluster east, of which no program answers."""

    async def fill() -> None:
        async with connected(url) as connection:
            await make_stream(connection)
            announced = encode(ClusterAnnounced(peering="kilo", version="1.2.3"))
            await connection.request("heliograph.v1.east.cluster.east", announced)

    asyncio.run(fill())
    return url


def test_an_empty_bus_has_no_clusters(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """That is said, and is no problem."""
    assert run(["status", "--nats", url]) == 0
    assert "No clusters found on this bus" in capsys.readouterr().out


def test_people_see_what_is_wrong_and_a_line_for_each_cluster(
    joined: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong first; a warning is no failure."""
    assert run(["status", "--nats", joined]) == 0

    wrong, _, heading, east = capsys.readouterr().out.splitlines()[:4]
    assert wrong.startswith("warning  east: none of its programs answers on this bus; ")
    assert heading.split()[:3] == ["CLUSTER", "LEASE", "PROGRAMS"]
    cells = east.split()
    assert (cells[0], cells[1], cells[3:6]) == ("east", "held", ["0/0", "1.2.3", "kilo"])


def test_programs_read_one_json_object(joined: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the same in it."""
    assert run(["status", "--nats", joined, "--json"]) == 0

    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], [one["reason"] for one in report["findings"]]) == (True, ["NoAnswer"])
    (row,) = report["clusters"]
    assert (row["cluster"], row["version"], row["mirrors"]) == ("east", "1.2.3", None)


@pytest.mark.parametrize("as_json", [True, False])
async def test_a_bus_that_goes_away_is_told_with_the_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    """Which one and since when, the same time again and again; a program reads none of it."""
    with embedded(tmp_path / "nats") as server:
        async with connected(server.url) as connection:
            await make_stream(connection)
        reach = Reach(BusSettings(nats=(server.url,)), None, ())
        said: list[str] = []

        async def until(stream: int, words: str, times: int) -> None:
            async with asyncio.timeout(30):
                while sum(words in text for text in said) < times:
                    await asyncio.sleep(0.05)
                    said.extend(capsys.readouterr()[stream].splitlines())

        async def look() -> None:
            await status_shown.watch(reach, as_json=as_json)

        async with alongside(look()):
            await until(0, '"ok"' if as_json else "CLUSTER", 1)
            server.stop()
            await until(1 if as_json else 0, f"bus {server.url} is not reached, since 20", 2)

    away = {text for text in said if "is not reached" in text}
    assert len(away) == 1
    assert away.pop().endswith("Z; mirrors stay as they are")
