"""Faults of the bus and of the way to it, seen from the mirrors: caught up within moments.

Watcher and reflector have connections of their own to one real nats-server. The figures are
printed (`pytest -s`); the goal is three seconds after the fault's end, the assertions are
generous, since the machine may be busy.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from heliograph.lab.tcpproxy import Direction, TcpProxy
from tests.faults.support import Stage, two_clusters
from tests.support.joined import eventually

pytestmark = pytest.mark.nats

_GENEROUS_S = 15.0
Fault = Callable[[Stage], Callable[[], None]]
"""Begins a fault; returns what ends it."""


def frozen(stage: Stage) -> Callable[[], None]:
    stage.server.pause()
    return stage.server.resume


def on_the_way(*of: int, break_: Callable[[TcpProxy], None]) -> Fault:
    def begin(stage: Stage) -> Callable[[], None]:
        broken = [stage.ways[number] for number in of]

        def heal() -> None:
            for way in broken:
                way.heal()

        for way in broken:
            break_(way)
        return heal

    return begin


def lose_bytes(way: TcpProxy) -> None:
    way.drop(*Direction)


FAULTS: dict[str, Fault] = {
    "server frozen": frozen,
    "black hole before the watcher": on_the_way(0, break_=TcpProxy.hold),
    "black hole before the reflector": on_the_way(1, break_=TcpProxy.hold),
    "black hole before both": on_the_way(0, 1, break_=TcpProxy.hold),
    "packets lost before both": on_the_way(0, 1, break_=lose_bytes),
    "resets before both": on_the_way(0, 1, break_=TcpProxy.refuse),
}


async def suffer(fault: str, fault_s: float, folder: Path) -> str:
    """Let two clusters suffer a fault, and say how long after it the mirrors were right."""
    async with two_clusters(folder) as stage:
        end = FAULTS[fault](stage)
        stage.change()
        await asyncio.sleep(fault_s)  # the faulty time itself
        assert not stage.right
        end()
        began_s = time.monotonic()
        await eventually(lambda: stage.right, within_s=_GENEROUS_S)
        return f"{fault} for {fault_s:g} s: right after {time.monotonic() - began_s:.2f} s"


@pytest.mark.parametrize("fault_s", [1, 6, 30])
async def test_mirrors_are_right_soon_after_a_fault(fault_s: float, tmp_path: Path) -> None:
    """All faults at the same time, each of a bus of its own: so it takes as long as one."""
    async with asyncio.TaskGroup() as tasks:
        suffering = [
            tasks.create_task(suffer(fault, fault_s, tmp_path / str(number)))
            for number, fault in enumerate(FAULTS)
        ]
    print("", *(task.result() for task in suffering), sep="\n")  # noqa: T201


async def test_mirrors_are_right_soon_after_a_reset(tmp_path: Path) -> None:
    """One RST for each connection, and the way is as good as before."""
    async with two_clusters(tmp_path) as stage:
        for way in stage.ways:
            way.reset()
        stage.change()
        began_s = time.monotonic()
        await eventually(lambda: stage.right, within_s=_GENEROUS_S)
        print(f"\nreset: right after {time.monotonic() - began_s:.2f} s")  # noqa: T201
