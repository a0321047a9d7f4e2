"""`heliograph trace` shows how a Service's changes travelled, over a real bus."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from heliograph.bus import EmbeddedServer
from heliograph.bus.background import alongside
from heliograph.cli.app import run
from heliograph.cli.services import ServiceName
from heliograph.cli.traced import NotAnswered, Wanted, trace
from heliograph.cli.waterfall import Hop, bar, end_s, hops, rows
from heliograph.contract.feedback import Feedback, Step
from heliograph.contract.names import ClusterId
from heliograph.contract.traces import Answer, Change, traces_subject
from heliograph.errors import InputError
from heliograph.run.settings import BusSettings
from services.watcher.answering import TraceAnswering
from services.watcher.table import ServiceKey
from services.watcher.trail import Departure, Trail
from tests.bus.support import connected, embedded
from tests.support.announcing import make_stream
from tests.support.builders import EAST
from tests.support.joined import NAMESPACE, bus_server, eventually, joined

WEST = ClusterId("west")
CART = ServiceKey("shop", "cart")
STEPS = (
    Step(name="plan", begun_s=0.001, ended_s=0.002),
    Step(name="apply", begun_s=0.002, ended_s=0.007),
)
ANSWER = Answer(importing=WEST, outcome="applied", heard_s=0.014, seconds=0.008, steps=STEPS)
CHANGE = Change(
    event_id="1-1",
    type="service.exported.v1",
    name="cart",
    seen_at="2026-11-27T10:00:00.000000Z",
    sent_s=0.002,
    stored_s=0.004,
    answers=(ANSWER,),
)


def test_each_hop_says_whose_clock_measured_it() -> None:
    """What is left of the exporting cluster's time is the bus, one half in each direction."""
    found = [
        (hop.name, hop.clock, round(hop.begun_s, 6), round(hop.took_s, 6))
        for hop in hops(EAST, CHANGE)
    ]
    assert found == [
        ("watch", "east", 0, 0.002),
        ("publish", "east", 0.002, 0.002),
        ("to west", "east less west", 0.002, 0.002),
        ("wait", "west", 0.004, 0.001),
        ("plan", "west", 0.005, 0.001),
        ("apply", "west", 0.006, 0.005),
        ("settle", "west", 0.011, 0.001),
        ("from west", "east less west", 0.012, 0.002),
    ]
    assert end_s(CHANGE) == 0.014


def test_an_older_importing_cluster_tells_no_steps() -> None:
    """Its work is one hop; a change that nobody has answered ends when it was stored."""
    old = Change(
        event_id="1-1",
        type="service.exported.v1",
        name="cart",
        seen_at="2026-11-27T10:00:00.000000Z",
        sent_s=0.002,
        answers=(Answer(importing=WEST, outcome="applied", heard_s=0.01, seconds=0.009),),
    )
    assert [hop.name for hop in hops(EAST, old)] == ["watch", "to west", "all", "from west"]
    assert [hop.took_s for hop in hops(EAST, old)][1] == 0  # clocks run at different speeds


@pytest.mark.parametrize(
    ("begun_s", "took_s", "drawn"),
    [
        (0, 1, "##########"),
        (0.5, 0.2, "     ##   "),
        (0.5, 0, "     #    "),
        (1, 0, "         #"),
        (-1, 9, "##########"),
    ],
)
def test_a_hop_is_a_bar_at_its_place(begun_s: float, took_s: float, drawn: str) -> None:
    """However short, it can be seen; however long, it stays inside."""
    hop = Hop(name="plan", clock=WEST, begun_s=begun_s, took_s=took_s)
    assert bar(hop, 1.0, 10, "#") == drawn


def test_columns_stand_below_one_another() -> None:
    """The header has the widths of what is below it."""
    header, *lines = rows(hops(EAST, CHANGE), end_s(CHANGE), width=14, mark="#")
    assert header == "  HOP        CLOCK               BEGUN       TOOK"
    assert lines[0] == "  watch      east                  0.0        2.0  ##"
    assert lines[5] == "  apply      west                  6.0        5.0        #####"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    """Run the bus of cluster east."""
    with embedded(tmp_path / "nats") as running:
        async with connected(running.url) as connection:
            await make_stream(connection)
        yield running


@contextlib.asynccontextmanager
async def watcher(server: EmbeddedServer, trail: Trail) -> AsyncIterator[None]:
    """Let east's watcher answer; it exports shop/cart."""
    async with connected(server.url) as connection:
        answering = TraceAnswering(connection, EAST, trail, lambda key: key == CART)
        async with alongside(answering.run()):
            await eventually(lambda: answers(connection))
            yield


def answers(connection: object) -> bool:
    """Tell whether a connection has its subscription to questions."""
    return any(
        subscription.subject == traces_subject(EAST)
        for subscription in connection._subscriptions  # type: ignore[attr-defined]  # noqa: SLF001
    )


async def ask(
    server: EmbeddedServer,
    service: str = "shop/cart",
    cluster: str | None = None,
    *,
    as_json: bool = False,
) -> int:
    """Run the command."""
    settings = BusSettings(nats=(server.url,)).bus("trace", cluster)
    wanted = Wanted(service=ServiceName.parse(service), cluster=cluster)
    return await trace(settings, wanted, as_json=as_json)


def remembered(count: int = 1) -> Trail:
    """Return a trail with some changes of shop/cart, each answered by west."""
    trail = Trail()
    for number in range(count):
        departure = Departure(
            event_id=f"1-{number}",
            type="service.exported.v1",
            name="cart",
            seen_at="2026-11-27T10:00:00.000000Z",
            seen_s=100,
            sent_s=100.002,
            trace_id="0af7651916cd43dd8448eb211c80319c",
        )
        trail.sent(CART, departure)
        trail.stored(f"1-{number}", now_s=100.004)
        said = Feedback(event_id=f"1-{number}", outcome="applied", seconds=0.008, steps=STEPS)
        trail.answered(WEST, said, now_s=100.014)
    return trail


