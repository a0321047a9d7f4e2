"""`python -m heliograph.lab.collector`: builds the collector and prints where it is."""

from __future__ import annotations

import asyncio
import sys

from heliograph.errors import HeliographError
from heliograph.lab.collector import COLLECTOR
from heliograph.lab.controlplane.build import ensure_built


def main() -> int:
    """Build, with progress on stderr and the path on stdout; return the exit code."""
    try:
        binary = asyncio.run(ensure_built(_say, COLLECTOR))
    except HeliographError as error:
        _say(str(error))
        return 1
    sys.stdout.write(f"{binary}\n")
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
