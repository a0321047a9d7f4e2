"""What can go wrong with the laboratory's networks."""

from __future__ import annotations

from collections.abc import Iterable

from heliograph.errors import HeliographError, InputError


class NetworkUnavailable(InputError):
    """This machine, or this person, cannot have a network; says what is missing."""


class CommandFailed(HeliographError):
    """A command inside the network did not do what it was for.

    Attributes:
        where: The host that it ran in.
        command: What ran.
        output: What it wrote.
    """

    def __init__(self, where: str, command: Iterable[str], *, exit_code: int, output: str) -> None:
        self.where, self.command, self.output = where, tuple(command), output
        super().__init__(
            f"in the laboratory's {where}, `{' '.join(self.command)}` ended with exit code "
            f"{exit_code}: {output.strip() or 'it wrote nothing'}"
        )
