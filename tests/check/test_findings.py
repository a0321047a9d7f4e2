"""What is found, from what is known: a table of all rules."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from heliograph.check.finding import Finding, named
from heliograph.check.findings import healthy, judge, summary
from heliograph.check.known import BusFacts, ClusterFacts, Fault, Stray, Version
from heliograph.contract.names import ClusterId
from heliograph.kilo.peer import Peer, PeerSpec
from heliograph.kube.objects import ManagedField, Node, ObjectMeta
from heliograph.marks import MANAGED_BY_LABEL, MANAGER
from tests.support.builders import KEY, NOW_S, OTHER_KEY, kilo_node, node

EAST, WEST = ClusterId("east"), ClusterId("west")
THIRD_KEY, LAPTOP_KEY = "A" * 42 + "w=", "A" * 42 + "8="


def facts(cluster: ClusterId = EAST, **changes: Any) -> ClusterFacts:  # noqa: ANN401
    """Return a cluster in which nothing is wrong."""
    number = 0 if cluster == EAST else 1
    usual = ClusterFacts(
        cluster=cluster,
        server="https://192.0.2.1:6443",
        answered_s=0.004,
        version=Version(major=1, minor=36, text="v1.36.3"),
        skew_s=0.3,
        at_s=NOW_S,
        uid=f"uid-{cluster}",
        serves_ranges=True,
        service_cidrs=(f"10.{110 + number}.0.0/16",),
        nodes=(own_node(cluster),),
        serves_peers=True,
        peers=(),
        strays=(),
        cilium={},
        exported=(),
        namespaces=frozenset({"default", "shop"}),
    )
    return msgspec.structs.replace(usual, **changes)


def own_node(cluster: ClusterId = EAST, name: str = "n1", **said: str) -> Node:
    """Return a node that is ready for peering, in ranges of the cluster's own."""
    number, key = (0, KEY) if cluster == EAST else (1, OTHER_KEY)
    usual = {
        "key": key,
        "wireguard_ip": f"10.{4 + number}.0.1/16",
        "internal_ip": f"10.0.{number}.4/24",
    }
    ready = kilo_node(name, **(usual | said))
    cidr = f"10.{42 + number}.0.0/24"
    return msgspec.structs.replace(ready, spec=node(pod_cidrs=(cidr,)).spec)


def bad(*known: ClusterFacts, buses: tuple[BusFacts, ...] = ()) -> list[Finding]:
    """Return what is wrong."""
    return [f for f in judge(known, buses) if f.severity != "ok"]


def stray(name: str) -> Stray:
    return Stray(node=name, cidrs=("10.42.0.0/24",), count=2, pod="shop/a", address="10.9.0.1")


def peer(
    name: str, key: str, *, ours: bool = False, allowed_ips: tuple[str, ...] = ("10.9.0.1/32",)
) -> Peer:
    labels = {MANAGED_BY_LABEL: MANAGER} if ours else {}
    author = ManagedField(manager="heliograph" if ours else "kubectl")
    metadata = ObjectMeta(name=name, labels=labels, managed_fields=(author,))
    return Peer(metadata=metadata, spec=PeerSpec(public_key=key, allowed_ips=allowed_ips))


def test_clusters_in_which_nothing_is_wrong() -> None:
    """They are said to answer, and nothing else."""
    found = judge([facts(), facts(WEST)])

    assert [(f.severity, f.cluster, f.reason) for f in found] == [
        ("ok", "east", "Reachable"),
        ("ok", "west", "Reachable"),
    ]
    assert found[0].what == "the API server (v1.36.3, 1 node) answers in 4 ms"
    assert healthy(found)
    assert summary(found, 2) == "nothing wrong in 2 clusters"


def test_nothing_is_said_of_what_is_not_known() -> None:
    """A fact that could not be read leads to no other finding than that."""
    unknown = ClusterFacts(cluster=EAST, unread={"pods": "403 Forbidden", "nodes": "no answer"})

    found = bad(unknown)

    assert [(f.severity, f.reason) for f in found] == [("warning", "NotRead")] * 2
    assert found[0].what.startswith("pods could not be read (403 Forbidden)")


def lone(severity: str, reason: str, said: str, **changes: Any) -> Any:  # noqa: ANN401
    """Return a row: what is different, and the one finding that this makes."""
    return changes, severity, reason, said


