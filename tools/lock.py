"""Renews the requirements files: pinned, hashed, for all platforms, naming no download address.

A release counts only when it is a week old: most poisoned ones are found out sooner.
"""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

_COOLDOWN = dt.timedelta(days=7)
_HEADER = "# Made by `make lock`; do not edit.\n"
_OPTIONS = (
    *("--python-version", "3.11", "--universal", "--generate-hashes", "--quiet", "--no-header"),
    *("--no-emit-index-url", "--no-emit-find-links"),
)


def main() -> None:
    """Write both files, the second one in agreement with the first."""
    _compile("requirements.txt")
    _compile("requirements-dev.txt", "--group", "dev", "--constraint", "requirements.txt")


def _compile(target: str, *more: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    newest = (dt.datetime.now(dt.UTC) - _COOLDOWN).strftime("%Y-%m-%dT%H:%M:%SZ")
    command = [str(uv), "pip", "compile", "pyproject.toml", *_OPTIONS, "--upgrade"]
    subprocess.run([*command, "--exclude-newer", newest, *more, "-o", target], check=True)
    path = Path(target)
    path.write_text(_HEADER + path.read_text(encoding="utf-8"), encoding="utf-8")


if __name__ == "__main__":
    main()
