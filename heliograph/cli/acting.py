"""One thing done in one cluster, with a person's own kubeconfig."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from heliograph.errors import InputError
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import ApiStatus, ApiUnreachable
from heliograph.kube.kubeconfig import Kubeconfig


async def act(kubeconfig: str | None, action: Callable[[KubeClient], Awaitable[str]]) -> None:
    """Run the action and print what it says; what the API server refuses is bad input."""
    access = Kubeconfig.parse(kubeconfig) if kubeconfig else _default()
    async with KubeClient("", access) as client:
        try:
            said = await action(client)
        except (ApiUnreachable, ApiStatus) as error:
            raise InputError(str(error)) from error
    sys.stdout.write(f"{said}\n")


def _default() -> Kubeconfig:
    """Return what kubectl would use."""
    named = os.environ.get("KUBECONFIG") or "~/.kube/config"
    return Kubeconfig(path=Path(named.partition(os.pathsep)[0]).expanduser())
