"""Services: addresses and node ports, given, kept and taken back. True of both servers."""

from __future__ import annotations

from tests.lab.api_client import (
    Api,
    service,
)

pytest_plugins = ["tests.lab.api_fixtures"]


async def test_an_address_is_given_and_kept(api: Api) -> None:
    """Addresses come from the cluster's range, and an update without one keeps it."""
    made = await api.post(api.services, service("a"))
    address = made.body["spec"]["clusterIP"]
    put = await api.put(f"{api.services}/a", service("a", labels={"b": "c"}))

    assert address.startswith("10.96.")
    assert made.body["spec"]["clusterIPs"] == [address]
    assert put.body["spec"]["clusterIP"] == address


async def test_a_requested_address_is_given_once(api: Api) -> None:
    """A requested address is honoured, refused while another has it, and free after deletion."""
    first = await api.post(api.services, service("a", clusterIP="10.96.0.31"))
    second = await api.post(api.services, service("b", clusterIP="10.96.0.31"))
    await api.delete(f"{api.services}/a")
    third = await api.post(api.services, service("b", clusterIP="10.96.0.31"))

    assert (first.status, second.status, third.status) == (201, 422, 201)
    assert second.causes == {"Invalid spec.clusterIPs"}


async def test_a_taken_address_is_noticed_before_a_taken_name(api: Api) -> None:
    """Creating a Service again, with its address, is 422 Invalid, not 409 AlreadyExists."""
    await api.post(api.services, service("a", clusterIP="10.96.0.32"))
    with_address = await api.post(api.services, service("a", clusterIP="10.96.0.32"))
    without = await api.post(api.services, service("a"))

    assert (with_address.status, with_address.reason) == (422, "Invalid")
    assert (without.status, without.reason) == (409, "AlreadyExists")


async def test_a_refused_creation_takes_no_address(api: Api) -> None:
    """An address asked for by an invalid Service is free afterwards."""
    spec = {"clusterIP": "10.96.0.33", "ports": []}
    assert (await api.post(api.services, service("a", **spec))).status == 422
    assert (await api.post(api.services, service("a", clusterIP="10.96.0.33"))).status == 201


async def test_the_type_may_change(api: Api) -> None:
    """A change of type gives out and takes back what each type has."""
    made = await api.post(api.services, service("a"))
    path = f"{api.services}/a"
    node_port = await api.put(path, service("a", type="NodePort"))
    balanced = await api.put(path, service("a", type="LoadBalancer"))
    plain = await api.put(path, service("a"))
    external = service("a", type="ExternalName", externalName="a.example")
    named = await api.put(path, external)
    back = await api.put(path, service("a"))

    port = node_port.body["spec"]["ports"][0]["nodePort"]
    assert 30000 <= port <= 32767
    assert balanced.body["spec"]["ports"][0]["nodePort"] == port
    assert plain.body["spec"] == made.body["spec"]
    assert {"clusterIP", "clusterIPs", "ipFamilies"}.isdisjoint(named.body["spec"])
    assert back.body["spec"]["clusterIP"].startswith("10.96.")


async def test_a_node_port_is_given_once(api: Api) -> None:
    """Node ports are unique in the cluster and come back when their Service goes."""
    spec = {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30011}]}
    first = await api.post(api.services, service("a", **spec))
    second = await api.post(api.services, service("b", **spec))
    await api.delete(f"{api.services}/a")
    third = await api.post(api.services, service("b", **spec))

    assert (first.status, second.status, third.status) == (201, 422, 201)
    assert second.causes == {"Invalid spec.ports[0].nodePort"}


async def test_one_port_in_two_protocols_shares_its_node_port(api: Api) -> None:
    """TCP and UDP of the same port get the same node port."""
    ports = [{"port": 53, "name": "a"}, {"port": 53, "name": "b", "protocol": "UDP"}]
    made = await api.post(api.services, service("a", type="NodePort", ports=ports))

    first, second = made.body["spec"]["ports"]
    assert first["nodePort"] == second["nodePort"]


async def test_local_traffic_of_a_load_balancer_has_a_health_check_port(api: Api) -> None:
    """`externalTrafficPolicy: Local` of a load balancer gets a node port for health checks."""
    spec = {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}
    made = await api.post(api.services, service("a", **spec))

    assert 30000 <= made.body["spec"]["healthCheckNodePort"] <= 32767


async def test_every_cluster_has_its_own_service_and_range(api: Api) -> None:
    """`default/kubernetes` has the first address of the range that the ServiceCIDR names."""
    own = await api.get("/api/v1/namespaces/default/services/kubernetes")
    cidr = await api.get("/apis/networking.k8s.io/v1/servicecidrs/kubernetes")

    assert own.body["spec"]["clusterIP"] == "10.96.0.1"
    assert own.body["metadata"]["labels"] == {"component": "apiserver", "provider": "kubernetes"}
    assert cidr.body["spec"]["cidrs"] == ["10.96.0.0/16"]
    assert cidr.body["status"]["conditions"][0]["type"] == "Ready"
