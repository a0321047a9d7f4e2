"""An error in the body of an `async with` leaves it as it is, not in a group."""

import asyncio

import pytest

from heliograph.bus.background import alongside
from tests.bus.support import connected


async def forever() -> None:
    await asyncio.Event().wait()


async def failing() -> None:
    await asyncio.sleep(0)
    raise LookupError("beside")


async def test_the_body_fails() -> None:
    """The work beside it is cancelled, and the error is the body's own."""
    with pytest.raises(KeyError) as raised:
        async with alongside(forever()):
            raise KeyError("body")
    assert raised.value.args == ("body",)


async def test_the_work_fails() -> None:
    """The body is cancelled, and the error is the work's own."""
    with pytest.raises(LookupError, match="beside"):
        async with alongside(failing()):
            await asyncio.Event().wait()


async def test_both_fail() -> None:
    """Then neither is hidden."""

    async def both() -> None:
        async with alongside(failing()):
            try:
                await asyncio.Event().wait()
            finally:
                raise KeyError("body")

    with pytest.raises(BaseExceptionGroup) as raised:
        await both()
    assert {type(error) for error in raised.value.exceptions} == {KeyError, LookupError}


async def test_cancellation_passes_through() -> None:
    """A cancelled body is a cancelled body."""
    entered = asyncio.Event()

    async def body() -> None:
        async with alongside(forever()):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.nats
async def test_a_connection_passes_it_on(server: object) -> None:
    """So an error handler around `connect` sees what it expects."""
    with pytest.raises(KeyError):
        async with connected(server.url):
            raise KeyError("body")
