"""A program that is told to end ends, whatever nats-py does with cancellations."""

from __future__ import annotations

import asyncio

import pytest

from heliograph.bus import ConnectionSettings
from heliograph.bus.background import cancellable
from heliograph.bus.client import SupervisedClient


async def swallow(*_: object, **__: object) -> None:
    """Wait, and end as if nothing was when cancelled: nats-py does so when it closes."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return


@pytest.mark.parametrize("method", ["close", "connect"])
async def test_a_cancellation_that_nats_py_swallows_is_not_lost(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes while a client is dialled or closed; the next loss of the bus may never come."""
    client = SupervisedClient(ConnectionSettings(urls=("nats://127.0.0.1:1",), name="t"), print)
    monkeypatch.setattr(client, method, swallow)
    work = client.shut() if method == "close" else client.dial("nats://127.0.0.1:1")
    task = asyncio.create_task(work)
    await asyncio.sleep(0)

    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()


async def test_what_ends_by_itself_is_not_cancelled() -> None:
    """Neither a time-out inside nor an error is taken for a cancellation."""
    with pytest.raises(TimeoutError), cancellable():
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
    with cancellable():
        await asyncio.sleep(0)
