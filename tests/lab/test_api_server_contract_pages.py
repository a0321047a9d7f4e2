"""What the server says of itself, and what it shows otherwise than stored. True of both servers."""

from __future__ import annotations

import pytest

from tests.lab.api_client import (
    TABLE,
    Api,
    endpoint_slice,
    service,
)

pytest_plugins = ["tests.lab.api_fixtures"]


async def test_events_have_two_faces(api: Api) -> None:
    """An Event written as events.k8s.io/v1 is read as core/v1, and the other way round."""
    regarding = {"kind": "Service", "name": "b", "namespace": api.namespace}
    new = {"metadata": {"name": "new"}, "regarding": regarding, "note": "said", "reason": "Why"}
    new |= {"eventTime": "2026-01-01T00:00:00.000000Z", "action": "Look", "type": "Warning"}
    new |= {"reportingController": "heliograph.io/watcher", "reportingInstance": "one"}
    old = {"metadata": {"name": "old"}, "involvedObject": regarding, "message": "said"}
    old |= {"reason": "Why", "type": "Normal", "source": {"component": "watcher"}}
    assert (await api.post(api.new_events, new)).status == 201
    assert (await api.post(api.events, old)).status == 201

    as_core = (await api.get(f"{api.events}/new")).body
    as_new = (await api.get(f"{api.new_events}/old")).body
    found = await api.get(api.events, fieldSelector="involvedObject.name=b,type=Warning")

    assert (as_core["message"], as_core["involvedObject"]["name"]) == ("said", "b")
    assert as_core["reportingComponent"] == "heliograph.io/watcher"
    assert (as_new["note"], as_new["regarding"]["name"]) == ("said", "b")
    assert as_new["deprecatedSource"] == {"component": "watcher"}
    assert found.names == ["new"]
    async with api.watch(api.new_events) as events:
        assert (await events.next())[1]["note"] == "said"


async def test_the_server_says_what_it_is(api: Api) -> None:
    """Version, health, groups and resources are where clients look for them."""
    assert (await api.get("/version")).body["major"] == "1"
    for path in ("/healthz", "/readyz", "/livez"):
        assert (await api.get(path)).body == "ok"
    assert (await api.get("/api")).body["versions"] == ["v1"]
    groups = {g["name"] for g in (await api.get("/apis")).body["groups"]}
    wanted = {"discovery.k8s.io", "networking.k8s.io", "coordination.k8s.io", "events.k8s.io"}
    assert wanted < groups

    core = {r["name"]: r for r in (await api.get("/api/v1")).body["resources"]}
    assert core["services"]["shortNames"] == ["svc"]
    assert core["services"]["namespaced"] is True
    assert "watch" in core["services"]["verbs"]
    assert core["nodes"]["namespaced"] is False


