"""How to reach a cluster of the laboratory, and the kubeconfig file that says so.

Both kinds of cluster (in-memory and real) describe themselves with `ClusterAccess`, so whoever
uses one can use the other. No I/O but writing the file.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path

import msgspec
import yaml
from typing_extensions import override


class ClusterAccess(msgspec.Struct, frozen=True, kw_only=True):
    """Address and credentials of one laboratory cluster.

    Attributes:
        name: The cluster's id (one DNS label); also its context, cluster and user in kubeconfig.
        server: "http://127.0.0.1:PORT" or "https://127.0.0.1:PORT".
        token: Bearer token of an administrator.
        ca_pem: Certificate authority of `server` as PEM; None for plain HTTP.
    """

    name: str
    server: str
    token: str
    ca_pem: str | None = None

    @override
    def __repr__(self) -> str:
        """Show where the cluster is, never the token."""
        return f"ClusterAccess(name={self.name!r}, server={self.server!r})"


def kubeconfig(clusters: Iterable[ClusterAccess]) -> str:
    """Return a kubeconfig (YAML) with one context per cluster; the first one is current."""
    known = list(clusters)
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": known[0].name if known else "",
            "clusters": [{"name": c.name, "cluster": _cluster_entry(c)} for c in known],
            "users": [{"name": c.name, "user": {"token": c.token}} for c in known],
            "contexts": [
                {"name": c.name, "context": {"cluster": c.name, "user": c.name}} for c in known
            ],
        },
        sort_keys=False,
    )


def write_kubeconfig(path: Path, clusters: Iterable[ClusterAccess]) -> None:
    """Write the kubeconfig with mode 0600: it holds tokens of administrators."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(kubeconfig(clusters), encoding="utf-8")
    path.chmod(0o600)  # also when the file was there before


def _cluster_entry(cluster: ClusterAccess) -> dict[str, str]:
    entry = {"server": cluster.server}
    if cluster.ca_pem is not None:
        encoded = base64.b64encode(cluster.ca_pem.encode()).decode()
        entry["certificate-authority-data"] = encoded
    return entry