PROBLEM, WARNING = "problem", "warning"
CASES = {
    "slow": lone(WARNING, "Slow", "answers in 1500 ms", answered_s=1.5),
    "too old": lone(
        PROBLEM,
        "OldVersion",
        "lacks discovery.k8s.io/v1",
        version=Version(major=1, minor=20, text="v1.20.1"),
    ),
    "older than tried": lone(
        WARNING, "OldVersion", "older than any", version=Version(major=1, minor=26, text="v1.26.0")
    ),
    "rights": lone(
        PROBLEM,
        "MissingRight",
        "the watcher may not list nodes, watch nodes",
        missing={"watcher": ("list nodes", "watch nodes")},
    ),
    "clock ahead": lone(WARNING, "ClockSkew", "5 s ahead of this machine's", skew_s=5.1),
    "clock behind": lone(PROBLEM, "ClockSkew", "40 s behind this machine's", skew_s=-40),
    "old server, no ranges": lone(
        PROBLEM,
        "ServiceRangesUnknown",
        "from Kubernetes 1.33 on",
        serves_ranges=False,
        service_cidrs=(),
    ),
    "no ranges": lone(PROBLEM, "ServiceRangesUnknown", "no ServiceCIDR object", service_cidrs=()),
    "nodes without podCIDR": lone(
        WARNING,
        "PodRangesUnknown",
        "no node has a podCIDR",
        serves_peers=None,
        nodes=(node(pod_cidrs=()),),
    ),
    "pods elsewhere": lone(
        WARNING,
        "PodsOutsideRanges",
        "the addresses of 8 pods on 4 nodes are outside of their node's podCIDR, which the address "
        "pools of Calico and Cilium ignore (shop/a at 10.9.0.1 on n1, which has 10.42.0.0/24; ",
        strays=tuple(map(stray, ("n1", "n2", "n3", "n4"))),
    ),
    "Cilium": lone(
        PROBLEM,
        "CiliumDropsClusterIPs",
        "does not serve cluster IPs",
        cilium={"kube-proxy-replacement": "true"},
    ),
    "Cilium, said no": lone(
        PROBLEM, "CiliumDropsClusterIPs", "mirrors", cilium={"bpf-lb-external-clusterip": "false"}
    ),
    "no CRD": lone(
        PROBLEM, "PeersNotServed", "the CRD peers.kilo.squat.ai is missing", serves_peers=False
    ),
    "no Kilo": lone(WARNING, "NoKilo", "Kilo is not there", serves_peers=False, nodes=(node(),)),
    "silent Kilo": lone(PROBLEM, "KiloSilent", "has annotated no node", nodes=(node(),)),
    "no granularity": lone(
        PROBLEM,
        "GranularityUnknown",
        "granularity is missing on n1, n2, n3 and 1 more",
        nodes=tuple(own_node(name=f"n{i}", granularity="absent") for i in range(1, 5)),
    ),
    "unknown granularity": lone(
        PROBLEM, "GranularityUnknown", "is 'cross' on n1", nodes=(own_node(granularity="cross"),)
    ),
    "granularity of some": lone(
        WARNING,
        "GranularityUnknown",
        "is missing on n2",
        nodes=(own_node(), own_node(name="n2", granularity="absent")),
    ),
    "mixed granularity": lone(
        PROBLEM,
        "GranularityMixed",
        "(full: n2; location: n1)",
        nodes=(own_node(), own_node(name="n2", granularity="full")),
    ),
    "no node is ready": lone(
        PROBLEM,
        "NodeNotReady",
        "1 node is not ready for peering (n1): no key, no endpoint",
        nodes=(own_node(key="absent", endpoint="absent"),),
    ),
    "stale heartbeats": lone(
        WARNING,
        "NodeNotReady",
        "2 nodes are not ready for peering (n2, n3): heartbeat 90 s old, 60 s are allowed",
        nodes=(
            own_node(),
            own_node(name="n2", last_seen=str(NOW_S - 60)),
            own_node(name="n3", last_seen=str(NOW_S - 90)),
        ),
    ),
    "no heartbeat": lone(
        WARNING,
        "NodeNotReady",
        "1 node is not ready for peering (n2): no fresh heartbeat",
        nodes=(own_node(), own_node(name="n2", last_seen="soon")),
    ),
    "a Peer that Kilo ignores": lone(
        WARNING,
        "PeerInvalid",
        "Kilo ignores the Peer laptop (allowedIPs is empty: at least one range is needed)",
        peers=(peer("laptop", LAPTOP_KEY, allowed_ips=()),),
    ),
    "Peers with one key": lone(
        PROBLEM,
        "PeersWithOneKey",
        "the Peers a, b hold one key",
        peers=(peer("b", LAPTOP_KEY), peer("a", LAPTOP_KEY), peer("c", THIRD_KEY)),
    ),
    "no pod CIDR": lone(
        WARNING,
        "NodeNotReady",
        "(n2): no pod CIDR",
        nodes=(
            own_node(),
            msgspec.structs.replace(own_node(name="n2"), spec=node(pod_cidrs=()).spec),
        ),
    ),
}


