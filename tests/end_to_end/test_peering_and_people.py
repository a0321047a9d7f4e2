"""What people do to a cluster that has Peers: leave, forget, policies, the kind itself."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest

from heliograph.kilo.peer import PEERS
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import ApiStatus, Invalid, NotFound
from heliograph.kube.objects import KubeObject, ObjectMeta, Port, Resource, ServiceSpec
from heliograph.lab.access import ClusterAccess
from heliograph.lab.kilo import install_peer_crd
from services.peerer import peerer
from tests.end_to_end.peering import PeeredClusters, peered
from tests.end_to_end.support import eventually
from tests.end_to_end.test_membership import heliograph
from tests.support.peering import key_of

pytestmark = [pytest.mark.real, pytest.mark.nats]
Accesses = dict[str, ClusterAccess]

N1, N2, N3 = (f"east.node.n{number}" for number in (1, 2, 3))
HTTP = ServiceSpec(ports=(Port(name="http", port=80),))
POLICY_API = "/apis/admissionregistration.k8s.io/v1"


async def test_leaving_and_forgetting_take_the_peers(accesses: Accesses) -> None:
    """East leaves and comes back, west forgets it and remembers; north's Peers never change."""
    async with peered(accesses, "east", "west", "north") as lab:
        lab.seen.forgive()
        of_north = ["north.node.n1", "north.node.n2"]
        before = {name: (await lab.peer(name)).metadata for name in of_north}
        laptop = await lab.by_hand("laptop", key_of("laptop"), "10.99.0.5/32")
        east, west = (lab.joined.clusters[name] for name in ("east", "west"))

        await heliograph("leave", cluster=east)
        await lab.named(*of_north, "laptop")
        await lab.named(cluster="east")
        await heliograph("leave", "--undo", cluster=east)
        await lab.named(N1, N2, *of_north, "laptop")
        await heliograph("forget", "east", cluster=west)
        await lab.named(*of_north, "laptop")
        await lab.named(N1, N2, "west.node.n1", "west.node.n2", cluster="north")
        await heliograph("forget", "east", "--undo", cluster=west)
        await lab.named(N1, N2, *of_north, "laptop")

        assert {name: (await lab.peer(name)).metadata for name in of_north} == before
        assert await lab.peer("laptop") == laptop


async def test_the_kind_comes_goes_and_comes_again(
    accesses: Accesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it mirrors go on; Peers follow when it appears, whatever went with it."""
    monkeypatch.setattr(peerer, "_LOOK_AGAIN_S", 0.5)
    async with peered(accesses, "east", "west", crd=False) as lab:
        east, west = (lab.joined.clusters[name] for name in ("east", "west"))
        assert lab.peerer("west").absent
        await _mirrored(lab, "first")

        await install_peer_crd(west.client)
        await lab.named(N1, N2)
        await eventually(lambda: not lab.peerer("west").absent)

        lab.seen.forgive()
        await lab.remove_definition()
        await eventually(lambda: lab.peerer("west").absent, within_s=60)
        await _mirrored(lab, "second")
        await lab.nodes["east"].add(lab.node("east", 3))

        await install_peer_crd(west.client)
        await lab.named(N1, N2, N3)
        await eventually(lambda: lab.peerer("west").idle)
        await east.delete_service("first")


async def _mirrored(lab: PeeredClusters, name: str) -> None:
    """Export a Service from east, and wait for its mirror in west."""
    await lab.joined.clusters["east"].add_service(name, HTTP)

    async def right() -> bool:
        return await lab.joined.clusters["west"].service(name) is not None

    await eventually(right)


@asynccontextmanager
async def policy_against(client: KubeClient, name: str) -> AsyncIterator[None]:
    """Let the API server refuse a Peer of this name, until the body ends."""
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": ["kilo.squat.ai"],
                    "apiVersions": ["*"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["peers"],
                }
            ]
        },
        "validations": [{"expression": f"object.metadata.name != '{name}'"}],
    }
    binding = {"policyName": "peers", "validationActions": ["Deny"]}
    for resource, given in ((POLICIES, spec), (BINDINGS, binding)):
        body = {"metadata": {"name": "peers"}, "spec": given}
        await client.post_raw(resource.path(), msgspec.json.encode(body))
    await eventually(lambda: _refuses(client, name))
    try:
        yield
    finally:
        for resource in (BINDINGS, POLICIES):
            with suppress(NotFound):
                await client.delete(resource, ObjectMeta(name="peers"))


async def _refuses(client: KubeClient, name: str) -> bool:
    """Whether the policy is at work, a moment after it was made."""
    spec = {"allowedIPs": ["10.99.0.9/32"], "publicKey": key_of("tried")}
    body = {"apiVersion": "kilo.squat.ai/v1alpha1", "kind": "Peer", "spec": spec}
    tried = msgspec.json.encode(body | {"metadata": {"name": name}})
    try:
        await client.post_raw(f"{PEERS.path()}?dryRun=All", tried)
    except ApiStatus as error:
        return isinstance(error, Invalid)
    return False


def _of_admission(plural: str, kind: str) -> Resource[KubeObject]:
    return Resource(api=POLICY_API, plural=plural, kind=kind, namespaced=False, struct=KubeObject)


POLICIES = _of_admission("validatingadmissionpolicies", "ValidatingAdmissionPolicy")
BINDINGS = _of_admission("validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding")


async def test_a_policy_against_one_peer(
    accesses: Accesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others go on, and it is told why; when the policy goes, the Peer comes by itself."""
    monkeypatch.setattr(peerer, "_REJECTED_S", 1.0)
    async with peered(accesses, "east", "west") as lab:
        refused = lab.peerer("west").refused
        async with policy_against(lab.clients["west"], N3):
            since_s = time.monotonic()
            await lab.nodes["east"].add(lab.node("east", 3), lab.node("east", 4))
            await lab.named(N1, N2, "east.node.n4")
            await eventually(lambda: refused("east") == ("Rejected",))  # type: ignore[arg-type]
            key = await lab.nodes["east"].change_key("n1")
            await eventually(lambda: lab.seen.peers[N1].spec.public_key == key)
            statuses = [r.status for r in lab.proxies["west"].requests if r.at_s > since_s]
            assert 422 in statuses
        await lab.named(N1, N2, N3, "east.node.n4")
        await eventually(lambda: refused("east") == ())  # type: ignore[arg-type]
