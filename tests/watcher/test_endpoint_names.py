"""What the names among the endpoints resolve to: steady, patient, and in nobody's way."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from heliograph.resolve import PERIOD_S, TIMEOUT_S, Resolver, system_look_up
from services.watcher.names import KEPT_S, EndpointNames
from tests.support.virtual_time import run_virtually

GW, OTHER = "gw.example.com", "other.example.com"
A, B, V6 = "203.0.113.9", "203.0.113.10", "2001:db8::1"


def names(*nodes: str) -> EndpointNames:
    """Return names that nodes have."""
    made = EndpointNames()
    for node in nodes:
        made.replace(node, None, GW)
    return made


ANSWERS = {
    "the lowest of several": ([[B, A]], A),
    "IPv4 before IPv6": ([[V6, B]], B),
    "IPv6 if there is nothing else": ([[V6]], V6),
    "the known one stays": ([[B], [A, B]], B),
    "the known one is gone": ([[B], [A]], A),
    "none for a while": ([[B], [], []], B),
    "never any": ([[], []], None),
}


@pytest.mark.parametrize(("answers", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_one_address_for_a_name(answers: list[list[str]], expected: str | None) -> None:
    """Servers answer in turns, and fail at times; what is announced does not follow that."""
    table = names("n1")
    for number, addresses in enumerate(answers):
        table.answer(GW, addresses, now_s=60 * number)
    assert table.address(GW) == expected


def test_who_is_concerned_by_an_answer() -> None:
    """All nodes with the name when the address is another one, else nobody."""
    table = names("n1", "n2")
    assert table.answer(GW, [], now_s=0) == set()
    assert table.answer(GW, [A], now_s=0) == {"n1", "n2"}
    assert table.answer(GW, [A, B], now_s=1) == set()
    assert table.answer(GW, [B], now_s=2) == {"n1", "n2"}
    assert table.answer(OTHER, [B], now_s=2) == set()


def test_a_name_that_resolves_no_more() -> None:
    """Its address stands for ten minutes, and then for no longer."""
    table = names("n1")
    table.answer(GW, [A], now_s=100)
    assert table.answer(GW, [], now_s=100 + KEPT_S - 1) == set()
    assert table.answer(GW, [], now_s=100 + KEPT_S) == {"n1"}
    assert table.address(GW) is None
    assert table.answer(GW, [], now_s=101 + KEPT_S) == set()


def test_a_name_that_nobody_has_is_forgotten() -> None:
    """It is resolved no more, and would be anew if a node had it again."""
    table = names("n1", "n2")
    table.answer(GW, [A], now_s=0)
    table.replace("n1", GW, OTHER)
    assert set(table.hosts()) == {GW, OTHER}
    assert table.address(GW) == A
    table.replace("n2", GW, None)
    table.replace("n1", OTHER, GW)
    assert (table.hosts(), table.address(GW)) == ((GW,), None)


def test_what_was_known_before_a_restart() -> None:
    """It stands until there is an answer, for names that nodes have."""
    table = names("n1")
    for host, address in ((GW, None), (OTHER, A), (None, A), (GW, A), (GW, B)):
        table.remember(host, address, now_s=0)
    assert (table.address(GW), table.address(OTHER), table.address(None)) == (A, None, None)
    assert table.answer(GW, [B], now_s=1) == {"n1"}


class Servers:
    """Servers of names as a test says, and what came of asking them."""

    def __init__(self, hosts: list[str], takes_s: float = 0.1) -> None:
        self.hosts, self.takes_s = hosts, takes_s
        self.asked: list[tuple[float, str]] = []
        self.told: list[tuple[float, str, tuple[str, ...]]] = []
        self.open = self.most = 0

    async def look_up(self, host: str) -> tuple[str, ...]:
        """Answer as slowly as told."""
        self.asked.append((asyncio.get_running_loop().time(), host))
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            self.open -= 1
        return (A,)

    def answer(self, host: str, addresses: tuple[str, ...]) -> None:
        """Note what is told."""
        self.told.append((round(asyncio.get_running_loop().time(), 1), host, addresses))

    async def run(self, until_s: float) -> None:
        """Resolve for a while."""
        resolver = Resolver(lambda: self.hosts, self.answer, look_up=self.look_up)
        running = asyncio.ensure_future(resolver.run())
        await asyncio.sleep(until_s)
        running.cancel()


def test_names_are_resolved_again_and_again() -> None:
    """Each minute after the last answer."""
    servers = Servers([GW])
    run_virtually(servers.run(3 * PERIOD_S))
    assert [host for _, host, _ in servers.told] == [GW] * 3
    assert servers.told[0] == (0.1, GW, (A,))
    assert [round(at_s) for at_s, _ in servers.asked] == [0, 61, 122]


def test_a_new_name_is_resolved_at_once() -> None:
    """And one that is gone no more, even if an answer is on its way."""
    servers = Servers([GW], takes_s=5)

    async def scenario() -> None:
        running = asyncio.ensure_future(servers.run(200))
        await asyncio.sleep(3)
        servers.hosts[:] = [OTHER]
        await running

    run_virtually(scenario())
    assert {host for _, host, _ in servers.told} == {OTHER}
    assert [round(at_s) for at_s, _ in servers.asked][:2] == [0, 3]


def test_servers_that_do_not_answer_are_in_nobodys_way() -> None:
    """Their names count as not resolved, at most eight at once, and all have their turn."""
    servers = Servers([f"gw{n}" for n in range(20)], takes_s=10_000)
    run_virtually(servers.run(3 * TIMEOUT_S + 5))
    assert servers.most == 8
    assert {host for _, host, _ in servers.told} == set(servers.hosts)
    assert {addresses for _, _, addresses in servers.told} == {()}


async def test_the_systems_own_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses of both families, each once and without zone; nothing for what is no name."""

    def look_up(host: str, *_: Any, **__: Any) -> list[Any]:  # noqa: ANN401 - as of socket
        if host != GW:
            raise socket.gaierror
        sockaddrs = [(A, 0), (A, 0), ("fe80::1%eth0", 0, 0, 2)]
        return [(None, None, 0, "", sockaddr) for sockaddr in sockaddrs]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert set(await system_look_up(GW)) == {A, "fe80::1"}
    assert await system_look_up("x" * 70) == ()


async def test_an_answer_that_comes_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it any more, and nothing breaks."""
    go = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look_up(*_: Any, **__: Any) -> list[Any]:  # noqa: ANN401 - as of socket
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    waiting = asyncio.ensure_future(system_look_up(GW))
    await asyncio.sleep(0)
    waiting.cancel()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await system_look_up(OTHER) == ()
