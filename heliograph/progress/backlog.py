"""How much a program has still to do before everything is as it should be."""

from __future__ import annotations

import msgspec


class Backlog(msgspec.Struct, frozen=True):
    """How many things are as they should be, and how many are not yet.

    Attributes:
        done: How many are.
        left: How many are not; more may become known.
        unit: Of what, in the plural.
    """

    done: int
    left: int
    unit: str
