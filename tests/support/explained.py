"""Facts of a Service that is exported, mirrored and reached; tests break one thing of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from heliograph.contract.messages import (
    ClusterAnnounced,
    EndpointsExported,
    NodeAnnounced,
    RefusalStated,
    ServiceExported,
)
from heliograph.contract.names import ClusterId
from heliograph.contract.tunnels import Tunnel
from heliograph.explain.chain import explain
from heliograph.explain.facts import Facts, InCluster, OnBus, Tunnels
from heliograph.explain.foreseen import foresee
from heliograph.explain.link import Chain, Link
from heliograph.explain.offered import offer
from heliograph.kilo.peer import Peer
from heliograph.kube.objects import EndpointSlice, Service
from heliograph.marks import MANAGED_BY_LABEL, MANAGER, SEGMENT_ANNOTATION, SOURCE_CLUSTER_LABEL
from services.reflector.operations import CreateService, CreateSlice
from services.reflector.table import ServiceKey
from tests.support.builders import KEY as PUBLIC_KEY
from tests.support.builders import backend, endpoint_slice, peer, service
from tests.support.mirrors import but, namespace, service_cidr, stored

CART = ServiceKey("shop", "cart")
EAST, WEST, NORTH = ClusterId("east"), ClusterId("west"), ClusterId("north")
READY = endpoint_slice(backend("10.42.0.5", ready=True, serving=True))
OF_EAST = ClusterAnnounced(
    uid="uid-east",
    service_cidrs=("10.96.0.0/16",),
    pod_cidrs=("10.42.0.0/16",),
    tunnel_cidrs=("10.4.0.0/16",),
    peering="kilo",
    version="0.1.0",
)
OF_WEST = but(
    OF_EAST,
    uid="uid-west",
    service_cidrs=("10.97.0.0/16",),
    pod_cidrs=("10.43.0.0/16",),
    tunnel_cidrs=("10.5.0.0/16",),
)
N1 = NodeAnnounced(public_key=PUBLIC_KEY)
NODE_TUNNEL = Tunnel(
    exporting=EAST,
    peer="n1",
    public_key=PUBLIC_KEY,
    state="answering",
    ranges=("10.42.0.0/24", "10.96.0.0/16"),
    claims=("10.96.0.0/16",),
)


def marked_peer(name: str = "east.node.n1", *ranges: str, of: str = EAST, **spec: Any) -> Peer:  # noqa: ANN401
    """Return a Peer of ours, of node n1 of a cluster."""
    meta = {
        "labels": {MANAGED_BY_LABEL: MANAGER, SOURCE_CLUSTER_LABEL: of},
        "annotations": {SEGMENT_ANNOTATION: "node:n1"},
    }
    allowed = ranges or ("10.42.0.0/24", "10.96.0.0/16")
    return stored(peer(name, *allowed, meta=meta, **spec))


def unmirrored(
    exported: Service | None = None, slices: tuple[EndpointSlice, ...] = (READY,)
) -> Facts:
    """Return the facts before the reflector has seen the Service."""
    there = InCluster(
        cluster=EAST,
        uid="uid-east",
        service=exported or service(),
        slices=slices,
        namespace=namespace("shop"),
    )
    here = InCluster(
        cluster=WEST,
        uid="uid-west",
        namespace=namespace("shop"),
        cidrs=(service_cidr("10.97.0.0/16"),),
        peers=(marked_peer(),),
    )
    facts = Facts(key=CART, exporting=there, importing=here, buses={})
    return announced(facts)


def announced(facts: Facts) -> Facts:
    """Return the facts with what the watchers publish of them."""
    offered = offer(facts.exporting)
    of_east = OnBus(
        cluster=EAST,
        announced=OF_EAST,
        age_s=1,
        service=offered.service,
        endpoints=offered.endpoints,
        nodes={"n1": N1},
    )
    return but(facts, buses={EAST: of_east, WEST: OnBus(cluster=WEST, announced=OF_WEST)})


def mirrored(facts: Facts) -> Facts:
    """Return the facts once the reflector has done its work."""
    foreseen = foresee(facts, offer(facts.exporting))
    assert foreseen is not None
    made = [o.service for o in foreseen.plan.operations if isinstance(o, CreateService)]
    slices = [stored(o.slice) for o in foreseen.plan.operations if isinstance(o, CreateSlice)]
    (mirror,) = made
    spec = but(mirror.spec, cluster_ip="10.97.0.9", cluster_ips=("10.97.0.9",))
    standing = stored(but(mirror, spec=spec if mirror.spec.cluster_ip != "None" else mirror.spec))
    return here(facts, service=standing, slices=tuple(slices))


def sound(exported: Service | None = None, slices: tuple[EndpointSlice, ...] = (READY,)) -> Facts:
    """Return facts of which nothing is broken."""
    return mirrored(unmirrored(exported, slices))


def there(facts: Facts, **changes: Any) -> Facts:  # noqa: ANN401 - fields of InCluster
    """Change what stands in the exporting cluster."""
    return but(facts, exporting=but(facts.exporting, **changes))


def here(facts: Facts, **changes: Any) -> Facts:  # noqa: ANN401 - fields of InCluster
    """Change what stands in the importing cluster."""
    return but(facts, importing=but(facts.importing, **changes))


def said(facts: Facts, **changes: Any) -> Facts:  # noqa: ANN401 - fields of OnBus
    """Change what the exporting cluster's stream holds."""
    return but(facts, buses={**facts.buses, EAST: but(facts.buses[EAST], **changes)})


def stating(facts: Facts, **changes: Any) -> Facts:  # noqa: ANN401 - fields of OnBus
    """Change what the importing cluster's stream holds."""
    return but(facts, buses={**facts.buses, WEST: but(facts.buses[WEST], **changes)})


def refusing(facts: Facts, reason: str, *, kind: str = "service", name: str = "cart") -> Facts:
    """Let the importing cluster state a refusal, besides what it states already."""
    stated = RefusalStated(
        exporting=EAST,
        kind=kind,
        namespace="shop" if kind == "service" else "",
        name=name,
        reason=reason,
        message=f"it is {reason}. Mend {reason}.",
    )
    return stating(facts, refusals=(*facts.stated.refusals, stated))


def by_agents(facts: Facts, told: Mapping[str, tuple[Tunnel, ...]], *missing: str) -> Facts:
    """Let agents of Heliograph make the tunnels, and answer."""
    return but(here(facts, peers=None), tunnels=Tunnels(told=told, missing=missing))


def states(facts: Facts) -> dict[str, str]:
    """Return the state of each link."""
    return {link.name: link.state for link in explain(facts).links}


def link(facts: Facts, name: str) -> Link:
    """Return one link."""
    return next(one for one in explain(facts).links if one.name == name)


def verdict(facts: Facts) -> tuple[str, str] | None:
    """Return the first broken link: its name and reason."""
    chain: Chain = explain(facts)
    return None if chain.broken is None else (chain.broken.name, chain.broken.reason)


def exported_as(facts: Facts, **changes: Any) -> ServiceExported:  # noqa: ANN401 - its fields
    """Return the Service as its message has it, with changes."""
    assert facts.said.service is not None
    return msgspec.structs.replace(facts.said.service, **changes)


def slice_of(facts: Facts, **changes: Any) -> EndpointsExported:  # noqa: ANN401 - its fields
    """Return the only slice as its message has it, with changes."""
    (found,) = facts.said.endpoints.values()
    return msgspec.structs.replace(found, **changes)
