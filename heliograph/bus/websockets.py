"""No WebSockets: nats-py would load aiohttp for their sake, and could not be ended while it dials.

That is half of what it takes to load nats-py, a quarter of a second of every command.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from heliograph.bus.settings import shown
from heliograph.errors import InputError

_LIBRARIES: Final = ("aiohttp", "multidict")
_SCHEMES: Final = ("ws", "wss")


@contextmanager
def left_out() -> Iterator[None]:
    """Let nats-py be imported as where aiohttp is not installed, unless it is loaded already."""
    absent = [name for name in _LIBRARIES if name not in sys.modules]
    # None: import finds nothing there.
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def refuse(url: str) -> None:
    """Raise `InputError` for the URL of a WebSocket."""
    if url.partition("://")[0] in _SCHEMES:
        raise InputError(
            f"the bus is not reached by WebSocket ({shown(url)}); give the server's own port, as "
            f"nats://HOST:4222 or tls://HOST:4222"
        )
