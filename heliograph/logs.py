"""Logs: JSON lines on standard output, or readable lines on a terminal; set up once per process.

Constant messages with fields. Never a key, a token or a payload.
"""

from __future__ import annotations

import io
import logging
import sys
from typing import Literal, TextIO, cast

import structlog
from typing_extensions import override

Level = Literal["debug", "info", "warning", "error"]


def configure(
    level: Level = "info", *, human: bool | None = None, to: TextIO | None = None
) -> None:
    """Send the logs of this process to standard output.

    Args:
        level: Nothing below it is written.
        human: Readable lines on standard error instead of JSON; None: if standard output is a
            terminal.
        to: Where they go instead.
    """
    readable = sys.stdout.isatty() if human is None else human
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=to is None and sys.stderr.isatty())
        if readable
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(to or _stream(readable=readable)),
        cache_logger_on_first_use=False,
    )
    _quieten_libraries()


class _StandardError(io.TextIOBase):
    """Standard error as it is when something is written: a progress bar stands in for it."""

    @override
    def write(self, text: str, /) -> int:
        """Write to it."""
        return sys.stderr.write(text)

    @override
    def flush(self) -> None:
        """Flush it."""
        sys.stderr.flush()


def _stream(*, readable: bool) -> TextIO:
    return cast("TextIO", _StandardError()) if readable else sys.stdout


def _quieten_libraries() -> None:
    """Let only what is serious through from libraries: their faults reach us as errors."""
    logging.basicConfig(level=logging.CRITICAL)
    logging.getLogger("nats").setLevel(logging.CRITICAL)
