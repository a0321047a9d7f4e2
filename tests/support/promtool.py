"""Prometheus' own tool, where `make` has fetched it or the machine has it."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def tool(name: str) -> ModuleType:
    """Return one of the scripts in tools/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def promtool(*arguments: str | Path, stdin: bytes = b"") -> None:
    """Run it; what it says is the failure. Skips where `make packages` could not fetch it."""
    found = tool("promtool").find()
    if found is None:
        pytest.skip("there is no promtool; `make packages` fetches it on Debian")
    done = subprocess.run(
        [found, *map(str, arguments)], input=stdin, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