async def test_access_reviews_are_answered(api: Api) -> None:
    """An administrator may do everything, and is told so."""
    review = {"spec": {"resourceAttributes": {"verb": "create", "resource": "services"}}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = await api.post(path, review)

    assert (answer.status, answer.body["status"]["allowed"]) == (201, True)


TABLES: dict[str, tuple[str, list[str]]] = {
    "services": (
        "services",
        ["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "Selector"],
    ),
    "slices": ("slices", ["Name", "AddressType", "Ports", "Endpoints", "Age"]),
    "endpoints": ("endpoints", ["Name", "Endpoints", "Age"]),
    "configmaps": ("configmaps", ["Name", "Data", "Age"]),
}


@pytest.mark.parametrize(("kind", "columns"), TABLES.values(), ids=TABLES)
async def test_tables_have_the_columns_of_their_kind(
    api: Api, kind: str, columns: list[str]
) -> None:
    """What `kubectl get` prints is computed by the server."""
    table = await api.table(getattr(api, kind))

    assert table["kind"] == "Table"
    assert [c["name"] for c in table["columnDefinitions"]] == columns


async def test_tables_show_services_and_slices(api: Api) -> None:
    """Cells are worded as `kubectl get` prints them."""
    await api.post(api.services, service("a", clusterIP="None", selector={"b": "c"}))
    ports = [{"name": "x", "port": 1}, {"name": "y", "port": 2, "protocol": "UDP"}]
    await api.post(api.services, service("b", clusterIP="10.96.0.99", ports=ports))
    addresses = [f"10.0.0.{n}" for n in range(1, 6)]
    await api.post(api.slices, endpoint_slice("a", *addresses))
    services, slices = await api.table(api.services), await api.table(api.slices)

    shown = [row["cells"][:5] + row["cells"][6:] for row in services["rows"]]
    assert shown == [
        ["a", "ClusterIP", "None", "<none>", "80/TCP", "b=c"],
        ["b", "ClusterIP", "10.96.0.99", "<none>", "1/TCP,2/UDP", "<none>"],
    ]
    assert slices["rows"][0]["cells"][:4] == [
        *("a", "IPv4", "80", "10.0.0.1,10.0.0.2,10.0.0.3 + 2 more..."),
    ]
    assert slices["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


NODE = {
    "spec": {"unschedulable": True},
    "status": {
        "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
        "conditions": [{"type": "Ready", "status": "True"}],
        "nodeInfo": {"kubeletVersion": "v1.36.0", "osImage": "Any OS"},
    },
}


async def test_tables_show_nodes(api: Api) -> None:
    """Readiness, roles, version and addresses of a node are computed from its members."""
    labels = {"node-role.kubernetes.io/control-plane": "", "node-role.kubernetes.io/etcd": ""}
    obj = NODE | {"metadata": {"name": api.namespace, "labels": labels}}
    await api.post("/api/v1/nodes", obj)
    await api.patch(f"/api/v1/nodes/{api.namespace}/status", {"status": NODE["status"]})
    table = await api.table("/api/v1/nodes")
    await api.delete(f"/api/v1/nodes/{api.namespace}")

    assert [c["name"] for c in table["columnDefinitions"]] == [
        *("Name", "Status", "Roles", "Age", "Version", "Internal-IP", "External-IP"),
        *("OS-Image", "Kernel-Version", "Container-Runtime"),
    ]
    cells = next(r["cells"] for r in table["rows"] if r["cells"][0] == api.namespace)
    assert cells[1:3] == ["Ready,SchedulingDisabled", "control-plane,etcd"]
    assert cells[4:] == [
        *("v1.36.0", "192.0.2.1", "<none>", "Any OS", "<unknown>", "<unknown>"),
    ]


async def test_tables_show_services_of_other_types(api: Api) -> None:
    """External names, node ports and pending balancers have their own words."""
    await api.post(api.services, service("a", type="ExternalName", externalName="a.example"))
    port = {"port": 80, "nodePort": 30031}
    await api.post(api.services, service("b", type="LoadBalancer", ports=[port]))
    await api.post(api.services, service("c", externalIPs=["192.0.2.1", "192.0.2.2"]))
    rows = (await api.table(api.services))["rows"]

    assert [[r["cells"][1], *r["cells"][3:5]] for r in rows] == [
        ["ExternalName", "a.example", "80/TCP"],
        ["LoadBalancer", "<pending>", "80:30031/TCP"],
        ["ClusterIP", "192.0.2.1,192.0.2.2", "80/TCP"],
    ]


async def test_tables_show_endpoints_events_and_namespaces(api: Api) -> None:
    """Addresses with ports; what happened to what; which phase."""
    subset = {
        "addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}],
        "ports": [{"port": 1, "name": "a"}, {"port": 2, "name": "b"}],
    }
    await api.post(api.endpoints, {"metadata": {"name": "a"}, "subsets": [subset]})
    event = {"metadata": {"name": "a"}, "reason": "Refused", "message": "why ", "type": "Warning"}
    event["involvedObject"] = {"kind": "Service", "name": "b", "namespace": api.namespace}
    await api.post(api.events, event)
    endpoints, events = await api.table(api.endpoints), await api.table(api.events)
    spaces = await api.table("/api/v1/namespaces")

    assert endpoints["rows"][0]["cells"][1] == "10.0.0.1:1,10.0.0.2:1,10.0.0.1:2 + 1 more..."
    titles = [c["name"] for c in events["columnDefinitions"]]
    shown = dict(zip(titles, events["rows"][0]["cells"], strict=True))
    assert (shown["Type"], shown["Reason"]) == ("Warning", "Refused")
    assert (shown["Object"], shown["Message"]) == ("service/b", "why")
    assert [api.namespace, "Active"] in [r["cells"][:2] for r in spaces["rows"]]


async def test_watches_can_be_tables(api: Api) -> None:
    """`kubectl get -w` gets each event as a table of one row."""
    version = (await api.get(api.services)).version
    async with api.watch(api.services, TABLE, resourceVersion=version) as events:
        await api.post(api.services, service("a"))
        kind, table = await events.next()

    assert (kind, table["kind"], len(table["rows"])) == ("ADDED", "Table", 1)
    assert table["rows"][0]["cells"][0] == "a"


async def test_one_object_can_be_a_table(api: Api) -> None:
    """A single object is shown as a table of one row, with as much of it as was asked for."""
    await api.post(api.services, service("a"))
    path = f"{api.services}/a"
    tables = [await api.table(path, includeObject=i) for i in ("None", "Metadata", "Object")]

    kinds = [(t["rows"][0].get("object") or {}).get("kind") for t in tables]
    assert kinds == [None, "PartialObjectMetadata", "Service"]


async def test_discovery_comes_in_one_piece_as_well(api: Api) -> None:
    """Clients that ask for aggregated discovery get all groups at once."""
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    core = (await api.get("/api", accept=accept)).body
    rest = (await api.get("/apis", accept=accept)).body

    assert core["kind"] == rest["kind"] == "APIGroupDiscoveryList"
    served = {r["resource"]: r for r in core["items"][0]["versions"][0]["resources"]}
    assert served["services"]["scope"] == "Namespaced"
    assert served["services"]["shortNames"] == ["svc"]
    assert served["services"]["categories"] == ["all"]
    assert served["nodes"]["scope"] == "Cluster"
    assert "status" in [s["subresource"] for s in served["services"]["subresources"]]
    groups = {g["metadata"]["name"] for g in rest["items"]}
    assert "discovery.k8s.io" in groups


async def test_groups_describe_themselves(api: Api) -> None:
    """A group's page names its versions, a version's page its kinds."""
    group = (await api.get("/apis/discovery.k8s.io")).body
    version = (await api.get("/apis/discovery.k8s.io/v1")).body

    assert group["preferredVersion"]["groupVersion"] == "discovery.k8s.io/v1"
    assert (version["kind"], version["groupVersion"]) == ("APIResourceList", "discovery.k8s.io/v1")
    assert "endpointslices" in [r["name"] for r in version["resources"]]


async def test_openapi_says_that_the_server_validates(api: Api) -> None:
    """Kubectl finds `fieldValidation` at every PATCH, and leaves validation to the server."""
    index = (await api.get("/openapi/v3")).body["paths"]
    url = index["apis/discovery.k8s.io/v1"]["serverRelativeURL"].partition("?")[0]
    paths = (await api.get(url)).body["paths"]
    place = "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{name}"
    patch = paths[place]["patch"]

    assert "fieldValidation" in {p["name"] for p in patch["parameters"]}
    assert patch["x-kubernetes-group-version-kind"] == {
        "group": "discovery.k8s.io",
        "version": "v1",
        "kind": "EndpointSlice",
    }
    assert (await api.get("/openapi/v2")).body["swagger"] == "2.0"
    assert (await api.get("/openapi/v3/apis/nobody.example/v1")).status == 404


async def test_what_is_nowhere_is_not_found(api: Api) -> None:
    """Below a known group a missing page is a Status, elsewhere it is plain text."""
    assert (await api.get("/heliograph")).body == "404 page not found\n"
    assert (await api.get("/apis/discovery.k8s.io/v1/mirrors")).reason == "NotFound"
    assert (await api.get(f"{api.services}/a/mirror")).status == 404
    assert (await api.get("/api/v1/services/a")).status == 404
    assert (await api.get(f"/api/v1/namespaces/{api.namespace}/nodes")).status == 404


async def test_secrets_take_plain_text(api: Api) -> None:
    """`stringData` is encoded into `data`."""
    path = f"/api/v1/namespaces/{api.namespace}/secrets"
    obj = {"metadata": {"name": "a"}, "data": {"x": "eQ=="}, "stringData": {"b": "c"}}
    made = (await api.post(path, obj)).body

    again = (await api.put(f"{path}/a", {"metadata": {"name": "a"}, "data": made["data"]})).body

    assert (made["type"], made["data"]) == ("Opaque", {"x": "eQ==", "b": "Yw=="})
    assert again == made
    assert "stringData" not in made
