"""kubectl against an in-memory cluster: what people type in the demo works."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import yaml

from heliograph.lab.controlplane import KubectlOutcome, kubectl
from heliograph.lab.kilo import peer_crd
from heliograph.lab.memory import MemoryCluster, MemoryClusterSettings

pytestmark = pytest.mark.real

Kubectl = Callable[..., Awaitable[KubectlOutcome]]

MANIFEST = """
apiVersion: v1
kind: Service
metadata: {name: cart, labels: {app: cart}}
spec:
  selector: {app: cart}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: cart-1, labels: {kubernetes.io/service-name: cart}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.1, 10.1.0.2], conditions: {ready: true}}]
ports: [{name: http, port: 8080}]
"""


@pytest.fixture
async def cluster() -> AsyncIterator[MemoryCluster]:
    """Give a running cluster; kubectl sends no token over plain HTTP, so it asks for none."""
    async with MemoryCluster(MemoryClusterSettings(name="west")) as running:
        yield running


@pytest.fixture
def run(cluster: MemoryCluster, controlplane_binary: Path) -> Kubectl:
    """Give kubectl, which fails the test when it fails."""

    async def succeed(*args: str, stdin: str | None = None) -> KubectlOutcome:
        outcome = await kubectl(cluster.access, *args, binary=controlplane_binary, stdin=stdin)
        assert outcome.exit_code == 0, outcome.stderr
        return outcome

    return succeed


async def test_apply_creates_then_changes_then_leaves_alone(
    run: Kubectl, cluster: MemoryCluster
) -> None:
    """Client-side apply with its default validation: created, unchanged, configured."""
    first = await run("apply", "-f", "-", stdin=MANIFEST)
    address = cluster.list("Service", "default")[0]["spec"]["clusterIP"]
    second = await run("apply", "-f", "-", stdin=MANIFEST)
    changed = MANIFEST.replace("port: 80,", "port: 81,").replace("app: cart}}", "tier: web}}")
    third = await run("apply", "-f", "-", stdin=changed)
    stored = cluster.list("Service", "default")[0]

    assert first.stdout.splitlines() == [
        "service/cart created",
        "endpointslice.discovery.k8s.io/cart-1 created",
    ]
    assert "service/cart unchanged" in second.stdout
    assert "service/cart configured" in third.stdout
    assert first.stderr == second.stderr == third.stderr == ""
    assert [p["port"] for p in stored["spec"]["ports"]] == [81]
    assert stored["metadata"]["labels"] == {"tier": "web"}
    assert stored["spec"]["clusterIP"] == address


async def test_get_prints_the_columns_that_people_know(run: Kubectl) -> None:
    """Tables of Services, slices, namespaces; wide ones; all of them."""
    await run("apply", "-f", "-", stdin=MANIFEST)
    services = (await run("get", "services")).stdout.splitlines()
    wide = (await run("get", "svc", "cart", "-o", "wide")).stdout.splitlines()
    slices = (await run("get", "endpointslices")).stdout.splitlines()
    spaces = (await run("get", "ns")).stdout
    everything = (await run("get", "all", "--all-namespaces")).stdout

    assert services[0].split() == [
        *("NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"),
    ]
    assert services[1].split()[:2] == ["cart", "ClusterIP"]
    assert wide[1].split()[-1] == "app=cart"
    assert slices[1].split()[:4] == ["cart-1", "IPv4", "8080", "10.1.0.1,10.1.0.2"]
    assert "kube-system       Active" in spaces
    assert "service/kubernetes" in everything


async def test_get_prints_whole_objects(run: Kubectl) -> None:
    """YAML, JSON paths and custom columns."""
    await run("apply", "-f", "-", stdin=MANIFEST)
    as_yaml = (await run("get", "svc", "cart", "-o", "yaml")).stdout
    path = (await run("get", "svc", "cart", "-o", "jsonpath={.spec.ports[0].targetPort}")).stdout
    columns = (await run("get", "svc", "-o", "custom-columns=N:.metadata.name")).stdout

    assert "kind: Service\n" in as_yaml
    assert "sessionAffinity: None\n" in as_yaml
    assert path == "8080"
    assert columns.split() == ["N", "cart", "kubernetes"]


async def test_describe_finds_the_slices_of_a_service(run: Kubectl) -> None:
    """`describe` joins a Service with its EndpointSlices and its Events."""
    await run("apply", "-f", "-", stdin=MANIFEST)
    described = (await run("describe", "svc", "cart")).stdout

    assert "10.1.0.1:8080" in described
    assert "Session Affinity:         None" in described
    assert "Active" in (await run("describe", "ns", "default")).stdout


async def test_label_annotate_patch_and_set_change_objects(
    run: Kubectl, cluster: MemoryCluster
) -> None:
    """The small changes people make by hand."""
    await run("apply", "-f", "-", stdin=MANIFEST)
    await run("label", "svc", "cart", "heliograph.io/export=true")
    await run("annotate", "svc", "cart", "heliograph.io/endpoints=pods")
    await run("patch", "svc", "cart", "-p", '{"spec":{"ports":[{"port":81,"name":"two"}]}}')
    await run("set", "selector", "svc", "cart", "app=basket")
    stored = cluster.list("Service", "default")[0]

    assert stored["metadata"]["labels"]["heliograph.io/export"] == "true"
    assert stored["metadata"]["annotations"]["heliograph.io/endpoints"] == "pods"
    assert {p["port"] for p in stored["spec"]["ports"]} == {80, 81}
    assert stored["spec"]["selector"] == {"app": "basket"}
    managers = {e["manager"] for e in stored["metadata"]["managedFields"]}
    assert "kubectl-client-side-apply" in managers


async def test_create_speaks_protobuf(run: Kubectl, cluster: MemoryCluster) -> None:
    """Since 1.36 `kubectl create` of these kinds sends protobuf only."""
    await run("create", "namespace", "shop")
    await run("-n", "shop", "create", "service", "clusterip", "cart", "--tcp=80:http")
    await run("-n", "shop", "create", "service", "clusterip", "dark", "--clusterip=None")
    await run("-n", "shop", "create", "configmap", "words", "--from-literal=a=b")
    await run("-n", "shop", "create", "secret", "generic", "quiet", "--from-literal=a=b")
    await run("-n", "shop", "create", "serviceaccount", "cart")
    cart, dark = cluster.list("Service", "shop")

    assert cart["spec"]["ports"] == [
        {"name": "80-http", "port": 80, "protocol": "TCP", "targetPort": "http"}
    ]
    assert cart["spec"]["selector"] == {"app": "cart"}
    assert dark["spec"]["clusterIP"] == "None"
    assert cluster.list("ConfigMap", "shop")[0]["data"] == {"a": "b"}
    assert cluster.list("Secret", "shop")[0]["data"] == {"a": "Yg=="}
    assert (await run("auth", "can-i", "create", "services")).stdout == "yes\n"


async def test_delete_waits_until_it_is_gone(run: Kubectl, cluster: MemoryCluster) -> None:
    """`delete` of objects and of whole namespaces ends, and leaves nothing."""
    await run("create", "namespace", "shop")
    await run("-n", "shop", "apply", "-f", "-", stdin=MANIFEST)
    gone = await run("-n", "shop", "delete", "-f", "-", stdin=MANIFEST)
    await run("-n", "shop", "apply", "-f", "-", stdin=MANIFEST)
    await run("delete", "namespace", "shop")

    assert 'service "cart" deleted' in gone.stdout
    assert cluster.get("Namespace", "", "shop") is None
    assert cluster.list("EndpointSlice") == []


async def test_watching_prints_one_table(run: Kubectl) -> None:
    """`get -w` prints the columns once, then a line for every event, until its time is over."""
    await run("apply", "-f", "-", stdin=MANIFEST)
    watched = await run("get", "svc", "-w", "--request-timeout=2s")

    lines = watched.stdout.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["NAME", "cart", "kubernetes"]
    assert lines.count(lines[0]) == 1


async def test_waiting_sees_conditions(run: Kubectl) -> None:
    """`wait` works by watch."""
    await run("apply", "-f", "-", stdin=MANIFEST)
    condition = "--for=jsonpath={.spec.type}=ClusterIP"
    met = await run("wait", "svc/cart", condition, "--timeout=5s")

    assert met.stdout == "service/cart condition met\n"


async def test_misspelt_members_are_refused(
    cluster: MemoryCluster, controlplane_binary: Path
) -> None:
    """Kubectl's default validation is done by the server, and it notices typos."""
    wrong = MANIFEST.replace("selector:", "selectors:", 1)
    args = ("apply", "-f", "-")
    outcome = await kubectl(cluster.access, *args, binary=controlplane_binary, stdin=wrong)

    assert outcome.exit_code == 1
    assert 'unknown field "spec.selectors"' in outcome.stderr


