"""What the server does with the objects of one kind beyond storing them. Pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from heliograph.lab.memory.objects import JsonObject
from heliograph.lab.memory.status import Cause

Admit = Callable[[JsonObject, JsonObject | None], list[Cause]]
Prune = Callable[[JsonObject], list[str]]
Settle = Callable[[JsonObject | None, JsonObject | None], None]


def _admit_all(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    del new, old
    return []


def _prune_nothing(new: JsonObject) -> list[str]:
    del new
    return []


def _settle_nothing(new: JsonObject | None, old: JsonObject | None) -> None:
    del new, old


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults, checks and bookkeeping of one kind; without arguments there are none.

    For every write the server calls `admit`, and `settle` only if the object is stored. So `admit`
    may choose (an address, a port), but only `settle` may take.

    Attributes:
        admit: Given the new object and the stored one (None for a creation), fills in what the
            server fills in, changing the new one only, and returns what is wrong with it.
        settle: Given what is stored now and what was before, takes note; a removal has no new
            object, a creation no old one.
        shape: A Struct whose types the members must have, where they are there; None for any.
        prune: Given a new object, drops what its kind does not have; returns the paths of it.
    """

    admit: Admit = _admit_all
    settle: Settle = _settle_nothing
    shape: type | None = None
    prune: Prune = _prune_nothing