@pytest.mark.parametrize(("changes", "severity", "reason", "said"), CASES.values(), ids=CASES)
def test_one_cluster(changes: dict[str, Any], severity: str, reason: str, said: str) -> None:
    """Each thing that is wrong makes one finding, with what to do."""
    (found,) = bad(facts(**changes))

    assert (found.severity, found.cluster, found.reason) == (severity, "east", reason)
    assert said in found.what
    assert found.remedy
    assert healthy([found]) is (severity == WARNING)


RIGHT = {
    "a version that is not told": {"version": None},
    "no date": {"skew_s": None},
    "ServiceCIDRs by default": {"service_cidrs": ("10.110.0.0/16", "fd00::/112")},
    "Cilium that serves them": {"cilium": {"bpf-lb-external-clusterip": "true"}},
    "Cilium beside kube-proxy": {"cilium": {"kube-proxy-replacement": "false"}},
    "a forced endpoint": {
        "nodes": (own_node(endpoint="absent", force_endpoint="gw.example:51820"),)
    },
    "a clock ahead": {"nodes": (own_node(last_seen=str(NOW_S + 9)),)},
    "no leader": {"nodes": (own_node(), own_node(name="n2", wireguard_ip="absent"))},
}


@pytest.mark.parametrize("changes", RIGHT.values(), ids=RIGHT)
def test_what_is_right(changes: dict[str, Any]) -> None:
    """Nothing is said of what may well be so."""
    assert bad(facts(**changes)) == []


def test_a_cluster_without_nodes() -> None:
    """Pod ranges are unknown, and Kilo's silence is no wonder."""
    (found,) = bad(facts(nodes=()))

    assert (found.reason, "there are no nodes" in found.what) == ("PodRangesUnknown", True)


@pytest.mark.parametrize("reason", ["Unreachable", "Unauthorized", "NotServing"])
def test_a_cluster_that_does_not_answer(reason: str) -> None:
    """Its finding is the only one about it; the others are judged all the same."""
    away = ClusterFacts(cluster=EAST, fault=Fault(reason=reason, message="no answer"))
    others = facts(WEST, skew_s=5)

    first, second = bad(away, others)

    assert (first.severity, first.cluster, first.reason) == ("problem", "east", reason)
    assert first.remedy
    assert (second.cluster, second.reason) == ("west", "ClockSkew")


def test_one_cluster_under_two_ids() -> None:
    """The same UID gives it away."""
    (found,) = bad(facts(), facts(WEST, uid="uid-east"))

    assert (found.severity, found.cluster, found.reason) == ("problem", "west", "SameCluster")
    assert "east and west are the same cluster" in found.what


def test_peers_made_by_hand() -> None:
    """Those with keys of other clusters' nodes are told; laptops and our own are not."""
    nodes = (own_node(), own_node(name="n2", key=THIRD_KEY))
    by_hand, ours = peer("n1", KEY), peer("east-n2", THIRD_KEY, ours=True)
    laptop = peer("laptop", LAPTOP_KEY)

    (found,) = bad(facts(nodes=nodes), facts(WEST, peers=(by_hand, ours, laptop)))

    assert (found.severity, found.cluster, found.reason) == ("warning", "west", "PeerMadeByHand")
    assert found.what.startswith("1 Peer that Heliograph has not made (n1) holds the key of a node")
    assert "heliograph adopt peers --from east=KUBECONFIG --to west=KUBECONFIG" in found.remedy


def overlapping(**changes: Any) -> list[Finding]:  # noqa: ANN401
    """Return what is wrong when west is as is said here."""
    return bad(facts(), facts(WEST, **changes))


def west_node(**said: str) -> tuple[Node, ...]:
    return (own_node(WEST, **said),)


def test_ranges_of_two_clusters() -> None:
    """One finding for each pair, however much they share; it names both, and the way out."""
    spec = node(pod_cidrs=("10.42.0.0/16",)).spec
    nodes = (msgspec.structs.replace(own_node(WEST), spec=spec),)

    (found,) = overlapping(service_cidrs=("10.110.4.0/24",), nodes=nodes)

    assert (found.severity, found.cluster, found.reason) == ("problem", "west", "RangeOverlap")
    assert found.what == (
        "service range 10.110.4.0/24 overlaps with service range 10.110.0.0/16 of east (and 1 "
        "more); east and west refuse each other"
    )
    assert found.remedy.startswith("give west another --service-cluster-ip-range")


