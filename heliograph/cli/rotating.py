"""`heliograph rotate-keys`: new keys for the nodes' tunnels, without a gap."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from heliograph.cli.options import OneKubeconfig, in_cluster
from heliograph.errors import InputError

_MOST_S = 3600


def rotate_keys(
    node: Annotated[
        str | None, Parameter(help="The Node; without it, all of the cluster, one after another.")
    ] = None,
    /,
    *,
    within_s: Annotated[
        int, Parameter(help="How long other clusters' nodes may take to prepare, in seconds.")
    ] = 60,
    kubeconfig: OneKubeconfig = None,
) -> int:
    """Give nodes with a WireGuard agent new keys; what goes through their tunnels goes on.

    The agent makes the next key and announces it; the other clusters' nodes prepare for it; then it
    is in use, and the old one is gone. If somebody does not prepare in time, or nobody answers the
    new key, the node keeps its key, and the exit code is 1. It goes on without this command, and
    over restarts of the agent.

    Example:
        heliograph rotate-keys --kubeconfig ~/.kube/config@west
        heliograph rotate-keys w1 --within-s 120
    """
    from heliograph.cli import rotation  # noqa: PLC0415 - keeps `--help` quick

    if not 1 <= within_s <= _MOST_S:
        raise InputError(f"--within-s {within_s} is not from 1 to {_MOST_S}")
    return in_cluster(
        kubeconfig, lambda client: rotation.rotate_keys(client, node, within_s=within_s)
    )
