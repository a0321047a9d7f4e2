"""Services: what is filled in, given out and refused. True of both servers."""

from __future__ import annotations

import pytest

from tests.lab.api_client import Api, Object, endpoint_slice, service

pytest_plugins = ["tests.lab.api_fixtures"]


ALWAYS = {
    "type": "ClusterIP",
    "sessionAffinity": "None",
    "internalTrafficPolicy": "Cluster",
    "ipFamilies": ["IPv4"],
    "ipFamilyPolicy": "SingleStack",
    "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
}
OUTSIDE = {"externalTrafficPolicy": "Cluster"}
HEADLESS = {"clusterIP": "None", "clusterIPs": ["None"]}
BOTH_FAMILIES = {"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack"}


def without_allocations(spec: Object) -> Object:
    """Return a spec without the addresses and node ports, which are the server's choice."""
    kept = {k: v for k, v in spec.items() if k != "healthCheckNodePort"}
    if spec.get("clusterIP") != "None":
        kept = {k: v for k, v in kept.items() if k not in ("clusterIP", "clusterIPs")}
    if "ports" in kept:
        ports = kept["ports"]
        kept["ports"] = [{k: v for k, v in p.items() if k != "nodePort"} for p in ports]
    return kept


DEFAULTS: dict[str, tuple[Object, Object]] = {
    "a port": ({}, ALWAYS),
    "names of ports": (
        {"ports": [{"port": 7, "name": "x", "targetPort": "http", "protocol": "UDP"}]},
        ALWAYS | {"ports": [{"port": 7, "name": "x", "targetPort": "http", "protocol": "UDP"}]},
    ),
    "an application protocol": (
        {"ports": [{"port": 80, "appProtocol": "kubernetes.io/h2c"}]},
        ALWAYS | {"ports": [ALWAYS["ports"][0] | {"appProtocol": "kubernetes.io/h2c"}]},
    ),
    "no node port": ({"ports": [{"port": 80, "nodePort": 0, "targetPort": 0}]}, ALWAYS),
    "client-IP affinity": (
        {"sessionAffinity": "ClientIP"},
        ALWAYS
        | {
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
        },
    ),
    "affinity without use": (
        {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}},
        ALWAYS,
    ),
    "empty members": ({"selector": {}, "externalIPs": [], "type": "", "clusterIP": ""}, ALWAYS),
    "headless with selector": (
        HEADLESS | {"selector": {"a": "b"}},
        ALWAYS | HEADLESS | {"selector": {"a": "b"}},
    ),
    "headless, no selector": (HEADLESS, ALWAYS | HEADLESS | BOTH_FAMILIES),
    "headless, single stack": (HEADLESS | {"ipFamilyPolicy": "SingleStack"}, ALWAYS | HEADLESS),
    "headless by singular only": (
        {"clusterIP": "None", "selector": {"a": "b"}},
        ALWAYS | HEADLESS | {"selector": {"a": "b"}},
    ),
    "preferring two families": (
        {"ipFamilyPolicy": "PreferDualStack"},
        ALWAYS | {"ipFamilyPolicy": "PreferDualStack"},
    ),
    "local traffic": (
        {"internalTrafficPolicy": "Local"},
        ALWAYS | {"internalTrafficPolicy": "Local"},
    ),
    "near traffic": (
        {"trafficDistribution": "PreferSameZone"},
        ALWAYS | {"trafficDistribution": "PreferSameZone"},
    ),
    "addresses not ready": (
        {"publishNotReadyAddresses": True},
        ALWAYS | {"publishNotReadyAddresses": True},
    ),
    "a node port": ({"type": "NodePort"}, ALWAYS | OUTSIDE | {"type": "NodePort"}),
    "a load balancer": (
        {"type": "LoadBalancer"},
        ALWAYS | OUTSIDE | {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": True},
    ),
    "external addresses": (
        {"externalIPs": ["192.0.2.1"]},
        ALWAYS | OUTSIDE | {"externalIPs": ["192.0.2.1"]},
    ),
    "an external name": (
        {"type": "ExternalName", "externalName": "a.example", "ports": None},
        {"type": "ExternalName", "externalName": "a.example", "sessionAffinity": "None"},
    ),
}