def test_kilos_default_subnet() -> None:
    """Untouched installations are told in one finding, however many there are."""
    north = facts(
        ClusterId("north"),
        uid="uid-north",
        service_cidrs=("10.112.0.0/16",),
        nodes=(own_node(WEST, key="x", internal_ip="absent", wireguard_ip="10.4.0.9/16"),),
    )
    nodes = west_node(wireguard_ip="10.4.0.7/16")
    problems = [
        f for f in bad(facts(), facts(WEST, nodes=nodes), north) if f.reason == "KiloDefaultSubnet"
    ]

    (found,) = problems
    assert (found.severity, found.cluster) == ("problem", "north")
    assert found.what.startswith("east, west, north all have Kilo's default subnet 10.4.0.0/16")
    assert "--subnet" in found.remedy
    assert [f.reason for f in overlapping(nodes=nodes)] == ["KiloDefaultSubnet"]


def test_tunnels_in_another_subnet_that_overlaps() -> None:
    """That is an overlap like any other."""
    (found,) = overlapping(nodes=west_node(wireguard_ip="10.4.128.1/17"))

    assert found.reason == "RangeOverlap"
    assert "tunnel range 10.4.128.0/17 overlaps with tunnel range 10.4.0.0/16" in found.what


@pytest.mark.parametrize("address", ["10.0.0.4/24", "10.110.0.9/24", "10.42.0.9/24"])
def test_private_addresses_of_nodes(address: str) -> None:
    """A node whose address is a node's, a Service's or a pod's elsewhere is no peer there."""
    found = overlapping(nodes=west_node(internal_ip=address))

    assert {(f.severity, f.reason) for f in found} == {("warning", "NodeAddressTaken")}
    assert found[-1].cluster == "west"
    assert "address of 1 node (n1) is in use in cluster east too" in found[-1].what


@pytest.mark.parametrize(
    "said",
    [{"internal_ip": "absent"}, {"internal_ip": "10.0.0.4/24", "endpoint": "10.0.0.4:51820"}],
)
def test_private_addresses_that_nobody_is_routed_to(said: dict[str, str]) -> None:
    """Where there is none, and where it is the endpoint's own, nothing stands against it."""
    assert overlapping(nodes=west_node(**said)) == []


def test_namespaces_that_mirrors_would_need() -> None:
    """Each missing one is named once, with those who export from it."""
    exported = (("blog", "web"), ("blog", "api"), ("shop", "cart"))
    unknown = facts(
        ClusterId("north"),
        namespaces=None,
        uid="uid-north",
        exported=(("x", "y"),),
        service_cidrs=("10.112.0.0/16",),
        nodes=None,
    )

    found = bad(facts(exported=exported), facts(WEST, exported=(("x", "y"),)), unknown)

    assert [(f.cluster, f.reason) for f in found] == [
        ("east", "NamespaceMissing"),
        ("west", "NamespaceMissing"),
        ("west", "NamespaceMissing"),
    ]
    assert "no namespace x, from which west, north exports" in found[0].what
    assert "no namespace blog, from which east exports Services" in found[1].what


def test_buses() -> None:
    """One that cannot be used is a problem of whose it is, or of all."""
    fault = Fault(reason="BusUnreachable", message="refused; is it running?")
    broken = BusFacts(url="nats://a", clusters=(WEST,), fault=fault)
    silent = BusFacts(
        url="nats://b", clusters=(EAST, WEST), fault=Fault(reason="NoResponders", message="no")
    )
    fine = BusFacts(url="nats://c", clusters=(EAST,))

    found = judge([facts(), facts(WEST)], [broken, silent, fine])

    assert [(f.severity, f.cluster, f.reason) for f in found[:3]] == [
        ("problem", "", "NoResponders"),
        ("problem", "west", "BusUnreachable"),
        ("ok", "east", "BusReachable"),
    ]
    assert (found[1].what, found[1].remedy) == (
        "the bus at nats://a cannot be used: refused",
        "is it running?",
    )
    assert found[0].remedy


def test_the_worst_comes_first() -> None:
    """Problems of all clusters are before all warnings."""
    found = judge([facts(skew_s=5), facts(WEST, skew_s=50)])

    assert [(f.severity, f.cluster) for f in found] == [
        ("problem", "west"),
        ("warning", "east"),
        ("ok", "east"),
        ("ok", "west"),
    ]
    assert summary(found, 2) == "1 problem, 1 warning in 2 clusters"
    assert summary(found * 2, 1) == "2 problems, 2 warnings in 1 cluster"


def test_names_in_a_sentence() -> None:
    """A few are named, the rest is counted."""
    assert named(("a", "b")) == "a, b"
    assert named(("a", "b", "c", "d", "e")) == "a, b, c and 2 more"
