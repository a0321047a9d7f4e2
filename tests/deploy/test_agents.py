"""The manifests of the agents: taken by a real API server, and no more rights than they need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from heliograph import settings
from heliograph.errors import HeliographError
from heliograph.kube.client import KubeClient
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.kube.objects import NODES
from heliograph.lab.access import write_kubeconfig
from heliograph.run.settings import ProgramSettings
from heliograph.web import parse_listen
from services.peerer.settings import PeererSettings
from services.peerer.wireguard.rights import agent_rights
from services.peerer.wireguard.settings import AgentSettings
from tests.deploy.clusters import Cluster
from tests.deploy.manifests import DEPLOY, KUBERNETES, find, granted_to, read, required

MANIFESTS = read("agents")
POD = find(MANIFESTS, "DaemonSet", "agent")["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
ENVIRONMENT = find(MANIFESTS, "ConfigMap", "settings")["data"]


def test_the_role_grants_what_an_agent_asks_for() -> None:
    """Neither more nor less than the code says, and to the agents' account alone."""
    rights = agent_rights(PeererSettings(cluster="west"))
    assert granted_to(MANIFESTS, "heliograph-agent") == required(rights)
    bindings = [m for m in MANIFESTS if m["kind"] in {"RoleBinding", "ClusterRoleBinding"}]
    account = {"kind": "ServiceAccount", "name": "agent", "namespace": "heliograph-agents"}
    assert [b["subjects"] for b in bindings] == [[account], [account]]
    assert POD["serviceAccountName"] == "agent"


def test_the_settings_are_settings() -> None:
    """All variables can be read; the node's name comes from where the pod runs."""
    environ = {**ENVIRONMENT, "HELIOGRAPH_NODE": "w1"}
    everything = (ProgramSettings, PeererSettings, AgentSettings)
    elsewhere = settings.setting_names(*everything)
    loaded: list[Any] = [
        settings.load(struct, environ=environ, flags={}, known_elsewhere=elsewhere)
        for struct in everything
    ]
    _, peerer, agent = loaded
    assert (peerer.backend, agent.node) == ("wireguard", "w1")
    (node,) = CONTAINER["env"]
    assert node["name"] == "HELIOGRAPH_NODE"
    assert node["valueFrom"]["fieldRef"]["fieldPath"] == "spec.nodeName"


def test_what_must_outlive_a_pod_is_on_the_node() -> None:
    """The folder of the key is, so that a changed key can take the other one's place in it."""
    mounts = {one["name"]: one["mountPath"] for one in CONTAINER["volumeMounts"]}
    hosts = {v["name"]: v["hostPath"]["path"] for v in POD["volumes"] if "hostPath" in v}
    folder = str(AgentSettings().key_file.parent)
    assert mounts["keys"] == hosts["keys"] == folder
    assert mounts["tun"] == hosts["tun"] == "/dev/net/tun"
    assert POD["hostNetwork"]


def test_probes_ask_the_page_that_is_served() -> None:
    """On the node's loopback: the pods share its network, and nobody else is to read there."""
    host, port = parse_listen(ENVIRONMENT["HELIOGRAPH_LISTEN"])
    probes = [CONTAINER[kind]["httpGet"] for kind in ("livenessProbe", "readinessProbe")]
    assert (
        [(p["host"], p["port"]) for p in probes] == [(host, port)] * 2 == [("127.0.0.1", port)] * 2
    )


def test_the_image_has_what_agents_call() -> None:
    """The programs that they start are installed by the image, by Debian's names."""
    text = (DEPLOY / "Dockerfile.agent").read_text("utf-8")
    assert {"nftables", AgentSettings().userspace} <= set(text.split())


@pytest.fixture(scope="module")
def applied(east: Cluster) -> Iterator[Cluster]:
    """Apply the agents' manifests, as the how-to says."""
    east.kubectl("apply", "-f", KUBERNETES / "namespace")
    east.kubectl("apply", "--validate=strict", "-f", KUBERNETES / "agents")
    for name in ("w1", "w2"):
        east.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    yield east
    east.kubectl("delete", "node", "w1", "w2")
    east.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", KUBERNETES / "agents")


@pytest.mark.real
@pytest.mark.timeout(300)
async def test_an_agent_annotates_its_own_node_and_nothing_else(
    applied: Cluster, tmp_path: Path
) -> None:
    """By the token of its pod: not another Node, no label, no foreign annotation, no taint."""
    token = applied.kubectl(
        *("create", "token", "agent", "--namespace=heliograph-agents"),
        *("--bound-object-kind=Node", "--bound-object-name=w1"),
    ).strip()
    path = tmp_path / "agent"
    write_kubeconfig(path, [msgspec.structs.replace(applied.access, token=token)])
    async with KubeClient("east", Kubeconfig(path=path, context="east")) as client:

        async def patch(node: str, **change: dict[str, Any]) -> str:
            """Return why a Node was not changed; nothing if it was."""
            try:
                await client.merge_patch(NODES, "", node, change)
            except HeliographError as error:
                return str(error)
            return ""

        ours = {"annotations": {"heliograph.io/public-key": "x"}}
        while not await patch("w2", metadata=ours):
            pass  # the API server knows the policy some moments after it was applied
        assert "the Node that it runs on only, and this is not w2" in await patch(
            "w2", metadata=ours
        )
        assert await patch("w1", metadata=ours) == ""
        foreign = await patch("w1", metadata={"annotations": {"example.com/role": "x"}})
        assert "annotations of heliograph.io only" in foreign
        assert "annotations only" in await patch("w1", metadata={"labels": {"role": "x"}})
        assert "annotations only" in await patch("w1", spec={"unschedulable": True})
        kept = await patch("w1", metadata={"finalizers": ["example.com/never"]})
        assert "annotations only" in kept
        gone = {"annotations": {"heliograph.io/public-key": None}}
        assert await patch("w1", metadata=gone) == ""