@pytest.mark.nats
async def test_a_person_sees_a_waterfall(
    server: EmbeddedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each hop, and whose clock it is by; without a cluster all of the bus are asked."""
    async with watcher(server, remembered()):
        assert await ask(server) == 0

    text = capsys.readouterr().out
    assert "shop/cart is exported by east: 1 change known, since its watcher began at" in text
    assert "service.exported cart  14.0 ms  trace 0af7651916cd43dd8448eb211c80319c" in text
    names = [line.split()[0] for line in text.splitlines() if line.startswith("  ")]
    assert names == ["HOP", "watch", "publish", "to", "wait", "plan", "apply", "settle", "from"]
    assert "no two clocks are compared" in text
    assert "\x1b" not in text


@pytest.mark.nats
async def test_programs_get_all_of_it(
    server: EmbeddedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The latest changes, the newest last, in as many messages as it takes."""
    async with watcher(server, remembered(3)):
        assert await ask(server, cluster=EAST, as_json=True) == 0

    report = json.loads(capsys.readouterr().out)
    (told,) = report["clusters"]
    assert (told["cluster"], told["exported"], report["silent"]) == ("east", True, [])
    assert [change["event_id"] for change in told["changes"]] == ["1-0", "1-1", "1-2"]
    (answer,) = told["changes"][0]["answers"]
    assert (answer["importing"], answer["heard_s"], answer["seconds"]) == ("west", 0.014, 0.008)


@pytest.mark.nats
async def test_a_service_without_changes_is_known_all_the_same(
    server: EmbeddedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is exported; nothing has changed since the watcher began."""
    async with watcher(server, Trail()):
        assert await ask(server) == 0
    assert "shop/cart is exported by east: no change known" in capsys.readouterr().out


@pytest.mark.nats
async def test_a_name_that_nobody_exports_is_bad_input(server: EmbeddedServer) -> None:
    """Names that are like it are offered, of what the clusters export."""
    async with connected(server.url) as connection:
        await connection.request(f"heliograph.v1.{EAST}.service.shop.cart", b"{}")
    async with watcher(server, Trail()):
        with pytest.raises(InputError, match=r"by cluster east.*did you mean shop/cart\?"):
            await ask(server, "shop/carts")
        with pytest.raises(InputError, match=r"nor was it lately$"):
            await ask(server, "none/xyz")


@pytest.mark.nats
async def test_a_watcher_that_does_not_answer_is_named(server: EmbeddedServer) -> None:
    """A fault for whoever relies on it."""
    for cluster in (None, EAST):
        with pytest.raises(NotAnswered, match="watcher of cluster east does not answer"):
            await ask(server, cluster=cluster)


@pytest.mark.nats
async def test_a_cluster_that_is_not_there_is_bad_input(server: EmbeddedServer) -> None:
    """Those that are there are offered, the nearest if one is like it."""
    with pytest.raises(InputError, match=r"no cluster eats; did you mean east\?"):
        await ask(server, cluster="eats")
    with pytest.raises(InputError, match="no cluster north; it has east"):
        await ask(server, cluster="north")


@pytest.mark.nats
async def test_an_empty_bus_is_told_apart(tmp_path: Path) -> None:
    """Nobody can be asked: perhaps it is the wrong one."""
    nothing = pytest.raises(NotAnswered, match="no cluster has a stream on this bus")
    with embedded(tmp_path / "nats") as empty, nothing:
        await ask(empty)


def test_what_is_no_service_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, exit code 2; without a bus as well."""
    assert run(["trace", "cart"]) == 2
    assert "'cart' names no Service" in capsys.readouterr().err
    assert run(["trace", "shop/cart", "--nats", "nats://127.0.0.1:1"]) == 2
    assert "127.0.0.1:1" in capsys.readouterr().err


@pytest.mark.nats
async def test_a_change_is_followed_from_cluster_to_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the programs: exported, changed, withdrawn; each answered by both importing clusters."""
    names = ("east", "west", "north")
    async with bus_server(tmp_path / "nats") as server:
        urls = dict.fromkeys(names, server.url)
        async with joined(tmp_path, *names, urls=urls) as lab:
            lab["east"].export("cart")
            await eventually(lambda: all(lab[name].service("cart") for name in names))
            key = ServiceKey(NAMESPACE, "cart")
            trail = lab["east"].watcher._round_trips.trail  # noqa: SLF001
            await eventually(lambda: [len(c.answers) for c in trail.of(key)] == [2])
            lab["east"].withdraw("cart")
            await eventually(lambda: [len(c.answers) for c in trail.of(key)] == [2, 2])

            assert await ask(server, f"{NAMESPACE}/cart") == 0
            text = capsys.readouterr().out
            assert await ask(server, f"{NAMESPACE}/cart", "east", as_json=True) == 0
    assert f"{NAMESPACE}/cart is no longer exported by east: 2 changes known" in text
    (told,) = json.loads(capsys.readouterr().out)["clusters"]
    exported, withdrawn = told["changes"]
    assert (exported["type"], withdrawn["type"]) == ("service.exported.v1", "service.withdrawn.v1")
    for change in told["changes"]:
        assert {answer["importing"] for answer in change["answers"]} == {"west", "north"}
        for answer in change["answers"]:
            assert [step["name"] for step in answer["steps"]][:2] == ["plan", "apply"]
            assert 0 <= change["sent_s"] < change["stored_s"]
            assert answer["steps"][-1]["ended_s"] <= answer["seconds"] < answer["heard_s"]
