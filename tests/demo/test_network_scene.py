"""How a scene is played: seen, or not and why."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from heliograph.demo.network.scene import NotSeen, Scene, Shown, play


def scene(act: Callable[[], Awaitable[Shown]]) -> Scene:
    return Scene(name="one", done="it is done", expected="it is seen", play=act)


async def never() -> Shown:
    await asyncio.Event().wait()
    return Shown()


async def test_seconds_are_those_of_the_effect_where_the_scene_says_them() -> None:
    """A scene may take longer than what it shows; without a figure of its own, all of it counts."""

    async def at_once() -> Shown:
        return Shown(seconds=12.5, notes=("a note",))

    async def unmeasured() -> Shown:
        return Shown()

    told = await play(scene(at_once))
    whole = await play(scene(unmeasured))
    assert (told.outcome.ok, told.outcome.seconds, told.shown.notes) == (True, 12.5, ("a note",))
    assert whole.outcome.ok
    assert whole.outcome.seconds != 12.5


@pytest.mark.parametrize("error", [NotSeen("it was blue"), TimeoutError("it was blue")])
async def test_what_went_wrong_is_told(error: Exception) -> None:
    """A scene that fails is not seen, with the sentence of its error."""

    async def fail() -> Shown:
        raise error

    played = await play(scene(fail))
    assert (played.outcome.ok, played.outcome.seconds, played.why) == (False, None, "it was blue")


async def test_a_scene_has_a_limit() -> None:
    """Nobody waits for ever, and the sentence says for how long somebody did."""
    played = await play(scene(never), within_s=0.01)

    assert (played.outcome.ok, played.why) == (False, "it took longer than 0.01 s")


async def test_a_fault_of_ours_and_ctrl_c_are_nobodys_scene() -> None:
    """They end the demo: neither is a thing that was not seen."""

    async def bug() -> Shown:
        raise KeyError

    with pytest.raises(KeyError):
        await play(scene(bug))
    task = asyncio.create_task(play(scene(never)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
