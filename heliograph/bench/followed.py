"""What it takes to follow the mesh: `heliograph events` beside a publisher that waits for nobody.

The bus syncs its store rarely: else a disk would decide how many changes there are in a second.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from heliograph.bench.figures import Followed
from heliograph.bench.stage import NotSeen, cpu_share, resident_bytes
from heliograph.bus import (
    Connection,
    ConnectionSettings,
    EmbeddedServer,
    ServerSettings,
    StreamSettings,
    connect,
    ensure_stream,
)
from heliograph.contract.headers import EPOCH
from heliograph.contract.messages import ServiceExported, ServicePort, encode
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject, stream_name, stream_subjects
from heliograph.errors import InputError
from heliograph.process import Child, ChildSettings
from heliograph.progress import Progress, Step

_EAST: Final = ClusterId("east")
_SERVICES: Final = 2000
_SYNCED: Final = "2m"
_TICK_S: Final = 0.005
_PORTS: Final = 60_000
_STARTED_S: Final = 30.0
_BEHIND_S: Final = 300.0


class _Lab(msgspec.Struct, frozen=True, kw_only=True):
    publisher: Connection
    follower: Child


async def followed(rate: int, seconds: float, progress: Progress) -> Followed:
    """Change Services so many times a second, for so long; wait until the follower told it all.

    Raises:
        InputError: That is not a single change.
        NotSeen: It told less, or does not come to an end.
    """
    if min(rate, seconds, rate * seconds) < 1:
        raise InputError(f"--rate {rate}, --seconds {seconds:g} cannot be: give at least 1 and 1")
    async with _lab() as lab:
        progress(Step("starting a follower"))
        await _publish(lab.publisher, 0)
        await _told(lab.follower, 1, _STARTED_S)
        before = resident_bytes(lab.follower)
        share, (count, took_s) = await cpu_share(
            lab.follower, _publish_all(lab.publisher, rate, seconds, progress)
        )
        begun_s = time.monotonic()
        await _told(lab.follower, count + 1, _BEHIND_S)
        return Followed(
            per_second=round(count / took_s),
            messages=count,
            behind_s=round(time.monotonic() - begun_s, 2),
            cpu_share=share,
            bytes_before=before,
            bytes_after=resident_bytes(lab.follower),
        )


@asynccontextmanager
async def _lab() -> AsyncIterator[_Lab]:
    """Run a bus with east's stream, and a follower of it."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heliograph-bench-")))
        bus = ServerSettings(directory=folder / "nats", sync_interval=_SYNCED)
        url = (await stack.enter_async_context(EmbeddedServer(bus))).url
        settings = ConnectionSettings(urls=(url,), name="bench")
        publisher = await stack.enter_async_context(connect(settings))
        where = StreamSettings(name=stream_name(_EAST), subjects=stream_subjects(_EAST))
        await ensure_stream(publisher, where)
        command = (sys.executable, "-m", "heliograph", "events", "--follow", "--json")
        settled = ChildSettings(
            name="events",
            command=(*command, "--kind", "service", "--nats", url),
            log=folder / "told",
        )
        yield _Lab(publisher=publisher, follower=stack.enter_context(Child(settled)))


async def _publish_all(
    connection: Connection, rate: int, seconds: float, progress: Progress
) -> tuple[int, float]:
    """Publish as evenly as a timer allows; return how many, and how long that took."""
    begun_s, count, total = time.monotonic(), 0, round(rate * seconds)
    while count < total:
        due = min(total, int((time.monotonic() - begun_s) * rate))
        while count < due:
            count += 1
            await _publish(connection, count)
        progress(Step("changing Services", done=count, total=total, unit="changes"))
        await asyncio.sleep(_TICK_S)
    return count, time.monotonic() - begun_s


async def _publish(connection: Connection, number: int) -> None:
    """Change one of the Services, as a watcher would; nothing is waited for."""
    name = f"web-{number % _SERVICES}"
    subject = Subject(cluster=_EAST, kind=Kind.SERVICE, namespace="bench", name=name)
    message = ServiceExported(
        ready=True,
        exported_at="2026-01-01T00:00:00Z",
        cluster_ips=("10.96.0.1",),
        ports=(ServicePort(port=1 + number % _PORTS),),
    )
    await connection.publish(str(subject), encode(message), {EPOCH: "1"})


async def _told(follower: Child, changes: int, within_s: float) -> None:
    """Wait until the follower has told so many changes; each is a line."""
    lines = 0
    try:
        async with asyncio.timeout(within_s):
            with follower.settings.log.open("rb") as log:
                while lines < changes:
                    lines += sum(b'"kind"' in line for line in log)
                    await asyncio.sleep(_TICK_S)
    except TimeoutError:
        raise NotSeen(f"{lines} of {changes} changes were told") from None
