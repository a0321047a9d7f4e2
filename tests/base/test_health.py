"""A program is dead when its own work has ended or hangs, and for nothing else."""

from __future__ import annotations

import asyncio
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from heliograph.health import Condition
from heliograph.metrics import Metrics
from heliograph.pulse import Pulse
from heliograph.web import Served, serve


def served(pulse: Pulse) -> Served:
    """Return a program that is never ready."""
    return Served(
        program="reflector",
        conditions=lambda: [Condition(name="bus", fails="it is away")],
        pulse=pulse,
        metrics=Metrics("reflector", "west"),
    )


def health(address: str, timeout_s: float = 10.0) -> tuple[int, str]:
    """Return what a probe of kubelet sees; TimeoutError if nobody answers."""
    url = f"http://{address}/healthz"
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Clock:
    """A clock that is set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr("heliograph.pulse.time.monotonic", lambda: self.now_s)


async def test_a_program_that_has_not_begun_is_not_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may wait for long for what it needs, and a restart would not bring that."""
    clock, pulse = Clock(monkeypatch), Pulse()
    clock.now_s += 3600
    async with serve("127.0.0.1:0", served(pulse)) as address:
        assert await asyncio.to_thread(health, address) == (200, "ok\n")


async def test_a_program_whose_work_hangs_while_it_ends_is_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One task fails, another does not let itself be cancelled: the group never ends by itself."""
    clock, pulse, let_go = Clock(monkeypatch), Pulse(), asyncio.Event()
    begun = asyncio.Event()

    async def stubborn() -> None:
        begun.set()
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    async def failing() -> None:
        await begun.wait()
        raise RuntimeError("a fault")

    async def work() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pulse.run())
            tasks.create_task(stubborn())
            tasks.create_task(failing())

    main = asyncio.ensure_future(work())
    try:
        async with serve("127.0.0.1:0", served(pulse)) as address:
            await begun.wait()
            assert (await asyncio.to_thread(health, address))[0] == 200
            clock.now_s += 31
            assert not main.done()
            status, text = await asyncio.to_thread(health, address)
            assert status == 503
            assert text == (
                "the reflector is dead: its main task has ended or hangs: no sign of it for 31 s\n"
            )
    finally:
        let_go.set()
        with pytest.raises(ExceptionGroup):
            await main


async def test_a_pulse_goes_on_while_its_group_works() -> None:
    """Each beat is noted, so that only the time since the last one counts."""
    pulse = Pulse(limit_s=60)
    beating = asyncio.ensure_future(pulse.run())
    await asyncio.sleep(0)
    assert pulse.fails == ""
    assert pulse.silent_s() < 60
    beating.cancel()
    await asyncio.wait([beating])


@contextmanager
def looping(pulse: Pulse) -> Iterator[tuple[asyncio.AbstractEventLoop, str]]:
    """Serve a page on the event loop of another thread."""
    ready: list[str] = []
    begun, stop = threading.Event(), threading.Event()
    loop = asyncio.new_event_loop()

    async def main() -> None:
        async with serve("127.0.0.1:0", served(pulse)) as address:
            ready.append(address)
            begun.set()
            while not stop.is_set():  # noqa: ASYNC110 - set by another thread
                await asyncio.sleep(0.01)

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    try:
        assert begun.wait(10)
        yield loop, ready[0]
    finally:
        stop.set()
        thread.join()
        loop.close()


def test_a_loop_that_does_not_turn_answers_no_probe() -> None:
    """The page is served by the same loop; so kubelet's own time-out tells."""
    with looping(Pulse()) as (loop, address):
        assert health(address)[0] == 200
        blocked, let_go = threading.Event(), threading.Event()

        def block() -> None:
            blocked.set()
            let_go.wait(30)

        loop.call_soon_threadsafe(block)
        try:
            assert blocked.wait(10)
            with pytest.raises(TimeoutError):
                health(address, timeout_s=0.2)
        finally:
            let_go.set()
        assert health(address)[0] == 200
