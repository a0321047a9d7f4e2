"""Each fault by itself: which link it breaks, and under which name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from heliograph.admission.declaration import Admitted
from heliograph.admission.explain import REASON
from heliograph.contract.messages import ClusterWithdrawn
from heliograph.explain.chain import explain
from heliograph.explain.facts import API, MEMBERSHIP, PEERS, Facts
from heliograph.explain.spoken import SILENT
from heliograph.kube.objects import EndpointSlice, Service
from heliograph.marks import (
    EXPORT_LABEL,
    IMPORTERS_ANNOTATION,
)
from heliograph.membership.record import Membership
from services.reflector import silent_clusters
from services.reflector.table import ServiceKey
from tests.support.builders import OTHER_KEY, annotated, backend, endpoint_slice, mirror, service
from tests.support.explained import (
    EAST,
    N1,
    NODE_TUNNEL,
    NORTH,
    OF_EAST,
    WEST,
    by_agents,
    exported_as,
    here,
    link,
    marked_peer,
    mirrored,
    refusing,
    said,
    slice_of,
    sound,
    states,
    stating,
    there,
    unmirrored,
    verdict,
)
from tests.support.mirrors import (
    but,
    foreign,
    leftover,
    namespace,
    service_cidr,
    stored,
    with_labels,
)

Case = tuple[Callable[[], Facts], str, str]

LEFT = Membership(left_at="2026-01-01T00:00:00Z")
FORGOTTEN = Membership(forgotten=frozenset({EAST}))
UNREADY = endpoint_slice(backend("10.42.0.5", ready=False, serving=False))
EMPTY = endpoint_slice()
PODS = {"heliograph.io/endpoints": "pods"}
BY_HAND = stored(marked_peer("by-hand"), by="kubectl")
GROUND = ("10.96.0.0/12",)


def labelled(value: str | None) -> Service:
    return with_labels(service(), {EXPORT_LABEL: value})


def muted(facts: Facts) -> tuple[EndpointSlice, ...]:
    (item,) = facts.importing.slices
    (one,) = item.endpoints or ()
    conditions = but(one.conditions, ready=False, serving=False)
    return (but(item, endpoints=(but(one, conditions=conditions),)),)


def kept() -> Facts:
    """Return a mirror of a cluster that is refused or silent: it stands, and is not ready."""
    facts = sound()
    return here(facts, slices=muted(facts))


def withdrawn() -> Facts:
    """Return a mirror that stands though the Service is not exported any more."""
    return said(there(sound(), service=labelled(None)), service=None)


EXPORTING: dict[str, Case] = {
    "no such Service": (lambda: there(sound(), service=None), "service", "ServiceMissing"),
    "it is a mirror itself": (lambda: there(sound(), service=mirror()), "service", "MirrorItself"),
    "it is being deleted": (
        lambda: there(
            sound(), service=service(meta={"deletion_timestamp": "2026-01-01T00:00:00Z"})
        ),
        "service",
        "ServiceTerminating",
    ),
    "no label": (lambda: there(unmirrored(), service=labelled(None)), "label", "NotExported"),
    "a label that says yes": (
        lambda: there(unmirrored(), service=labelled("yes")),
        "label",
        "NotExported",
    ),
    "its cluster has left": (lambda: there(sound(), membership=LEFT), "label", "Left"),
    "an alias": (
        lambda: there(unmirrored(), service=service(type="ExternalName")),
        "label",
        "InvalidServiceType",
    ),
    "no backend at all": (lambda: sound(slices=()), "backend", "NoBackend"),
    "a selector that matches nothing": (
        lambda: sound(service(selector={"app": "x"}), (EMPTY,)),
        "backend",
        "NoBackend",
    ),
    "no backend is ready": (lambda: sound(slices=(UNREADY,)), "backend", "NoBackendReady"),
    "by the message alone": (
        lambda: there(sound(slices=(UNREADY,)), unread={API: "away"}, service=None),
        "backend",
        "NoBackendReady",
    ),
}

ON_THE_BUS: dict[str, Case] = {
    "not in the stream": (lambda: said(unmirrored(), service=None), "message", "MessageMissing"),
    "as it was before": (
        lambda: said(sound(), service=exported_as(sound(), ready=False)),
        "message",
        "MessageDiffers",
    ),
    "a slice is not there": (
        lambda: said(sound(annotated(PODS)), endpoints={}),
        "message",
        "MessageDiffers",
    ),
    "a slice is as it was before": (
        lambda: said(
            sound(annotated(PODS)),
            endpoints={"cart-x1": slice_of(sound(annotated(PODS)), addresses=())},
        ),
        "message",
        "MessageDiffers",
    ),
    "the exporting cluster has left": (
        lambda: said(sound(), announced=ClusterWithdrawn()),
        "message",
        "Left",
    ),
    "it does not announce itself": (
        lambda: said(sound(), announced=None),
        "lease",
        "LeaseMissing",
    ),
    "its lease is out": (lambda: said(sound(), age_s=16.0), "lease", "LeaseOut"),
    "two clusters have one id": (
        lambda: said(sound(), announced=but(OF_EAST, uid="another")),
        "lease",
        "DuplicateId",
    ),
    "it is silent": (
        lambda: refusing(kept(), SILENT, kind="cluster", name="east"),
        "lease",
        "ClusterSilent",
    ),
}

ADMISSION: dict[str, Case] = {
    "the importing cluster has left": (
        lambda: here(unmirrored(), membership=LEFT),
        "admission",
        "Left",
    ),
    "it was forgotten": (
        lambda: here(unmirrored(), membership=FORGOTTEN),
        "admission",
        "Forgotten",
    ),
    "meant for others": (
        lambda: unmirrored(annotated({IMPORTERS_ANNOTATION: "north"})),
        "admission",
        "NotAnImporter",
    ),
    "ranges overlap, as stated": (
        lambda: refusing(kept(), REASON, kind="cluster", name="east"),
        "admission",
        "RangeOverlap",
    ),
    "ranges overlap with its own": (
        lambda: said(kept(), announced=but(OF_EAST, service_cidrs=GROUND)),
        "admission",
        "RangeOverlap",
    ),
    "ranges overlap with another's record": (
        lambda: here(
            unmirrored(),
            membership=Membership(
                admitted={NORTH: Admitted(since="2026-01-01T00:00:00Z", ranges=("10.96.0.0/16",))}
            ),
        ),
        "admission",
        "RangeOverlap",
    ),
    "no namespace": (lambda: here(unmirrored(), namespace=None), "namespace", "NamespaceMissing"),
    "a namespace that goes": (
        lambda: here(unmirrored(), namespace=namespace("shop", terminating=True)),
        "namespace",
        "NamespaceTerminating",
    ),
    "a namespace that is denied": (
        lambda: refusing(unmirrored(), "NamespaceDenied"),
        "namespace",
        "NamespaceDenied",
    ),
}

MIRROR: dict[str, Case] = {
    "somebody has the name": (
        lambda: here(unmirrored(), service=foreign()),
        "mirror",
        "ForeignObject",
    ),
    "somebody has the name of a slice": (
        lambda: refusing(unmirrored(), "ForeignObject"),
        "mirror",
        "ForeignObject",
    ),
    "the API server does not take it": (
        lambda: refusing(unmirrored(), "Rejected"),
        "mirror",
        "Rejected",
    ),
    "no common family": (
        lambda: here(unmirrored(), cidrs=(service_cidr("fd00:97::/112"),)),
        "mirror",
        "NoCommonFamily",
    ),
    "not made yet": (unmirrored, "mirror", "MirrorMissing"),
    "not as it should be": (
        lambda: here(
            sound(), service=but(sound().importing.service, spec=service(selector={"a": "b"}).spec)
        ),
        "mirror",
        "MirrorDiffers",
    ),
    "no slice": (lambda: here(sound(), slices=()), "slice", "SliceMissing"),
    "a slice that somebody changed": (
        lambda: here(sound(), slices=muted(sound())),
        "slice",
        "SliceDiffers",
    ),
    "a slice of a controller beside it": (
        lambda: here(sound(), slices=(*sound().importing.slices, leftover())),
        "slice",
        "SliceDiffers",
    ),
    "an address outside": (
        lambda: refusing(
            mirrored(unmirrored(service(cluster_ip="10.99.0.1", cluster_ips=("10.99.0.1",)))),
            "AddressOutsideRanges",
        ),
        "slice",
        "AddressOutsideRanges",
    ),
}

WAY: dict[str, Case] = {
    "nobody has the range": (
        lambda: here(sound(), peers=(marked_peer("east.node.n1", "10.42.0.0/24"),)),
        "claim",
        "NotClaimed",
    ),
    "a Peer of another cluster has it": (
        lambda: here(sound(), peers=(marked_peer("a", "10.96.0.0/24", of="north"), marked_peer())),
        "claim",
        "ClaimElsewhere",
    ),
    "somebody's Peer has it": (
        lambda: refusing(
            here(sound(), peers=(BY_HAND,)), "RangeTaken", kind="peer", name="by-hand"
        ),
        "claim",
        "RangeTaken",
    ),
    "its node does not offer itself": (
        lambda: said(sound(), nodes={}),
        "tunnel",
        "NodeWithdrawn",
    ),
    "its node is not heard of": (
        lambda: said(sound(), nodes={"n1": but(N1, ready=False)}),
        "tunnel",
        "NodeSilent",
    ),
    "its node has another key": (
        lambda: said(sound(), nodes={"n1": but(N1, public_key=OTHER_KEY)}),
        "tunnel",
        "KeyDiffers",
    ),
    "no agent has the range": (lambda: by_agents(sound(), {"w1": ()}), "claim", "NotClaimed"),
    "an agent sends it elsewhere": (
        lambda: by_agents(sound(), {"w1": (but(NODE_TUNNEL, exporting="north"),)}),
        "claim",
        "ClaimElsewhere",
    ),
    "a tunnel is silent": (
        lambda: by_agents(sound(), {"w1": (but(NODE_TUNNEL, state="silent"),)}),
        "tunnel",
        "TunnelSilent",
    ),
    "a node was never met": (
        lambda: by_agents(sound(), {"w1": (but(NODE_TUNNEL, state="roaming"),)}),
        "tunnel",
        "TunnelRoaming",
    ),
}

ALL = {**EXPORTING, **ON_THE_BUS, **ADMISSION, **MIRROR, **WAY}


@pytest.mark.parametrize(("facts", "name", "reason"), ALL.values(), ids=ALL)
def test_the_first_broken_link_is_named(facts: Callable[[], Facts], name: str, reason: str) -> None:
    """By its place in the chain and one word, with what was found and a cure."""
    chain = explain(facts())

    assert verdict(facts()) == (name, reason)
    assert chain.broken is not None
    assert chain.broken.what
    assert chain.broken.cure
    assert not chain.broken.cure.endswith(".")


@pytest.mark.parametrize("exported", [service(), annotated(PODS), service(cluster_ip="None")])
def test_a_sound_chain(exported: Service) -> None:
    """By cluster IP, by pods, and headless: nothing is broken; what Kilo hides is unknown."""
    facts = sound(exported)

    assert states(facts) == {
        **dict.fromkeys(("service", "label", "backend", "message", "lease", "admission"), "ok"),
        **dict.fromkeys(("namespace", "mirror", "slice", "claim"), "ok"),
        "tunnel": "unknown",
    }


def test_agents_tell_whether_a_tunnel_answers() -> None:
    """Where Heliograph makes the tunnels, all links are known."""
    facts = by_agents(sound(), {"w1": (NODE_TUNNEL,), "w2": (NODE_TUNNEL,)})

    assert set(states(facts).values()) == {"ok"}


OF_THE_PEERER = [
    ("cluster", "east", "NotRecorded"),
    ("cluster", "east", "PeeringDiffers"),
    ("cluster", "east", "RangeTaken"),
    ("cluster", "east", "MeshUnknown"),
    ("node", "n1", "DuplicateKey"),
    ("node", "n1", "RangeNotDeclared"),
    ("node", "n1", "RangeNotAdmitted"),
    ("node", "n1", "EndpointUnresolvable"),
    ("node", "n1", "AddressTaken"),
    ("node", "n1", "NotAPeer"),
    ("cluster", "east", "TooManyRanges"),
    ("peer", "by-hand", "ForeignPeer"),
    ("peer", "north.node.n1", "KeyInUse"),
    ("peer", "east.node.n1", "Rejected"),
]


@pytest.mark.parametrize(("kind", "name", "reason"), OF_THE_PEERER)
@pytest.mark.parametrize("agents", [True, False])
def test_why_there_is_no_claim(kind: str, name: str, reason: str, *, agents: bool) -> None:
    """What the peerer or the agents state of the cluster, its nodes and Peers, is the reason."""
    facts = refusing(sound(), reason, kind=kind, name=name)
    facts = by_agents(facts, {"w1": ()}) if agents else here(facts, peers=())

    assert verdict(facts) == ("claim", reason)


def test_a_refusal_of_the_whole_cluster_is_told_first() -> None:
    """It is the cause of the others."""
    facts = refusing(here(sound(), peers=()), "DuplicateKey", kind="node", name="n1")

    assert verdict(refusing(facts, "NotRecorded", kind="cluster", name="east")) == (
        "claim",
        "NotRecorded",
    )


def test_a_peer_made_by_hand_may_do() -> None:
    """It holds the key of a node there, as the peerer states, and has the range."""
    facts = refusing(here(sound(), peers=(BY_HAND,)), "ForeignPeer", kind="peer", name="by-hand")

    assert (link(facts, "claim").state, link(facts, "claim").reason) == ("ok", "ForeignPeer")
    assert link(here(sound(), peers=(BY_HAND,)), "claim").state == "unknown"


def test_the_longest_range_wins() -> None:
    """As in WireGuard; of equal ones, Kilo keeps that of the first name."""
    wide = marked_peer("a", "10.0.0.0/8", of="north")
    equal = marked_peer("b", "10.96.0.0/16", of="north")

    assert verdict(here(sound(), peers=(wide, marked_peer()))) is None
    assert verdict(here(sound(), peers=(equal, marked_peer()))) == ("claim", "ClaimElsewhere")


def test_a_mirror_whose_removal_is_held() -> None:
    """It is named where it stands, with the way to let it go; first comes why it is withdrawn."""
    facts = here(withdrawn(), held={EAST: "cluster east withdraws most. If that is right, let go."})

    assert verdict(facts) == ("label", "NotExported")
    assert link(facts, "mirror").reason == "RemovalHeld"
    assert "heliograph confirm east" in link(facts, "mirror").cure
    assert link(withdrawn(), "mirror").reason == "MirrorLeft"


def test_a_message_that_nobody_means_any_more() -> None:
    """The watcher has not withdrawn it."""
    facts = there(sound(), service=labelled(None))

    assert verdict(facts) == ("label", "NotExported")
    assert link(facts, "message").reason == "MessageLeft"


def test_a_conflict_between_two_exports() -> None:
    """The oldest decides; the other one's addresses are left out, under the reason's name."""
    facts = unmirrored()
    older = exported_as(facts, headless=True, endpoints="pods", exported_at="2020-01-01T00:00:00Z")
    other_family = exported_as(
        facts, ip_families=("IPv6",), cluster_ips=("fd00::1",), exported_at="2020-01-01T00:00:00Z"
    )
    of_north = but(
        facts.said, cluster=NORTH, announced=but(OF_EAST, service_cidrs=()), endpoints={}
    )
    for service_, reason in ((older, "TypeConflict"), (other_family, "FamilyConflict")):
        both = here(facts, cidrs=(service_cidr("10.97.0.0/16", "fd00:97::/112"),))
        buses = {**both.buses, NORTH: but(of_north, service=service_)}
        assert verdict(but(both, buses=buses)) == ("mirror", reason)


def test_ports_that_the_older_export_has_otherwise() -> None:
    """Then no port of the slice fits, and the mirror is as it should be all the same."""
    assert verdict(here(sound(), slices=())) == ("slice", "SliceMissing")
    empty = sound(annotated(PODS), slices=())
    assert link(empty, "slice").reason == "NoAddress"


def test_an_annotation_that_means_nothing() -> None:
    """It is exported all the same, and said."""
    facts = sound(annotated({"heliograph.io/endpoints": "podz"}))

    assert (link(facts, "label").state, link(facts, "label").reason) == ("ok", "InvalidAnnotation")


def test_every_clusters_own_api_server() -> None:
    """default/kubernetes is never exported."""
    key = ServiceKey("default", "kubernetes")
    facts = but(unmirrored(service("kubernetes", "default")), key=key)

    assert verdict(facts) == ("label", "NotExportable")


def test_settings_that_are_not_known_accuse_nobody() -> None:
    """A reflector that states no refusal allows what is denied by default."""
    hidden = ServiceKey("kube-system", "cart")
    facts = but(unmirrored(service(namespace="kube-system")), key=hidden)
    facts = here(facts, namespace=namespace("kube-system"))

    assert verdict(facts) == ("mirror", "MirrorMissing")
    assert verdict(stating(facts, fault="away")) == ("namespace", "NamespaceDenied")


def test_refusals_that_are_over() -> None:
    """What the API server shows to be mended is not believed to be broken."""
    for reason in ("NamespaceMissing", "NamespaceTerminating", "ForeignObject", "Rejected"):
        assert verdict(refusing(sound(), reason)) is None


def test_refusals_of_others_are_not_ours() -> None:
    """Of another Service, or of another cluster."""
    facts = refusing(sound(), "NamespaceDenied", name="bread")
    (of_bread,) = facts.stated.refusals
    of_north = but(of_bread, name="cart", exporting=NORTH)

    assert verdict(facts) is None
    assert verdict(stating(facts, refusals=(of_north,))) is None


def test_a_bus_that_is_away() -> None:
    """Its links are unknown, with the reason; the clusters are judged all the same."""
    away = "NATS server nats://hub:4222 cannot be reached"
    facts = stating(said(sound(), fault=away, service=None, announced=None), fault=away)
    facts = there(here(facts, ranges=None), ranges=OF_EAST)

    assert {name for name, state in states(facts).items() if state == "unknown"} == {
        *("message", "lease", "tunnel")
    }
    assert link(facts, "message").what == away
    assert verdict(here(facts, service=foreign())) == ("mirror", "ForeignObject")
    assert link(here(facts, peers=None), "claim").state == "unknown"


def test_an_exporting_cluster_that_is_away() -> None:
    """Its message stands for it."""
    facts = there(sound(), unread={API: "no kubeconfig"}, service=None, slices=())

    assert (verdict(facts), link(facts, "service").state) == (None, "unknown")
    assert link(facts, "message").state == "ok"


def test_nothing_of_the_exporting_cluster_is_known() -> None:
    """Then it is unknown whether there should be a mirror; one that stands is one."""
    blind = said(
        there(sound(), unread={API: "away"}, service=None),
        fault="away",
        service=None,
        announced=None,
    )

    assert (verdict(blind), link(blind, "mirror").state) == (None, "ok")
    bare = here(blind, service=None, slices=())
    assert (verdict(bare), link(bare, "mirror").state) == (None, "unknown")


def test_an_importing_cluster_that_is_away() -> None:
    """What its reflector states on the bus is told; the rest is unknown, and never fine."""
    facts = here(sound(), unread={API: "away"}, service=None, slices=())
    links = ("admission", "namespace", "mirror", "slice", "claim", "tunnel")

    assert {name: states(facts)[name] for name in links} == dict.fromkeys(links, "unknown")
    assert verdict(refusing(facts, "ForeignObject")) == ("mirror", "ForeignObject")


def test_what_may_not_be_read_is_unknown() -> None:
    """The decisions, the Peers, agents that do not answer, and a newer message."""
    assert link(here(sound(), unread={MEMBERSHIP: "403"}), "admission").state == "unknown"
    assert link(here(sound(), unread={PEERS: "403"}), "claim").state == "unknown"
    assert link(by_agents(sound(), {}, "w1"), "claim").what.endswith("(node w1)")
    assert link(by_agents(sound(), {"w1": (NODE_TUNNEL,)}, "w2"), "tunnel").state == "unknown"
    assert link(said(sound(), unreadable=True), "message").state == "unknown"


def test_no_tunnels_are_made() -> None:
    """Clusters in one network need none: that is no fault."""
    of_west = but(sound().buses[WEST].announced, peering="none")
    facts = stating(here(sound(), peers=None), announced=of_west)

    assert states(facts)["claim"] == states(facts)["tunnel"] == "not concerned"
    assert verdict(refusing(facts, "PeeringDiffers", kind="cluster", name="east")) == (
        "claim",
        "PeeringDiffers",
    )


def test_a_mirror_that_is_kept_tells_why() -> None:
    """Not ready, since its cluster is silent; what is above it is the cause."""
    facts = refusing(kept(), SILENT, kind="cluster", name="east")

    assert link(facts, "slice").reason == "NotReady"
    assert silent_clusters.REASON == SILENT