@pytest.mark.parametrize(("given", "stored"), DEFAULTS.values(), ids=DEFAULTS)
async def test_defaults(api: Api, given: Object, stored: Object) -> None:
    """The server completes the spec, and updates of the completed one change nothing."""
    made = await api.post(api.services, service("a", **given))

    assert made.status == 201, made.body
    assert without_allocations(made.body["spec"]) == stored
    assert made.body["status"] == {"loadBalancer": {}}
    again = await api.put(f"{api.services}/a", service("a", **given))
    assert (again.status, again.version) == (200, made.version), again.body


def _ports(*ports: Object) -> Object:
    return {"ports": list(ports)}


REFUSED: dict[str, tuple[Object, set[str]]] = {
    "no port": (_ports(), {"Required spec.ports"}),
    "ports without names": (
        _ports({"port": 1}, {"port": 2}),
        {"Required spec.ports[0].name", "Required spec.ports[1].name"},
    ),
    "equal names": (
        _ports({"port": 1, "name": "a"}, {"port": 2, "name": "a"}),
        {"Duplicate spec.ports[1].name"},
    ),
    "equal ports": (
        _ports({"port": 1, "name": "a"}, {"port": 1, "name": "b"}),
        {"Duplicate spec.ports[1]"},
    ),
    "a name in capitals": (_ports({"port": 1, "name": "A"}), {"Invalid spec.ports[0].name"}),
    "port 0": (_ports({"port": 0, "targetPort": 1}), {"Invalid spec.ports[0].port"}),
    "port 65536": (_ports({"port": 65536, "targetPort": 1}), {"Invalid spec.ports[0].port"}),
    "another protocol": (
        _ports({"port": 1, "protocol": "ICMP"}),
        {"NotSupported spec.ports[0].protocol"},
    ),
    "a long target name": (
        _ports({"port": 1, "targetPort": "a" * 16}),
        {"Invalid spec.ports[0].targetPort"},
    ),
    "an app protocol": (
        _ports({"port": 1, "appProtocol": "a b"}),
        {"Invalid spec.ports[0].appProtocol"},
    ),
    "another type": ({"type": "Mirror"}, {"NotSupported spec.type"}),
    "another affinity": ({"sessionAffinity": "Any"}, {"NotSupported spec.sessionAffinity"}),
    "no time for affinity": (
        {
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}},
        },
        {"Invalid spec.sessionAffinityConfig.clientIP.timeoutSeconds"},
    ),
    "a node port": (_ports({"port": 1, "nodePort": 30001}), {"Forbidden spec.ports[0].nodePort"}),
    "node port out of range": (
        {"type": "NodePort"} | _ports({"port": 1, "nodePort": 8080}),
        {"Invalid spec.ports[0].nodePort"},
    ),
    "headless with node port": (
        {"type": "NodePort", "clusterIP": "None"},
        {"Invalid spec.clusterIPs[0]"},
    ),
    "outer policy inside": (
        {"externalTrafficPolicy": "Local"},
        {"Invalid spec.externalTrafficPolicy"},
    ),
    "another inner policy": (
        {"internalTrafficPolicy": "Near"},
        {"NotSupported spec.internalTrafficPolicy"},
    ),
    "another distribution": (
        {"trafficDistribution": "Near"},
        {"NotSupported spec.trafficDistribution"},
    ),
    "address out of range": ({"clusterIP": "192.0.2.1"}, {"Invalid spec.clusterIPs"}),
    "no address at all": ({"clusterIP": "somewhere"}, {"Invalid spec.clusterIPs[0]"}),
    "leading zeros": ({"clusterIP": "10.096.0.9"}, {"Invalid spec.clusterIPs[0]"}),
    "plural alone": ({"clusterIPs": ["10.96.0.9"]}, {"Invalid spec.clusterIPs"}),
    "plural and singular": (
        {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.8"]},
        {"Invalid spec.clusterIPs"},
    ),
    "the other family": ({"ipFamilies": ["IPv6"]}, {"Invalid spec.ipFamilies[0]"}),
    "address of the other": ({"clusterIP": "fd00::1"}, {"Invalid spec.clusterIPs[0]"}),
    "an unknown family": ({"ipFamilies": ["IPv5"]}, {"NotSupported spec.ipFamilies[0]"}),
    "two families, one stack": ({"ipFamilies": ["IPv4", "IPv6"]}, {"Invalid spec.ipFamilyPolicy"}),
    "two stacks required": (
        {"ipFamilyPolicy": "RequireDualStack"},
        {"Invalid spec.ipFamilyPolicy"},
    ),
    "one family twice": (
        {"ipFamilies": ["IPv4", "IPv4"], "ipFamilyPolicy": "PreferDualStack"},
        {"Duplicate spec.ipFamilies[1]"},
    ),
    "an unknown policy": ({"ipFamilyPolicy": "Any"}, {"NotSupported spec.ipFamilyPolicy"}),
    "headless and an address": (
        {"clusterIP": "None", "clusterIPs": ["None", "10.96.0.9"]},
        {"Invalid spec.clusterIPs"},
    ),
    "two addresses of a family": (
        {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "10.96.0.10"]},
        {"Invalid spec.clusterIPs"},
    ),
    "three addresses": (
        {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "fd00::1", "10.96.0.10"]},
        {"Invalid spec.clusterIPs"},
    ),
    "two addresses, one stack": (
        {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "fd00::1"]},
        {"Invalid spec.ipFamilyPolicy", "Invalid spec.clusterIPs[1]"},
    ),
    "an address not of its family": (
        {"clusterIP": "10.96.0.9", "ipFamilies": ["IPv6"]},
        {"Invalid spec.clusterIPs[0]"},
    ),
    "an external address of words": (
        {"externalIPs": ["somewhere"]},
        {"Invalid spec.externalIPs[0]"},
    ),
    "a class without a balancer": (
        {"loadBalancerClass": "x.example/y"},
        {"Forbidden spec.loadBalancerClass"},
    ),
    "an unknown outer policy": (
        {"type": "NodePort", "externalTrafficPolicy": "Near"},
        {"NotSupported spec.externalTrafficPolicy"},
    ),
    "one node port twice": (
        {
            "type": "NodePort",
            "ports": [
                {"port": 1, "name": "a", "nodePort": 30021},
                {"port": 2, "name": "b", "nodePort": 30021},
            ],
        },
        {"Invalid spec.ports[1].nodePort"},
    ),
    "no external name": ({"type": "ExternalName"}, {"Required spec.externalName"}),
    "external with address": (
        {"type": "ExternalName", "externalName": "a.example", "clusterIP": "10.96.0.9"},
        {"Forbidden spec.clusterIPs"},
    ),
    "a selector with spaces": ({"selector": {"a b": "c"}}, {"Invalid spec.selector"}),
}


