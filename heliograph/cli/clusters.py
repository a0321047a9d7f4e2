"""Clusters and buses as people write them on the command line. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from heliograph.contract.names import ClusterId, parse_cluster_id
from heliograph.errors import InputError
from heliograph.kube.kubeconfig import Kubeconfig


def parse_clusters(texts: Sequence[str], *, flag: str = "--cluster") -> dict[ClusterId, Kubeconfig]:
    """Return the clusters of "ID=KUBECONFIG[@CONTEXT]", each id once; `flag` is whose they are.

    Raises:
        InputError: A text is of another form, an id is none, or two clusters have one id.
    """
    clusters: dict[ClusterId, Kubeconfig] = {}
    for text in texts:
        name, equals, kubeconfig = text.partition("=")
        if not equals or not kubeconfig:
            message = f"{flag} {text!r} is not of the form ID=KUBECONFIG or ID=KUBECONFIG@CONTEXT"
            raise InputError(message)
        cluster = parse_cluster_id(name)
        if cluster in clusters:
            message = (
                f"two clusters have the id {cluster!r}: each needs one of its own; change one of "
                f"the {flag} arguments"
            )
            raise InputError(message)
        clusters[cluster] = Kubeconfig.parse(kubeconfig)
    return clusters


def parse_buses(texts: Sequence[str], clusters: Sequence[ClusterId]) -> dict[ClusterId, str]:
    """Return the URL of each cluster's bus: one "URL" for all, or "ID=URL" for each.

    Raises:
        InputError: A cluster has none, or a URL is for no known cluster.
    """
    buses: dict[ClusterId, str] = {}
    for text in texts:
        name, equals, url = text.partition("=")
        if not equals:
            buses |= dict.fromkeys(clusters, text)
            continue
        if name not in clusters:
            have = ", ".join(clusters)
            raise InputError(f"--nats {text!r} is for no known cluster; there are: {have}")
        buses[ClusterId(name)] = url
    without = [cluster for cluster in clusters if cluster not in buses]
    if without:
        message = f"cluster {without[0]} has no bus: give --nats URL, or --nats {without[0]}=URL"
        raise InputError(message)
    return buses
