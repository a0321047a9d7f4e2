"""The commands by which people decide about the ClusterSet."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from heliograph.cli.options import OneKubeconfig, in_cluster
from heliograph.contract.names import parse_cluster_id
from heliograph.membership.record import NAMESPACE

Namespace = Annotated[
    str, Parameter(help="Where Heliograph keeps decisions (ConfigMap 'clusterset').")
]
Exporting = Annotated[str, Parameter(help="Id of the cluster whose mirrors they are.")]
Undo = Annotated[bool, Parameter(help="Take the decision back.", negative="")]


def leave(
    *, undo: Undo = False, kubeconfig: OneKubeconfig = None, namespace: Namespace = NAMESPACE
) -> int:
    """Let a cluster leave the ClusterSet: its mirrors go everywhere, and those in it go too.

    Its programs see to it, at once or when they run next; it holds over restarts.

    Example:
        heliograph leave --kubeconfig ~/.kube/config@east
    """
    from heliograph.cli import membership  # noqa: PLC0415 - keeps `--help` quick

    act = membership.come_back if undo else membership.leave
    return in_cluster(kubeconfig, lambda client: act(client, namespace))


def forget(
    cluster: Exporting,
    /,
    *,
    undo: Undo = False,
    kubeconfig: OneKubeconfig = None,
    namespace: Namespace = NAMESPACE,
) -> int:
    """Remove all mirrors of a cluster that is gone for good, in one importing cluster.

    Whatever its stream holds, nothing of it comes back.

    Example:
        heliograph forget north --kubeconfig ~/.kube/config@west
    """
    from heliograph.cli import membership  # noqa: PLC0415 - keeps `--help` quick

    exporting = parse_cluster_id(cluster)
    act = membership.remember if undo else membership.forget
    return in_cluster(kubeconfig, lambda client: act(client, namespace, exporting))


def confirm(
    cluster: Exporting,
    /,
    *,
    kubeconfig: OneKubeconfig = None,
    namespace: Namespace = NAMESPACE,
) -> int:
    """Let removals go that are held back, since most of a cluster's mirrors would go at once.

    Example:
        heliograph confirm east --kubeconfig ~/.kube/config@west
    """
    from heliograph.cli import membership  # noqa: PLC0415 - keeps `--help` quick

    exporting = parse_cluster_id(cluster)
    return in_cluster(kubeconfig, lambda client: membership.confirm(client, namespace, exporting))