async def test_discovery_names_every_kind(run: Kubectl) -> None:
    """`api-resources` lists what is served, with short names."""
    listed = (await run("api-resources")).stdout

    for kind in ("Service", "EndpointSlice", "ServiceCIDR", "Lease", "Event"):
        assert f" {kind}\n" in listed
    assert " svc " in listed


async def test_a_dry_run_and_a_diff_store_nothing(
    run: Kubectl, cluster: MemoryCluster, controlplane_binary: Path
) -> None:
    """`--dry-run=server` and `diff` ask the server and leave it as it was."""
    await run("apply", "-f", "-", stdin=MANIFEST)
    version = cluster.resource_version
    changed = MANIFEST.replace("port: 80,", "port: 81,")
    await run("apply", "--dry-run=server", "-f", "-", stdin=changed)
    args = ("diff", "-f", "-")
    diff = await kubectl(cluster.access, *args, binary=controlplane_binary, stdin=changed)

    assert diff.exit_code == 1, diff.stderr
    assert "+    port: 81" in diff.stdout
    assert cluster.resource_version == version


PEER = """
apiVersion: kilo.squat.ai/v1alpha1
kind: Peer
metadata: {name: laptop}
spec: {allowedIPs: [10.5.0.1/32], publicKey: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=}
"""


async def test_custom_resources_come_with_their_definition(
    run: Kubectl, cluster: MemoryCluster
) -> None:
    """A definition is applied, its kind is found by name, and its objects like any others."""
    manifest = yaml.safe_dump(peer_crd())
    defined = await run("apply", "-f", "-", stdin=manifest)
    again = await run("apply", "-f", "-", stdin=manifest)
    established = await run("wait", "--for=condition=Established", "crd/peers.kilo.squat.ai")
    made = await run("apply", "-f", "-", stdin=PEER)
    changed = await run("apply", "-f", "-", stdin=PEER.replace("10.5.0.1", "10.5.0.2"))
    listed = (await run("get", "peers")).stdout.splitlines()
    await run("delete", "peer", "laptop")
    definitions = (await run("get", "crds")).stdout

    assert "peers.kilo.squat.ai created" in defined.stdout
    assert "peers.kilo.squat.ai unchanged" in again.stdout
    assert "condition met" in established.stdout
    assert made.stdout == "peer.kilo.squat.ai/laptop created\n"
    assert changed.stdout == "peer.kilo.squat.ai/laptop configured\n"
    assert [line.split()[0] for line in listed] == ["NAME", "laptop"]
    assert "peers.kilo.squat.ai" in definitions
    assert cluster.list("Peer") == []
