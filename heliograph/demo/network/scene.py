"""One scene of the demo with real packets, and what is shown after it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from heliograph.demo.play import Outcome
from heliograph.errors import HeliographError

_SCENE_S: Final = 180.0  # ten seconds or so for the longest, on an idle machine


class NotSeen(HeliographError):
    """A scene went otherwise than it should; says how."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A command that ran, and what it wrote.

    Attributes:
        command: As a person types it.
        text: Its output.
    """

    command: str
    text: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a person gets to look at after a scene.

    Attributes:
        seconds: How long the cause took to have its effect; None for the whole scene.
        told: Commands, in order.
        notes: More sentences.
    """

    seconds: float | None = None
    told: tuple[Told, ...] = ()
    notes: tuple[str, ...] = ()


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is done, and what must come of it.

    Attributes:
        name: For programs.
        done: What is done, for people.
        expected: What should be seen, for people.
        play: Does it, and returns once it is seen; raises a `HeliographError` or `TimeoutError` if
            it is not.
    """

    name: str
    done: str
    expected: str
    play: Callable[[], Awaitable[Shown]]


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """How a scene went.

    Attributes:
        outcome: For programs.
        shown: What there is to look at.
        why: Why it was not seen; empty if it was.
    """

    outcome: Outcome
    shown: Shown = Shown()
    why: str = ""


async def play(scene: Scene, *, within_s: float = _SCENE_S) -> Played:
    """Play one scene to its end."""
    begun_s, limit = time.perf_counter(), asyncio.timeout(within_s)
    try:
        async with limit:
            shown = await scene.play()
    except (HeliographError, TimeoutError) as error:
        why = f"it took longer than {within_s:g} s" if limit.expired() else str(error)
        return Played(outcome=Outcome(name=scene.name, ok=False, seconds=None), why=why)
    elapsed_s = time.perf_counter() - begun_s if shown.seconds is None else shown.seconds
    return Played(
        outcome=Outcome(name=scene.name, ok=True, seconds=round(elapsed_s, 6)), shown=shown
    )
