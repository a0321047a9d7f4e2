"""What people do in one cluster, and what must then be so in the other."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import subprocess
import sys
from typing import Any

import msgspec

from heliograph.lab.kilo import kilo_nodes, kilo_subnet
from heliograph.marks import EXPORT_LABEL, SERVICE_NAME_LABEL
from tests.deploy.clusters import Cluster, eventually
from tests.deploy.programs import outside_variables

PORT = 80


def service(name: str, namespace: str = "default", **spec: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return an exported Service."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": {EXPORT_LABEL: "true"}},
        "spec": {"ports": [{"port": PORT}], "selector": {"app": name}, **spec},
    }


def cluster_ip(cluster: Cluster, name: str, namespace: str = "default") -> str:
    """Return the cluster IP of a Service; empty if there is none."""
    found = cluster.get("service", name, f"--namespace={namespace}")
    return found["spec"]["clusterIP"] if found else ""


def addresses(cluster: Cluster, name: str, namespace: str = "default") -> list[str]:
    """Return the backend addresses of a Service in all its slices."""
    selector = f"--selector={SERVICE_NAME_LABEL}={name}"
    found = cluster.items("endpointslices", f"--namespace={namespace}", selector)
    endpoints = [endpoint for item in found for endpoint in item["endpoints"] or ()]
    return [address for endpoint in endpoints for address in endpoint["addresses"]]


def mirrored(east: Cluster, west: Cluster, name: str, namespace: str = "default") -> None:
    """Wait until west's Service points at east's."""
    there = [cluster_ip(east, name, namespace)]
    eventually(lambda: cluster_ip(west, name, namespace), f"mirror {namespace}/{name}")
    eventually(lambda: addresses(west, name, namespace) == there, f"backend of {name}")


def export(east: Cluster, west: Cluster, name: str) -> None:
    """Export a Service; it appears in the other cluster."""
    east.apply(service(name))
    mirrored(east, west, name)


def repair(east: Cluster, west: Cluster, name: str) -> None:
    """Meddle with the mirror and its slice, delete them; all is as it was."""
    patch = '{"spec": {"ports": [{"port": 81, "protocol": "TCP"}], "selector": {"app": "other"}}}'
    west.kubectl("patch", "service", name, "--type=merge", f"--patch={patch}")
    want = f"--for=jsonpath={{.spec.ports[0].port}}={PORT}"
    west.kubectl("wait", "service", name, want, "--timeout=30s")
    selector = f"--selector={SERVICE_NAME_LABEL}={name}"
    west.kubectl("label", "endpointslices", selector, f"{SERVICE_NAME_LABEL}=other", "--overwrite")
    mirrored(east, west, name)
    (item,) = west.items("endpointslices", selector)
    empty = '--patch={"endpoints": []}'
    west.kubectl("patch", "endpointslice", item["metadata"]["name"], "--type=merge", empty)
    mirrored(east, west, name)
    west.kubectl("delete", "endpointslices", selector)
    mirrored(east, west, name)
    west.kubectl("delete", "service", name)
    mirrored(east, west, name)


def withdraw(east: Cluster, west: Cluster, name: str) -> None:
    """Stop the export; the mirror goes."""
    east.kubectl("delete", "service", name)
    west.kubectl("wait", "service", name, "--for=delete", "--timeout=30s")
    eventually(lambda: not addresses(west, name), f"slices of {name} to be gone")


def adopt(east: Cluster, west: Cluster, name: str) -> None:
    """Take over a mirror made by hand: its cluster IP stays, its Endpoints go."""
    by_hand = service(name, selector=None)
    del by_hand["metadata"]["labels"]
    endpoints = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": name, "namespace": "default"},
        "subsets": [{"addresses": [{"ip": "10.120.99.99"}], "ports": [{"port": PORT}]}],
    }
    west.apply(by_hand, endpoints)
    before = cluster_ip(west, name)
    eventually(lambda: addresses(west, name) == ["10.120.99.99"], "slice of a controller")
    east.apply(service(name))
    heliograph("adopt", f"default/{name}", "--kubeconfig", str(west.admin))
    eventually(lambda: not west.get("endpoints", name), "Endpoints made by hand to be gone")
    mirrored(east, west, name)
    assert cluster_ip(west, name) == before


def leave_alone(east: Cluster, west: Cluster, name: str) -> None:
    """Export what the other cluster has of its own: it stays as it is, and an Event says why."""
    own = service(name)
    del own["metadata"]["labels"]
    west.apply(own)
    before = west.get("service", name)
    east.apply(service(name))
    eventually(lambda: told(west, name, "reflector"), f"Event about {name}")
    assert west.get("service", name) == before
    assert addresses(west, name) == []


def refuse(east: Cluster, name: str) -> None:
    """Export what cannot be exported: an Event says so."""
    alias = service(name, type="ExternalName", externalName="example.com")
    east.apply(alias)
    eventually(lambda: told(east, name, "watcher"), f"Event about {name}")


def node(cluster: Cluster, name: str) -> dict[str, Any]:
    """Return a node as Kilo's agent leaves it, with a heartbeat from the future: it stays fresh."""
    number = int(cluster.name == "east")
    (kilo,) = kilo_nodes(number, 1)
    named = msgspec.structs.replace(kilo, name=name, key=key_of(cluster, name))
    said = named.annotations(f"{ipaddress.ip_network(kilo_subnet(number))[1]}/19", 2**32)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": said},
        "spec": {"podCIDR": named.pod_cidr, "podCIDRs": [named.pod_cidr]},
    }


