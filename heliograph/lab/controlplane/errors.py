"""What can go wrong with the laboratory's control planes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from heliograph.errors import RetryableError, TerminalError


class ControlPlaneUnavailable(TerminalError):
    """A binary of the laboratory is not there and cannot be built here.

    Attributes:
        output: The last lines of the build's output; empty when it never began.
    """

    def __init__(
        self, why: str, *, remedy: str, output: Iterable[str] = (), what: str = "control planes"
    ) -> None:
        self.output = tuple(output)
        super().__init__("\n".join((f"The {what} cannot be built: {why}. {remedy}", *self.output)))


class ControlPlaneFailed(RetryableError):
    """A program of a control plane ended by itself, or was not ready in time.

    Attributes:
        program: Which one, such as "west/kube-apiserver".
        log: Its log file.
        last_lines: The end of that file.
    """

    def __init__(self, program: str, *, what: str, log: Path, last_lines: Iterable[str]) -> None:
        self.program, self.log, self.last_lines = program, log, tuple(last_lines)
        super().__init__(
            "\n".join((f"{program} {what}; its log is {log} and ends with:", *self.last_lines))
        )
