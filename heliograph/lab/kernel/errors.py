"""Why no kernel with WireGuard can be had here."""

from __future__ import annotations

from collections.abc import Iterable

from heliograph.errors import TerminalError


class KernelUnavailable(TerminalError):
    """This machine's kernel has no WireGuard, and none that has can be started on it."""

    def __init__(self, why: str, *, remedy: str, output: Iterable[str] = ()) -> None:
        sentence = f"No kernel with WireGuard can be started here: {why}. {remedy}"
        super().__init__("\n".join((sentence, *output)))
