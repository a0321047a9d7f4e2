"""The command lines of a control plane's programs. Pure.

All paths are relative: each program runs in the control plane's folder. So the names of etcd's
sockets stay short (Unix allows 107 bytes), and no port is needed for etcd at all.
"""

from __future__ import annotations

from typing import Final

from heliograph.lab.controlplane.place import LOOPBACK
from heliograph.lab.controlplane.settings import ControlPlaneSettings

CA_FILE: Final = "ca.crt"
CERTIFICATE_FILE: Final = "server.crt"
KEY_FILE: Final = "server.key"
SERVICE_ACCOUNT_KEY_FILE: Final = "service-account.key"
TOKEN_FILE: Final = "tokens.csv"  # noqa: S105 - a file's name
KUBECONFIG_FILE: Final = "kubeconfig"

_CLIENTS: Final = "unix://clients.sock:0"  # etcd wants the form host:port; the whole is a file
_PEERS: Final = "unix://peers.sock:0"
_MEMBER: Final = "lab"


def etcd() -> tuple[str, ...]:
    """Return etcd's flags: one member, on Unix sockets, that does not care for power failures."""
    return (
        "etcd",
        f"--name={_MEMBER}",
        "--data-dir=etcd",
        "--unsafe-no-fsync",
        f"--listen-client-urls={_CLIENTS}",
        f"--advertise-client-urls={_CLIENTS}",
        f"--listen-peer-urls={_PEERS}",
        f"--initial-advertise-peer-urls={_PEERS}",
        f"--initial-cluster={_MEMBER}={_PEERS}",
        "--log-level=warn",
    )


def api_server(settings: ControlPlaneSettings, address: str, port: int) -> tuple[str, ...]:
    """Return kube-apiserver's flags; it listens on one address only.

    A loopback address cannot be advertised. Then it advertises one that is kept for documentation
    (RFC 5737), and default/kubernetes gets no backend addresses.
    """
    hidden = ("--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none")
    return (
        "kube-apiserver",
        f"--etcd-servers={_CLIENTS}",
        f"--bind-address={address}",
        f"--secure-port={port}",
        "--permit-port-sharing",  # the laboratory holds the port, see port.py
        "--shutdown-watch-termination-grace-period=1s",  # or open watches delay its end by 60 s
        *(hidden if address == LOOPBACK else (f"--advertise-address={address}",)),
        f"--service-cluster-ip-range={','.join(settings.service_cidrs)}",
        f"--tls-cert-file={CERTIFICATE_FILE}",
        f"--tls-private-key-file={KEY_FILE}",
        "--anonymous-auth=false",
        f"--token-auth-file={TOKEN_FILE}",
        "--authorization-mode=Node,RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={SERVICE_ACCOUNT_KEY_FILE}",
        f"--service-account-signing-key-file={SERVICE_ACCOUNT_KEY_FILE}",
        *settings.api_server_flags,
    )


def controller_manager(settings: ControlPlaneSettings) -> tuple[str, ...]:
    """Return kube-controller-manager's flags: it is the only one, and serves nothing."""
    return (
        "kube-controller-manager",
        f"--kubeconfig={KUBECONFIG_FILE}",
        f"--controllers={','.join(settings.controllers)}",
        "--leader-elect=false",
        "--secure-port=0",
    )