@pytest.mark.parametrize(("spec", "causes"), REFUSED.values(), ids=REFUSED)
async def test_refusals(api: Api, spec: Object, causes: set[str]) -> None:
    """An invalid Service gets 422 with the fields that are wrong, and is not stored."""
    answer = await api.post(api.services, service("a", **spec))

    assert (answer.status, answer.reason) == (422, "Invalid"), answer.body
    assert answer.causes == causes
    assert answer.body["details"]["kind"] == "Service"
    assert (await api.get(f"{api.services}/a")).status == 404


NAMES = {"a": 201, "a-1": 201, "1-a": 201, "a" * 63: 201, "a" * 64: 422, "a.b": 422, "A": 422}


@pytest.mark.parametrize(("name", "status"), NAMES.items(), ids=NAMES)
async def test_names_are_rfc_1123_labels(api: Api, name: str, status: int) -> None:
    """Since 1.36 a Service's name may begin with a digit; dots and capitals it may not have."""
    assert (await api.post(api.services, service(name))).status == status


CHANGES: dict[str, tuple[Object, Object, set[str]]] = {
    "another address": (
        {"clusterIP": "10.96.0.34"},
        {"clusterIP": "10.96.0.35"},
        {"Invalid spec.clusterIPs[0]"},
    ),
    "to headless": ({}, {"clusterIP": "None"}, {"Invalid spec.clusterIPs[0]"}),
    "from headless": (
        {"clusterIP": "None"},
        {"clusterIP": "10.96.0.36"},
        {"Invalid spec.ipFamilyPolicy"},
    ),
    "another family": ({}, {"ipFamilies": ["IPv6"]}, {"Invalid spec.clusterIPs[0]"}),
    "two stacks required": (
        {},
        {"ipFamilyPolicy": "RequireDualStack"},
        {"Invalid spec.ipFamilyPolicy"},
    ),
    "no ports": ({}, {"ports": []}, {"Required spec.ports"}),
}


