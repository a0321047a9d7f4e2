"""API servers in bad times, on the exporting and on the importing side: right in the end, quietly.

The API servers are in memory, each behind a proxy that answers in their place and counts what the
programs ask for. What real API servers answer is in tests/end_to_end/test_api_server_faults.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from heliograph.kube.watch import ListWatch
from heliograph.lab.access import write_kubeconfig
from heliograph.lab.memory import MemoryCluster
from tests.faults.support import CHANGED, GONE, NEW, mirrors
from tests.support.api_proxy import ApiProxy
from tests.support.joined import Cluster, JoinedClusters, bus_server, eventually, joined

pytestmark = pytest.mark.nats

NAMES = ("east", "west")
SIDES = pytest.mark.parametrize("side", NAMES, ids=["exporting", "importing"])
_DRIFTED = "drifted"


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """East exports, west imports; the programs reach their API servers by proxies."""

    lab: JoinedClusters
    proxies: Mapping[str, ApiProxy]

    def change(self) -> None:
        """Let Services change, go and come in east, and somebody edit a mirror in west."""
        east, west = self.lab["east"], self.lab["west"]
        east.change(CHANGED, ports=[{"name": "http", "port": 81}])
        east.withdraw(GONE)
        east.export(NEW)
        west.change(_DRIFTED, ports=[{"name": "http", "port": 9}])

    @property
    def right(self) -> bool:
        """Whether west has what `change` made of it, and nothing else."""
        return mirrors(self.lab["west"]) == {CHANGED: 81, NEW: 80, _DRIFTED: 80}

    async def settled(self) -> float:
        """Wait for that; return how long it took."""
        began_s = time.monotonic()
        await eventually(lambda: self.right, within_s=30)
        return time.monotonic() - began_s


@asynccontextmanager
async def by_proxies(folder: Path) -> AsyncIterator[Stage]:
    """Run the programs of two clusters, each by way of a proxy."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(bus_server(folder / "nats"))
        urls = dict.fromkeys(NAMES, server.url)
        lab = await stack.enter_async_context(joined(folder, *NAMES, urls=urls, start=False))
        proxies = {}
        for name in NAMES:
            api: MemoryCluster = lab[name].api
            proxies[name] = await stack.enter_async_context(ApiProxy(api.access).running())
            write_kubeconfig(folder / name, [proxies[name].access])
            await start(lab, name)
            stack.push_async_callback(lab.stop_all)
        await lab.ready()
        for name in (CHANGED, GONE, _DRIFTED):
            lab["east"].export(name)
        await eventually(lambda: len(mirrors(lab["west"])) == 3)
        yield Stage(lab=lab, proxies=proxies)


async def start(lab: JoinedClusters, name: str) -> Cluster:
    await lab.start_watcher(name)
    await lab.start_reflector(name)
    return lab[name]


@SIDES
async def test_an_api_server_that_refuses_all(side: str, tmp_path: Path) -> None:
    """500 for everything: nobody asks all the time, and afterwards everything is made good."""
    async with by_proxies(tmp_path) as stage:
        proxy = stage.proxies[side]
        proxy.refuse(500)
        proxy.cut_watches()
        since_s = time.monotonic()
        stage.change()
        await asyncio.sleep(2)  # the faulty time itself
        asked = proxy.count(since_s=since_s)
        assert max(asked.values()) <= 12, asked
        proxy.heal()
        took_s = await stage.settled()
    print(f"\n{side} 500: {sum(asked.values())} requests in 2 s, {took_s:.2f} s after it")  # noqa: T201


@SIDES
async def test_an_api_server_that_says_when_to_come_back(side: str, tmp_path: Path) -> None:
    """Retry-After of lists and watches is kept as that of writes is."""
    async with by_proxies(tmp_path) as stage:
        proxy = stage.proxies[side]
        proxy.refuse(429, retry_after_s=2)
        proxy.cut_watches()
        since_s = time.monotonic()
        stage.change()
        await asyncio.sleep(3)  # the faulty time itself
        asked = proxy.count(since_s=since_s)
        proxy.heal()
        took_s = await stage.settled()
    print(f"\n{side} said 2 s: {dict(asked)}, {took_s:.2f} s after it")  # noqa: T201
    both = 2  # watcher and reflector follow Services and slices
    assert all(n <= 2 * both for what, n in asked.items() if "events" not in what), asked


@SIDES
async def test_an_api_server_without_a_memory(side: str, tmp_path: Path) -> None:
    """410 for every watch: everything is listed again and again, but not all the time."""
    async with by_proxies(tmp_path) as stage:
        proxy = stage.proxies[side]
        proxy.refuse(410, verbs={"watch"})
        proxy.cut_watches()
        since_s = time.monotonic()
        stage.change()
        await asyncio.sleep(2)  # the faulty time itself
        asked = proxy.count(since_s=since_s, verbs={"watch", "list"})
        assert max(asked.values()) <= 16, asked
        proxy.heal()
        took_s = await stage.settled()
    print(f"\n{side} forgets: {dict(asked)}, right after {took_s:.2f} s")  # noqa: T201


@SIDES
async def test_watches_that_expire_while_silent(
    side: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """410 after the silence: all is listed anew, once for each kind and program."""
    monkeypatch.setitem(ListWatch.__init__.__kwdefaults__, "inactivity_s", 2.0)
    async with by_proxies(tmp_path) as stage:
        proxy, since_s = stage.proxies[side], time.monotonic()
        proxy.silence_watches()
        stage.change()
        stage.lab[side].api.compact_history()
        took_s = await stage.settled()
        lists = proxy.count(since_s=since_s, verbs={"list"})
        assert lists["list services"] <= 2
    print(f"\n{side} silent and expired: right after {took_s:.2f} s, {dict(lists)}")  # noqa: T201


@SIDES
async def test_an_api_server_that_is_slow(side: str, tmp_path: Path) -> None:
    """Half a second for each request: slow is not broken, so nothing is asked for twice."""
    async with by_proxies(tmp_path) as stage:
        proxy, since_s = stage.proxies[side], time.monotonic()
        proxy.delay_s = 0.5
        proxy.cut_watches()  # so that the new ones are slow as well
        stage.change()
        took_s = await stage.settled()
        asked = proxy.count(since_s=since_s, verbs={"create", "update", "delete"})
        assert asked["create services"] <= 1
        assert asked["delete services"] <= 1
        assert asked["update services"] <= 3  # changed, drifted, and the old echo of a hand's edit
    print(f"\n{side} slow: right after {took_s:.2f} s, {dict(asked)}")  # noqa: T201


@SIDES
async def test_an_api_server_that_freezes(side: str, tmp_path: Path) -> None:
    """It accepts requests and answers none; when it goes on, so does everything."""
    async with by_proxies(tmp_path) as stage:
        api = stage.lab[side].api
        api.pause()
        stage.change()
        await asyncio.sleep(1)  # the faulty time itself
        api.resume()
        took_s = await stage.settled()
    print(f"\n{side} frozen: right after {took_s:.2f} s")  # noqa: T201
