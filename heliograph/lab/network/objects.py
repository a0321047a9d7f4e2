"""The Kubernetes objects that a kubelet, and whoever installs a cluster, would write. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Final

DNS_LABELS: Final = {"k8s-app": "kube-dns"}
DNS_NAMESPACE: Final = "kube-system"
DNS_PORT: Final = 53

Object = dict[str, object]


def node(name: str, pods: IPv4Network) -> Object:
    """Return a Node, to be created."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {"podCIDR": str(pods), "podCIDRs": [str(pods)]},
    }


def node_status(address: IPv4Address, name: str, *, ready: bool) -> Object:
    """Return a merge patch of a Node's status."""
    addresses = [
        {"type": "InternalIP", "address": str(address)},
        {"type": "Hostname", "address": name},
    ]
    return {"status": {"addresses": addresses, "conditions": [_condition("Ready", ready=ready)]}}


def pod(name: str, node_name: str, labels: Mapping[str, str]) -> Object:
    """Return a Pod that somebody has scheduled already, to be created."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": {
            "nodeName": node_name,
            "automountServiceAccountToken": False,
            "containers": [{"name": "main", "image": "laboratory"}],
        },
    }


def pod_status(address: IPv4Address, *, ready: bool) -> Object:
    """Return a merge patch of a Pod's status: it runs, and is ready or not."""
    conditions = [
        _condition(kind, ready=ready) for kind in ("Ready", "ContainersReady", "Initialized")
    ]
    return {
        "status": {
            "phase": "Running",
            "podIP": str(address),
            "podIPs": [{"ip": str(address)}],
            "conditions": conditions,
        }
    }


def dns_service(cluster_ip: IPv4Address) -> Object:
    """Return the Service kube-dns, as kubeadm makes it."""
    ports = [
        {"name": name, "protocol": protocol, "port": DNS_PORT, "targetPort": DNS_PORT}
        for name, protocol in (("dns", "UDP"), ("dns-tcp", "TCP"))
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "labels": DNS_LABELS},
        "spec": {"selector": DNS_LABELS, "clusterIP": str(cluster_ip), "ports": ports},
    }


def corefile(kubeconfig: str) -> str:
    """Return CoreDNS' configuration: kubeadm's, without the world outside.

    Answers about the cluster are not kept: what was asked for before it was there is found as soon
    as it is.
    """
    return f"""\
.:{DNS_PORT} {{
  errors
  health
  ready
  kubernetes cluster.local in-addr.arpa ip6.arpa {{
    kubeconfig {kubeconfig}
    pods insecure
    fallthrough in-addr.arpa ip6.arpa
    ttl 5
  }}
  cache 30 {{
    disable success cluster.local
    disable denial cluster.local
  }}
}}
"""


def resolver(dns: IPv4Address, namespace: str) -> str:
    """Return a pod's resolv.conf, as the kubelet writes it."""
    domains = f"{namespace}.svc.cluster.local svc.cluster.local cluster.local"
    return f"search {domains}\nnameserver {dns}\noptions ndots:5\n"


def _condition(kind: str, *, ready: bool) -> Object:
    return {"type": kind, "status": "True" if ready else "False", "reason": "Laboratory"}
