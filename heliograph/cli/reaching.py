"""What people are told when there is no bus: not only that, but that nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from heliograph.bus import BusUnreachable
from heliograph.errors import InputError


@contextmanager
def needing_a_bus() -> Iterator[None]:
    """Raise `InputError` with what becomes of mirrors, where a bus cannot be reached."""
    try:
        yield
    except (BusUnreachable, InputError) as error:
        if not any(isinstance(one, BusUnreachable) for one in (error, error.__cause__)):
            raise
        raise InputError(f"{error} Mirrors stay as they are without it.") from error