@pytest.mark.parametrize(("before", "after", "causes"), CHANGES.values(), ids=CHANGES)
async def test_some_changes_are_refused(
    api: Api, before: Object, after: Object, causes: set[str]
) -> None:
    """What cannot change gets 422: a mirror that must change so is deleted and made anew."""
    made = await api.post(api.services, service("a", **before))
    answer = await api.put(f"{api.services}/a", service("a", **after))

    assert (answer.status, answer.reason) == (422, "Invalid"), answer.body
    assert answer.causes == causes
    assert (await api.get(f"{api.services}/a")).body == made.body


async def test_a_headless_service_stays_headless_when_nothing_is_said(api: Api) -> None:
    """An update without `clusterIP` leaves a headless Service headless."""
    made = await api.post(api.services, service("a", clusterIP="None"))
    put = await api.put(f"{api.services}/a", service("a"))

    assert (put.status, put.body["spec"]) == (200, made.body["spec"])


async def test_ports_and_selector_may_change(api: Api) -> None:
    """Ports, selector, affinity and policies of a Service change freely."""
    await api.post(api.services, service("a", selector={"a": "b"}))
    spec = {
        "ports": [{"port": 1, "name": "x"}, {"port": 2, "name": "y"}],
        "sessionAffinity": "ClientIP",
        "internalTrafficPolicy": "Local",
    }
    put = await api.put(f"{api.services}/a", service("a", **spec))

    assert [p["targetPort"] for p in put.body["spec"]["ports"]] == [1, 2]
    assert "selector" not in put.body["spec"]
    assert put.body["spec"]["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"] == 10800


async def test_the_status_is_not_taken_from_a_creation(api: Api) -> None:
    """A status in a POST is dropped."""
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    made = await api.post(api.services, service("a") | {"status": status})

    assert made.body["status"] == {"loadBalancer": {}}


async def test_the_endpoints_of_a_deleted_service_go_with_it(api: Api) -> None:
    """Endpoints of the same name are deleted by the server itself, EndpointSlices are not."""
    await api.post(api.services, service("a"))
    await api.post(api.endpoints, {"metadata": {"name": "a"}, "subsets": []})
    labels = {"kubernetes.io/service-name": "a"}
    piece = endpoint_slice("a-1", metadata={"name": "a-1", "labels": labels})
    await api.post(api.slices, piece)
    await api.delete(f"{api.services}/a")

    assert (await api.get(f"{api.endpoints}/a")).status == 404
    assert (await api.get(f"{api.slices}/a-1")).status == 200
