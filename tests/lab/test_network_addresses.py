"""Who has which address in a laboratory's network, and what cannot be asked for."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import InputError
from heliograph.lab.network import ClusterSpec, LaboratorySpec, NodeSpec
from heliograph.lab.network.addresses import ClusterPlan, plan_addresses

PRIVATE = [IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]

used_ranges = st.lists(
    st.builds(
        lambda address, prefix: IPv4Network((address, prefix), strict=False),
        st.integers(min_value=10 << 24, max_value=(11 << 24) - 1),
        st.integers(min_value=10, max_value=32),
    ),
    max_size=8,
)


def spec(clusters: int, nodes: int) -> LaboratorySpec:
    return LaboratorySpec(
        clusters=tuple(
            ClusterSpec(name=f"c{c}", nodes=tuple(NodeSpec(name=f"n{n}") for n in range(nodes)))
            for c in range(clusters)
        )
    )


def ranges(plan: ClusterPlan) -> list[IPv4Network]:
    return [plan.segment, plan.pods, plan.services, IPv4Network(f"{plan.router}/30", strict=False)]


@given(used_ranges, st.sampled_from([1, 2, 16]), st.integers(1, 3))
def test_nothing_overlaps(used: list[IPv4Network], clusters: int, nodes: int) -> None:
    """All ranges are private ones, and overlap neither one another nor what the machine uses."""
    plans = plan_addresses(spec(clusters, nodes), used)
    found = [each for plan in plans.values() for each in ranges(plan)]

    assert not any(a.overlaps(b) for a, b in itertools.combinations(found, 2))
    assert not any(a.overlaps(b) for a, b in itertools.product(found, used))
    assert all(any(each.subnet_of(block) for block in PRIVATE) for each in found)


@given(st.sampled_from([1, 2, 16]), st.sampled_from([1, 3, 200]))
def test_every_host_has_its_own_address(clusters: int, nodes: int) -> None:
    """No two hosts of a segment share an address, and no two nodes a range of pods."""
    for plan in plan_addresses(spec(clusters, nodes), ()).values():
        hosts = [plan.gateway, plan.control_plane, *(n.address for n in plan.nodes.values())]
        pods = [node.pods for node in plan.nodes.values()]

        assert len(set(hosts)) == len(hosts) == nodes + 2
        assert all(host in plan.segment for host in hosts)
        assert len(set(pods)) == nodes
        assert all(each.subnet_of(plan.pods) for each in pods)
        assert plan.dns in plan.services


def test_a_machine_that_uses_all_of_it_is_told_so() -> None:
    """Where no range is left, the person is told how many are needed, and of what size."""
    with pytest.raises(InputError, match=r"needs 4 ranges of /16 out of RFC 1918, .* leaves 0"):
        plan_addresses(spec(2, 1), PRIVATE)


@pytest.mark.parametrize(
    ("clusters", "message"),
    [
        ((), "0 clusters cannot be"),
        ((ClusterSpec(name="west", nodes=()),), "0 nodes in west cannot be"),
        (
            (ClusterSpec(name="WEST", nodes=(NodeSpec(name="a"),)),),
            "no cluster can be called 'WEST'",
        ),
        ((ClusterSpec(name="west", nodes=(NodeSpec(name="lan"),)),), "called 'lan'"),
        ((ClusterSpec(name="west", nodes=(NodeSpec(name="n" * 15),)),), "at most 14 letters"),
        ((ClusterSpec(name="west", nodes=(NodeSpec(name="a"), NodeSpec(name="a"))),), "there once"),
        ((ClusterSpec(name="west", nodes=(NodeSpec(name="a", mtu=68),)),), "an MTU of 68 in west"),
    ],
)
def test_what_cannot_be_built_is_refused(clusters: tuple[ClusterSpec, ...], message: str) -> None:
    """A name, a number or an MTU that cannot be is refused with one sentence, before all else."""
    with pytest.raises(InputError, match=message):
        LaboratorySpec(clusters=clusters)
