"""Services of dual-stack clusters: which address families they have. True of both servers."""

from __future__ import annotations

import pytest

from tests.lab.api_client import (
    Api,
    Object,
    service,
)

pytest_plugins = ["tests.lab.api_fixtures"]


V4, V6 = "10.110.", "fd00:10:110:"

DUAL: dict[str, tuple[Object, list[str], str]] = {
    "primary only": ({}, ["IPv4"], "SingleStack"),
    "preferred": ({"ipFamilyPolicy": "PreferDualStack"}, ["IPv4", "IPv6"], "PreferDualStack"),
    "required": ({"ipFamilyPolicy": "RequireDualStack"}, ["IPv4", "IPv6"], "RequireDualStack"),
    "the other one": ({"ipFamilies": ["IPv6"]}, ["IPv6"], "SingleStack"),
    "the other one first": (
        {"ipFamilies": ["IPv6"], "ipFamilyPolicy": "RequireDualStack"},
        ["IPv6", "IPv4"],
        "RequireDualStack",
    ),
    "by address": ({"clusterIP": "fd00:10:110::77"}, ["IPv6"], "SingleStack"),
}


@pytest.mark.parametrize(("spec", "families", "policy"), DUAL.values(), ids=DUAL)
async def test_families_of_a_dual_stack_cluster(
    dual_api: Api, spec: Object, families: list[str], policy: str
) -> None:
    """Policy and families decide which ranges the addresses come from, and in which order."""
    made = await dual_api.post(dual_api.services, service("a", **spec))
    stored = made.body["spec"]
    starts = [V4 if family == "IPv4" else V6 for family in families]

    assert (stored["ipFamilies"], stored["ipFamilyPolicy"]) == (families, policy)
    assert all(a.startswith(s) for a, s in zip(stored["clusterIPs"], starts, strict=True))
    assert stored["clusterIP"] == stored["clusterIPs"][0]


async def test_a_second_family_comes_and_goes(dual_api: Api) -> None:
    """A Service gains its second address by policy and loses it by policy; the first one stays."""
    made = await dual_api.post(dual_api.services, service("a"))
    path = f"{dual_api.services}/a"
    gained = await dual_api.put(path, service("a", ipFamilyPolicy="RequireDualStack"))
    lost = await dual_api.put(path, service("a", ipFamilyPolicy="SingleStack"))

    assert len(gained.body["spec"]["clusterIPs"]) == 2
    assert gained.body["spec"]["clusterIP"] == made.body["spec"]["clusterIP"]
    assert lost.body["spec"] == made.body["spec"]


async def test_a_family_is_not_lost_in_passing(dual_api: Api) -> None:
    """Leaving out the second address, without a policy that says so, gets 422."""
    spec = {"ipFamilyPolicy": "RequireDualStack"}
    made = await dual_api.post(dual_api.services, service("a", **spec))
    first = made.body["spec"]["clusterIPs"][:1]
    fewer = service("a", **spec, clusterIP=first[0], clusterIPs=first)
    answer = await dual_api.put(f"{dual_api.services}/a", fewer)

    assert answer.status == 422
    assert "Invalid spec.ipFamilyPolicy" in answer.causes


async def test_the_primary_family_is_for_life(dual_api: Api) -> None:
    """The order of families cannot be changed."""
    spec = {"ipFamilyPolicy": "RequireDualStack"}
    await dual_api.post(dual_api.services, service("a", **spec))
    turned = service("a", **spec, ipFamilies=["IPv6", "IPv4"])
    answer = await dual_api.put(f"{dual_api.services}/a", turned)

    assert (answer.status, answer.reason) == (422, "Invalid")
