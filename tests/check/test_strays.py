from __future__ import annotations

import pytest

from heliograph.check.known import Stray
from heliograph.check.strays import strays
from heliograph.kube.objects import ObjectMeta, Pod, PodSpec, PodStatus
from tests.support.builders import node

BOTH = ("10.42.0.0/24", "fd00:42::/64")


def pod(
    address: str,
    name: str = "cart-1",
    *,
    on: str = "n1",
    host_network: bool = False,
    phase: str = "Running",
) -> Pod:
    return Pod(
        metadata=ObjectMeta(name=name, namespace="shop"),
        spec=PodSpec(node_name=on, host_network=host_network),
        status=PodStatus(phase=phase, pod_ip=address),
    )


AT_HOME: dict[str, tuple[tuple[str, ...], Pod]] = {
    "inside": (BOTH, pod("10.42.0.7")),
    "inside the second family": (BOTH, pod("fd00:42::7")),
    "of a family without range": (("10.42.0.0/24",), pod("fd00:42::7")),
    "of the host's network": (BOTH, pod("192.0.2.1", host_network=True)),
    "without address": (BOTH, pod("")),
    "with an address that is none": (BOTH, pod("soon")),
    "ended": (BOTH, pod("10.9.0.1", phase="Succeeded")),
    "failed": (BOTH, pod("10.9.0.1", phase="Failed")),
    "on no node": (BOTH, pod("10.9.0.1", on="")),
    "on a node without ranges": ((), pod("10.9.0.1")),
}


@pytest.mark.parametrize(("cidrs", "found"), AT_HOME.values(), ids=AT_HOME)
def test_pods_at_home(cidrs: tuple[str, ...], found: Pod) -> None:
    """Nothing is said of pods in their node's range, nor of those whose address is not theirs."""
    assert strays([node(pod_cidrs=cidrs)], [found]) == ()


def test_pods_elsewhere_are_counted_by_node() -> None:
    """Each node has its count, and one pod as an example."""
    nodes = [node("n2", pod_cidrs=("10.42.2.0/24",)), node("n1")]
    pods = [
        pod("10.42.2.1", "a", on="n2"),
        pod("10.9.0.1", "b", on="n2"),
        pod("fd00::1", "c"),
        pod("10.9.0.2", "d"),
        pod("10.9.0.3", "e"),
    ]

    assert strays(nodes, pods) == (
        Stray(node="n1", cidrs=("10.42.0.0/24",), count=2, pod="shop/d", address="10.9.0.2"),
        Stray(node="n2", cidrs=("10.42.2.0/24",), count=1, pod="shop/b", address="10.9.0.1"),
    )
