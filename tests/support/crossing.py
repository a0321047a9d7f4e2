"""Requests from a pod in west to a Service of east, as the tests of networks make them."""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from heliograph.lab.network import Asker, Cluster, LaboratorySpec
from heliograph.lab.network.mesh import Mesh
from tests.support.mesh import running_mesh
from tests.support.network import ask, echo, require_network, running_laboratory
from tests.support.planes import built_binary

SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: {name}
  labels: {{heliograph.io/export: "true"}}
  annotations: {{heliograph.io/endpoints: {mode}}}
spec: {{selector: {{app: {name}}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""
BOUND_S = 15.0
"""Within which a peer that stopped answering loses its claims, by the documentation."""


@contextmanager
def joined(spec: LaboratorySpec, folder: Path, *, roaming: Container[str] = ()) -> Iterator[Mesh]:
    """Run a laboratory with all programs; the `roaming` nodes announce no endpoint."""
    require_network()
    built_binary()
    with (
        running_laboratory(spec, folder) as laboratory,
        running_mesh(laboratory, roaming) as running,
    ):
        yield running


def west(mesh: Mesh) -> Cluster:
    """Return the cluster that asks."""
    return mesh.laboratory.clusters["west"]


def east(mesh: Mesh) -> Cluster:
    """Return the cluster that serves."""
    return mesh.laboratory.clusters["east"]


async def serve(cluster: Cluster, app: str, *, node: str = "e2", mode: str = "cluster-ip") -> None:
    """Run a backend behind a Service that is exported."""
    manifest = SERVICE.format(name=app, mode=mode)
    (await cluster.kubectl("apply", "--filename=-", stdin=manifest)).text()
    await cluster.add_pod(f"{app}-1", node=node, labels={"app": app}, serves=8080)


async def asking(cluster: Cluster, app: str, *, node: str = "w1") -> Asker:
    """Let a pod ask for a Service by its DNS name, until it is answered once."""
    client = await cluster.add_pod(f"{app}-client", node=node)
    asker = client.ask(f"http://{app}.default.svc.cluster.local/")
    await asker.next_ok(within_s=60)
    return asker


async def tunnel_address(cluster: Cluster, node: str) -> IPv4Address:
    """Return the address of a node inside the tunnels."""
    annotation = r"{.metadata.annotations.heliograph\.io/tunnel-ip}"
    said = await cluster.kubectl("get", "node", node, "--output", f"jsonpath={annotation}")
    return IPv4Interface(said.text()).ip


async def answers_inside(mesh: Mesh, name: str) -> None:
    """Wait until a node of east answers one of west through the tunnel."""
    address = await tunnel_address(east(mesh), name)
    server = await echo(east(mesh).node(name))
    while not await ask(west(mesh).node("w1"), address):
        pass  # each attempt takes its time, and the test has a limit
    server.stop()


async def claims(mesh: Mesh, node: str) -> list[str]:
    """Return the nodes that a node of west has claims at, as `heliograph peers` tells."""
    return await mesh.claims(west(mesh), node)
