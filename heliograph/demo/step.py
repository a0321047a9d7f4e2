"""One step of the demo, and what is shown after it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from heliograph.contract.messages import RefusalStated


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What west holds after a step.

    Attributes:
        command: The arguments of kubectl that show it.
        tables: What they print, roughly.
        notes: More sentences.
        refused: Clusters that nobody may overlook.
    """

    command: str
    tables: tuple[str, ...]
    notes: tuple[str, ...] = ()
    refused: tuple[RefusalStated, ...] = ()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is done, and what must be seen of it.

    Attributes:
        name: For programs.
        done: What is done, for people.
        expected: What should be seen, for people.
        do: Does it.
        seen: Whether it is seen.
        view: What to show afterwards.
    """

    name: str
    done: str
    expected: str
    do: Callable[[], Awaitable[None]]
    seen: Callable[[], bool]
    view: Callable[[], View]
