"""Prints where promtool is; fetches it into the cache if it is nowhere. Needs Python alone.

It comes from Debian's package `prometheus`, which is unpacked and not installed: no service runs.
Exit code 69 and a sentence on standard error: it cannot be had here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

UNAVAILABLE = 69
_LIMIT_S = 300


def cached() -> Path:
    """Return where it is kept: below XDG_CACHE_HOME (if that is absolute), or ~/.cache."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    root = base if base.is_absolute() else Path.home() / ".cache"
    return root / "heliograph" / "promtool"


def find() -> Path | None:
    """Return the one of the machine, or the one in the cache; None if there is neither."""
    installed = shutil.which("promtool")
    if installed:
        return Path(installed)
    return cached() if os.access(cached(), os.X_OK) else None


def fetch() -> Path:
    """Fetch it into the cache.

    Raises:
        OSError: There is no apt here.
        subprocess.SubprocessError: apt could not fetch it.
    """
    place = cached()
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as text:
        folder = Path(text)
        try:
            _run(folder, "apt-get", "-qq", "download", "prometheus")
        except subprocess.CalledProcessError:  # no list of packages yet, perhaps
            _run(folder, "apt-get", "-qq", "update")
            _run(folder, "apt-get", "-qq", "download", "prometheus")
        (package,) = folder.glob("prometheus_*.deb")
        _run(folder, "dpkg-deb", "-x", package.name, "root")
        (folder / "root" / "usr" / "bin" / "promtool").replace(place)
    return place


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=_LIMIT_S)


def main() -> int:
    """Print where it is; return the exit code."""
    try:
        found = find() or fetch()
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        sys.stderr.write(
            f"promtool is not here and could not be fetched ({error}), so alert rules are not "
            f"tested; on Debian it is in the package prometheus.\n"
        )
        return UNAVAILABLE
    sys.stdout.write(f"{found}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
