"""Runs our own kubectl against a cluster of the laboratory."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from heliograph.lab.access import ClusterAccess, write_kubeconfig
from heliograph.lab.controlplane.command import spawned

_KUBECTL_S: Final = 60.0  # one question; `kubectl wait` brings a shorter --timeout of its own


class KubectlOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How kubectl ended.

    Attributes:
        exit_code: 0 when it did what it was asked.
        stdout: What it found.
        stderr: What it complained of, warnings of the API server included.
    """

    exit_code: int
    stdout: str
    stderr: str


async def kubectl(
    access: ClusterAccess, *args: str, binary: Path, stdin: str | None = None
) -> KubectlOutcome:
    """Run kubectl with `args`; the person's own kubeconfig, caches and plugins are not used.

    Args:
        access: The cluster.
        args: As on the command line, such as "get", "services", "--output=json".
        binary: The multi-call binary, see `ensure_built`.
        stdin: For "apply --filename=-" and the like.

    Raises:
        TimeoutError: It took longer than a minute, and was killed.
    """
    with tempfile.TemporaryDirectory() as home:
        config = Path(home) / "config"
        write_kubeconfig(config, [access])
        async with (
            asyncio.timeout(_KUBECTL_S),
            spawned(
                [binary, "kubectl", "--kubeconfig", config, *args],
                environment={"PATH": os.environ.get("PATH", os.defpath), "HOME": home},
                stdin=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            ) as process,
        ):
            stdout, stderr = await process.communicate((stdin or "").encode())
            exit_code = await process.wait()
    return KubectlOutcome(exit_code=exit_code, stdout=stdout.decode(), stderr=stderr.decode())
