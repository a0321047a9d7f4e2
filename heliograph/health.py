"""What it takes to be ready, condition by condition. Pure: it is handed what it judges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from heliograph.measured import Followed, Reached


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One condition of readiness.

    Attributes:
        name: A few words, always the same ones.
        fails: Why it is not met, in words; empty while it is.
    """

    name: str
    fails: str = ""

    @property
    def holds(self) -> bool:
        """Whether it is met."""
        return not self.fails


def when(name: str, holds: object, otherwise: str) -> Condition:
    """Return a condition that is met if `holds` is true, and fails `otherwise`."""
    return Condition(name=name, fails="" if holds else otherwise)


def all_hold(conditions: Iterable[Condition]) -> bool:
    """Tell whether all are met."""
    return all(one.holds for one in conditions)


def bus_condition(bus: Reached) -> Condition:
    """Return whether the own cluster's bus is reached."""
    return when("bus", bus.connected, f"there is no connection to {bus.shown_url}; it is dialled")


def watch_conditions(watches: Iterable[Followed]) -> tuple[Condition, ...]:
    """Return for each watch whether it is open, or its kind is absent, which may be so."""
    return tuple(
        when(
            f"watch {one.plural}",
            one.alive or one.absent,
            "the API server's watch is not open; it is opened again",
        )
        for one in watches
    )


def report(conditions: Sequence[Condition]) -> str:
    """Return one line for each condition, as kube-apiserver's /readyz?verbose has them."""
    lines = (
        f"[+]{one.name} ok" if one.holds else f"[-]{one.name} failed: {one.fails}"
        for one in conditions
    )
    return "".join(f"{line}\n" for line in lines)
