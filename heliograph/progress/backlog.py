"""How much a program has still to do before everything is as it should be."""

from __future__ import annotations

import msgspec


class Backlog(msgspec.Struct, frozen=True):
    """What a program has done since it began, and what it knows to be left.

    Attributes:
        done: How many.
        left: How many more; more may become known.
        unit: Of what, in the plural.
    """

    done: int
    left: int
    unit: str
