"""The programs as they are deployed: real API servers, tokens, roles, certificates, settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from heliograph.lab.kilo import peer_crd
from tests.deploy import steps
from tests.deploy.clusters import ACCOUNTS, Cluster, Request, eventually
from tests.deploy.manifests import Granted, find, granted_to, read
from tests.deploy.programs import World, at_work

pytestmark = [pytest.mark.real, pytest.mark.nats, pytest.mark.timeout(300)]

_ROLES = read("heliograph", "create-namespaces")
_ASKING = Granted("authorization.k8s.io", "selfsubjectaccessreviews", "create")
_ONLY_AFTER_A_RACE = {
    Granted("", "services", "get"),
    Granted("discovery.k8s.io", "endpointslices", "get"),
    Granted("", "namespaces", "get"),
    Granted("kilo.squat.ai", "peers", "get"),
    Granted("", "configmaps", "create", "", "heliograph"),
}
"""To look at what stands where another writer was faster, or to make what it has made."""

_ONLY_IF_FIRST = {Granted("", "configmaps", "patch", "clusterset", "heliograph")}
"""Who was admitted is written by whichever program finds it out first."""


@pytest.fixture(scope="module")
def world(
    clusters: dict[str, Cluster], certificates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Give both clusters with all programs at work; west may create namespaces, east may not.

    Peers are a kind that Kilo brings; none of our manifests does.
    """
    for cluster in clusters.values():
        cluster.forget_requests()
        cluster.apply(peer_crd())
    with at_work(clusters, certificates, tmp_path_factory.mktemp("world")) as working:
        yield working


def test_a_service_is_mirrored_repaired_and_withdrawn(
    world: World, east: Cluster, west: Cluster
) -> None:
    """The main job, with the rights of the manifests and no others."""
    assert set(world.clusters) == {"east", "west"}
    steps.export(east, west, "web")
    steps.repair(east, west, "web")
    steps.withdraw(east, west, "web")


@pytest.mark.usefixtures("world")
def test_the_other_direction(east: Cluster, west: Cluster) -> None:
    """Each cluster exports and imports."""
    steps.export(west, east, "back")


@pytest.mark.usefixtures("world")
def test_a_mirror_made_by_hand_is_adopted(east: Cluster, west: Cluster) -> None:
    """The reflector may remove the Endpoints that people made."""
    steps.adopt(east, west, "by-hand")


@pytest.mark.usefixtures("world")
def test_nodes_become_peers(east: Cluster, west: Cluster) -> None:
    """A node of one cluster is a Peer in the other, whatever people do to it, until it goes."""
    steps.peer(east, west, "n1")
    steps.repair_peer(east, west, "n1")
    steps.unpeer(east, west, "n1")


@pytest.mark.usefixtures("world")
def test_a_peer_made_by_hand_is_adopted(east: Cluster, west: Cluster) -> None:
    """Whoever followed Kilo's page keeps the Peer, which then follows its node."""
    steps.adopt_peer(east, west, "adopted")


@pytest.mark.usefixtures("world")
def test_people_are_told(east: Cluster, west: Cluster) -> None:
    """All programs may write Events."""
    steps.leave_alone(east, west, "own")
    steps.refuse(east, "alias")
    steps.peer_by_hand(east, west, "by-hand")


@pytest.mark.usefixtures("world")
def test_a_namespace_is_created_where_that_is_allowed(east: Cluster, west: Cluster) -> None:
    """Overlay west includes create-namespaces; what was made goes again when it is empty."""
    steps.make_namespace(east, west, "shop")
    steps.empty_namespace(east, west, "shop")


def test_a_namespace_is_not_created_elsewhere(world: World, east: Cluster, west: Cluster) -> None:
    """Overlay east does not: nothing is tried, the refusal is counted, and it waits."""
    west.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "depot"}})
    west.apply(steps.service("web", "depot"))
    page = world.programs["east", "reflector"].page
    missing = 'heliograph_refusals{exporting="west",reason="NamespaceMissing"} 1.0'
    eventually(lambda: missing in page("/metrics")[1], "refusal to be counted")
    assert east.get("namespace", "depot") is None
    east.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "depot"}})
    steps.mirrored(west, east, "web", "depot")


def test_programs_do_what_they_may_and_may_what_they_do(
    world: World, east: Cluster, west: Cluster
) -> None:
    """Nothing is refused, nothing else is asked for, and no right is there in vain."""
    for step in (steps.export, steps.repair, steps.withdraw):
        step(east, west, "audited")
    steps.adopt(east, west, "audited-by-hand")
    steps.leave_alone(east, west, "audited-own")
    steps.refuse(east, "audited-alias")
    steps.make_namespace(east, west, "audited")
    steps.empty_namespace(east, west, "audited")
    steps.peer(east, west, "audited")
    steps.repair_peer(east, west, "audited")
    steps.unpeer(east, west, "audited")
    steps.peer_by_hand(east, west, "audited-by-hand")
    steps.leave_and_come_back(east, west, "audited-member")
    used: dict[str, set[Granted]] = {account: set() for account in ACCOUNTS}
    for cluster in world.clusters.values():
        for account in ACCOUNTS:
            used[account] |= rights_used(cluster.requests(account), rights_of(account))
    assert rights_of("watcher") - used["watcher"] == set()
    assert rights_of("reflector") - used["reflector"] <= _ONLY_AFTER_A_RACE
    assert rights_of("peerer") - used["peerer"] <= _ONLY_AFTER_A_RACE | _ONLY_IF_FIRST


def rights_of(account: str) -> set[Granted]:
    """Return all rights of a ServiceAccount, those of the overlay included."""
    further = ("heliograph-reflector-namespaces",) if account == "reflector" else ()
    return granted_to(_ROLES, f"heliograph-{account}", *further)


def rights_used(requests: list[Request], rights: set[Granted]) -> set[Granted]:
    """Return which rights were used; every request must be allowed, and need one of them."""
    assert requests
    used: set[Granted] = set()
    for request in requests:
        assert request.response_status.code not in {401, 403}, request
        needed = request.needs(rights | {_ASKING})
        assert needed or request.discovers, request
        used |= needed
    return used - {_ASKING}


def test_requests_fit_the_pods(world: World) -> None:
    """Memory is well below what the manifests request, and the page shows the metrics."""
    deployments = read("heliograph")
    for (_, program), running in world.programs.items():
        template = find(deployments, "Deployment", program)["spec"]["template"]
        requested = template["spec"]["containers"][0]["resources"]["requests"]["memory"]
        assert resident_mib(running.child.pid) < int(requested.removesuffix("Mi"))
        assert running.page("/healthz")[0] == 200
        assert "heliograph_program_info" in running.page("/metrics")[1]


def resident_mib(pid: int | None) -> float:
    status: Mapping[str, str] = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    )
    return int(status["VmRSS"].split()[0]) / 1024
