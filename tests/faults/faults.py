"""The faults: what goes down, for how long, and how it comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator

import msgspec

from heliograph.bus import EmbeddedServer
from heliograph.lab.controlplane import ControlPlane
from tests.faults.programs import Program, together
from tests.faults.stage import Stage

Act = Callable[[], Awaitable[None]]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of one thing.

    Attributes:
        name: For people.
        of: What it happens to; nothing else may happen to that at the same time.
        down: Begins it.
        up: Ends it; returns once the thing can be used again.
    """

    name: str
    of: str
    down: Act
    up: Act


def all_faults(stage: Stage) -> dict[str, Fault]:
    """Return every fault that can happen on a stage, by name."""
    found = [
        *_of_programs(stage.programs),
        *(f for name, bus in stage.buses.items() for f in _of_bus(name, bus)),
        *(f for name, plane in stage.planes.items() for f in _of_plane(name, plane)),
    ]
    return {fault.name: fault for fault in found}


def everything(stage: Stage, *, api_servers: bool = True) -> Fault:
    """Return the worst: everything is killed at once, and every bus loses its store."""
    names = [f"{program.name} killed" for program in stage.programs]
    names += [f"{bus} lost its store" for bus in stage.buses]
    names += [f"API server of {name} killed" for name in stage.clusters if api_servers]
    faults = [all_faults(stage)[name] for name in names]
    return Fault(
        name="everything killed at once",
        of="everything",
        down=lambda: together(*(fault.down() for fault in faults)),
        up=lambda: together(*(fault.up() for fault in faults)),
    )


def _of_programs(programs: Iterable[Program]) -> Iterator[Fault]:
    for program in programs:
        start, name = _starts(program), program.name
        yield Fault(name=f"{name} stopped", of=name, down=program.stop, up=start)
        yield Fault(name=f"{name} killed", of=name, down=program.kill, up=start)
        yield Fault(name=f"{name} paused", of=name, down=program.pause, up=program.resume)


def _starts(program: Program) -> Act:
    async def start() -> None:
        program.start()

    return start


def _of_bus(name: str, nats: EmbeddedServer) -> Iterator[Fault]:
    async def stop() -> None:
        await asyncio.to_thread(nats.stop)

    async def kill() -> None:
        await asyncio.to_thread(nats.kill)

    async def lose() -> None:
        await kill()
        nats.lose_store()

    async def start() -> None:
        nats.start()  # from this thread: see `Child`; some 20 ms

    async def pause() -> None:
        await asyncio.to_thread(nats.pause)

    async def resume() -> None:
        nats.resume()

    yield Fault(name=f"{name} stopped", of=name, down=stop, up=start)
    yield Fault(name=f"{name} killed", of=name, down=kill, up=start)
    yield Fault(name=f"{name} lost its store", of=name, down=lose, up=start)
    yield Fault(name=f"{name} paused", of=name, down=pause, up=resume)


def _of_plane(name: str, plane: ControlPlane) -> Iterator[Fault]:
    server = f"API server of {name}"

    async def pause() -> None:
        await asyncio.to_thread(plane.pause_api_server)

    async def resume() -> None:
        plane.resume_api_server()

    start = plane.start_api_server
    yield Fault(name=f"{server} stopped", of=server, down=plane.stop_api_server, up=start)
    yield Fault(
        name=f"{server} killed", of=server, down=lambda: plane.stop_api_server(kill=True), up=start
    )
    yield Fault(name=f"{server} paused", of=server, down=pause, up=resume)
    yield Fault(name=f"{server} and etcd killed", of=server, down=plane.crash, up=plane.recover)
