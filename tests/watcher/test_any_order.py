"""However the events of two watches interleave, the same things are announced in the end."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.contract.messages import Message
from heliograph.contract.subjects import Subject
from heliograph.kube.objects import EndpointSlice, Service
from heliograph.marks import ENDPOINTS_ANNOTATION
from services.watcher.announce import Announcement, announce_service
from services.watcher.table import ServiceKey, ServiceTable
from tests.support.builders import EAST, backend, endpoint_slice, mirror, service

Names = st.sampled_from(["cart", "pay"])
SERVICES = st.one_of(
    st.builds(
        lambda name, mode: service(name, meta={"annotations": {ENDPOINTS_ANNOTATION: mode}}),
        Names,
        st.sampled_from(["pods", "cluster-ip", "nonsense"]),
    ),
    st.builds(lambda name: service(name, cluster_ip="None", cluster_ips=("None",)), Names),
    st.builds(lambda name: service(name, type="ExternalName"), Names),
    st.builds(mirror, Names),
)
SLICES = st.builds(
    lambda name, of, address, ready: endpoint_slice(
        backend(address, ready=ready), name=name, of=of
    ),
    st.sampled_from(["x1", "x2", "x3"]),
    st.sampled_from(["cart", "pay", "other", ""]),
    st.sampled_from(["10.42.0.5", "10.42.0.6"]),
    st.booleans(),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put_service"), SERVICES),
        st.tuples(st.just("drop_service"), SERVICES),
        st.tuples(st.just("put_slice"), SLICES),
        st.tuples(st.just("drop_slice"), SLICES),
        st.tuples(st.just("relist"), st.none()),
    ),
    max_size=40,
)


class Cluster:
    """What a cluster holds, and a watcher that follows it, announcing only what is touched."""

    def __init__(self) -> None:
        self.services: dict[str, Service] = {}
        self.slices: dict[str, EndpointSlice] = {}
        self.table = ServiceTable()
        self.announced: dict[ServiceKey, dict[Subject, Message]] = {}

    def put_service(self, item: Service) -> set[ServiceKey]:
        """Create or change a Service."""
        self.services[item.metadata.name] = item
        return self.table.put_service(item)

    def drop_service(self, item: Service) -> set[ServiceKey]:
        """Delete a Service, if it is there."""
        known = self.services.pop(item.metadata.name, None)
        return self.table.drop_service(known) if known else set()

    def put_slice(self, item: EndpointSlice) -> set[ServiceKey]:
        """Create or change a slice."""
        self.slices[item.metadata.name] = item
        return self.table.put_slice(item)

    def drop_slice(self, item: EndpointSlice) -> set[ServiceKey]:
        """Delete a slice, if it is there."""
        known = self.slices.pop(item.metadata.name, None)
        return self.table.drop_slice(known) if known else set()

    def relist(self, _: None) -> set[ServiceKey]:
        """List both kinds again."""
        touched = self.table.list_slices(self.slices.values())
        return touched | self.table.list_services(self.services.values())

    def announce(self, keys: set[ServiceKey]) -> None:
        """Announce what was touched, and nothing else."""
        for key in keys:
            self.announced.pop(key, None)
            if messages := messages_of(self.table, key):
                self.announced[key] = messages


def messages_of(table: ServiceTable, key: ServiceKey) -> dict[Subject, Message]:
    service = table.service(key)
    result = announce_service(EAST, service, table.slices(key)) if service else None
    return dict(result.messages) if isinstance(result, Announcement) else {}


@settings(deadline=None)
@given(STEPS)
def test_following_ends_where_a_fresh_listing_begins(steps: list[tuple[str, object]]) -> None:
    """Announcing what each event touches gives what a watcher that starts now would announce."""
    cluster = Cluster()
    for name, argument in steps:
        cluster.announce(getattr(cluster, name)(argument))

    fresh = ServiceTable()
    fresh.list_services(cluster.services.values())
    fresh.list_slices(cluster.slices.values())
    listed = {key: messages_of(fresh, key) for key in iter(fresh.keys())}
    assert cluster.announced == {key: messages for key, messages in listed.items() if messages}