def key_of(cluster: Cluster, name: str) -> str:
    """Return the public key of a node."""
    digest = hashlib.sha256(f"{cluster.name}/{name}".encode()).digest()
    return base64.b64encode(digest).decode()


def routed(cluster: Cluster, name: str) -> list[str]:
    """Return what is routed to the Peer of a name; nothing if there is none."""
    found = cluster.get("peers.kilo.squat.ai", name)
    return found["spec"]["allowedIPs"] if found else []


def peer(east: Cluster, west: Cluster, name: str) -> None:
    """Let a node join; it becomes a Peer in the other cluster."""
    east.apply(made := node(east, name))
    there = f"east.node.{name}"
    eventually(lambda: made["spec"]["podCIDR"] in routed(west, there), f"Peer of {name}")


def repair_peer(east: Cluster, west: Cluster, name: str) -> None:
    """Meddle with a Peer of ours, and delete it; it is as it was."""
    pods = node(east, name)["spec"]["podCIDR"]
    there = f"east.node.{name}"
    nothing = '--patch={"spec": {"allowedIPs": ["10.9.9.0/24"]}}'
    west.kubectl("patch", "peers.kilo.squat.ai", there, "--type=merge", nothing)
    eventually(lambda: pods in routed(west, there), f"Peer of {name} to be repaired")
    west.kubectl("delete", "peers.kilo.squat.ai", there)
    eventually(lambda: pods in routed(west, there), f"Peer of {name} to be back")


def unpeer(east: Cluster, west: Cluster, name: str) -> None:
    """Let a node go; its Peer goes."""
    east.kubectl("delete", "node", name)
    gone = ("wait", f"peers.kilo.squat.ai/east.node.{name}", "--for=delete", "--timeout=60s")
    west.kubectl(*gone)


def peer_by_hand(east: Cluster, west: Cluster, name: str) -> None:
    """Let a node join whose key somebody has given to a Peer: that stays, and an Event says so."""
    spec = {"publicKey": key_of(east, name), "allowedIPs": ["10.9.8.0/24"]}
    by_hand = {"apiVersion": "kilo.squat.ai/v1alpha1", "kind": "Peer", "spec": spec}
    west.apply(by_hand | {"metadata": {"name": name}})
    east.apply(node(east, name))
    eventually(lambda: told(west, name, "peerer"), f"Event about Peer {name}")
    assert routed(west, name) == ["10.9.8.0/24"]
    assert routed(west, f"east.node.{name}") == []
    east.kubectl("delete", "node", name)
    west.kubectl("delete", "peers.kilo.squat.ai", name)


def adopt_peer(east: Cluster, west: Cluster, name: str) -> None:
    """Take over a Peer that somebody made for a node: it keeps its name, and then follows."""
    made = node(east, name)
    pods = made["spec"]["podCIDR"]
    spec = {"publicKey": key_of(east, name), "allowedIPs": [pods]}
    by_hand = {"apiVersion": "kilo.squat.ai/v1alpha1", "kind": "Peer", "spec": spec}
    west.apply(by_hand | {"metadata": {"name": name}})
    east.apply(made)
    eventually(lambda: told(west, name, "peerer"), f"Event about Peer {name}")
    heliograph("adopt", "peers", f"--from=east={east.admin}", f"--to=west={west.admin}")
    eventually(
        lambda: len(routed(west, name)) > 1, f"Peer {name} to have the node's tunnel address"
    )
    assert pods in routed(west, name)
    assert routed(west, f"east.node.{name}") == []
    east.kubectl("delete", "node", name)
    west.kubectl("wait", f"peers.kilo.squat.ai/{name}", "--for=delete", "--timeout=60s")


def make_namespace(east: Cluster, west: Cluster, name: str) -> None:
    """Export from a namespace that the other cluster does not have."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    east.apply(namespace, service("web", name))
    west.kubectl("wait", f"namespace/{name}", "--for=create", "--timeout=30s")
    mirrored(east, west, "web", name)


def empty_namespace(east: Cluster, west: Cluster, name: str) -> None:
    """Stop the export from such a namespace; it is removed again, as nothing is left in it."""
    east.kubectl("delete", "service", "web", f"--namespace={name}")
    west.kubectl("wait", f"namespace/{name}", "--for=delete", "--timeout=60s")


def told(cluster: Cluster, name: str, program: str) -> bool:
    """Tell whether a program wrote an Event about something in namespace default, or in none."""
    events = cluster.items("events.events.k8s.io", "--namespace=default")
    return any(
        e["reportingController"] == f"heliograph.io/{program}" and e["regarding"]["name"] == name
        for e in events
    )


def heliograph(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    ended = subprocess.run(
        [sys.executable, "-m", "heliograph", *arguments],
        env=outside_variables(),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    return ended


def leave_and_come_back(east: Cluster, west: Cluster, name: str) -> None:
    """Let a cluster leave the ClusterSet, and take part again; its mirrors go and come."""
    export(east, west, name)
    there = f"--kubeconfig={east.admin}"
    assert "has left the ClusterSet" in heliograph("leave", there).stdout
    west.kubectl("wait", "service", name, "--for=delete", "--timeout=30s")
    eventually(lambda: departed(west), "who left to be written down")
    heliograph("leave", "--undo", there)
    mirrored(east, west, name)
    eventually(lambda: not departed(west), "who is back to be written down")


def departed(cluster: Cluster) -> bool:
    """Tell whether a cluster keeps that another one left."""
    found = cluster.get("configmap", "clusterset", "--namespace=heliograph")
    return bool(found) and any("departed." in entry for entry in found.get("data") or {})
