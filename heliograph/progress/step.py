"""What a worker tells of its work. Pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from typing_extensions import override


class Step(msgspec.Struct, frozen=True):
    """What is being done, and how much of it is.

    Attributes:
        text: What, in the words of one line.
        done: How many are done; None if nothing is counted.
        total: Of how many; None if that is not known.
        unit: What is counted, in the plural; may be empty.
        waits_for: What keeps it waiting, if nothing can be done; may be empty.
    """

    text: str
    done: int | None = None
    total: int | None = None
    unit: str = ""
    waits_for: str = ""

    @property
    def complete(self) -> bool:
        """Whether all that is counted is done."""
        return self.done is not None and self.total is not None and self.done >= self.total

    @property
    def counted(self) -> str:
        """How much is done, in words; empty if nothing is counted."""
        if self.done is None:
            return ""
        of = "" if self.total is None or self.complete else f" of {self.total:,}"
        single = (self.total if of else self.done) == 1
        return f"{self.done:,}{of} {self.unit.removesuffix('s') if single else self.unit}".rstrip()

    @override
    def __str__(self) -> str:
        """Return one line."""
        told = f"{self.text}: {self.counted}" if self.counted else self.text
        return f"{told} (waits for {self.waits_for})" if self.waits_for else told


Progress = Callable[[Step], None]
"""Called with each step of one line of work, as often as there is something to tell."""
