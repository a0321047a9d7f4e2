from __future__ import annotations

import pytest

from heliograph.kube.objects import (
    EndpointSlice,
    KubeObject,
    Namespace,
    ObjectMeta,
    Service,
    ServiceSpec,
)
from heliograph.marks import EXPORTING_ANNOTATION, MANAGED_BY_LABEL, MANAGER
from services.reflector.own import OwnCluster, OwnMirror
from services.reflector.own_services import Foreign
from services.reflector.surroundings import OwnFamilies, OwnNamespaces
from services.reflector.table import ServiceKey
from tests.support.mirrors import (
    EAST,
    KEY,
    SOUTH,
    but,
    endpoints,
    foreign,
    leftover,
    namespace,
    service_cidr,
    stored,
    with_labels,
)

OTHER = ServiceKey("shop", "web")


def ours(version: str, uid: str = "u1", cluster_ip: str = "10.111.0.1") -> Service:
    """Return our mirror in a version; `cluster_ip` tells versions apart in what is stored."""
    metadata = ObjectMeta(
        name=KEY.name,
        namespace=KEY.namespace,
        labels={MANAGED_BY_LABEL: MANAGER},
        annotations={EXPORTING_ANNOTATION: "east,south"},
    )
    spec = ServiceSpec(cluster_ip=cluster_ip)
    return stored(Service(metadata=metadata, spec=spec), version, uid=uid)


def our_slice(
    version: str = "1", name: str = "cart-east-x", service: str = KEY.name
) -> EndpointSlice:
    """Return a slice of ours."""
    labels = {
        MANAGED_BY_LABEL: MANAGER,
        "kubernetes.io/service-name": service,
        "endpointslice.kubernetes.io/managed-by": "heliograph.io",
        "multicluster.kubernetes.io/source-cluster": "east",
    }
    metadata = ObjectMeta(name=name, namespace="shop", labels=labels)
    return stored(EndpointSlice(metadata=metadata, address_type="IPv4"), version, uid=name)


def version_of(own: OwnCluster) -> str | None:
    """Return the version of the mirror that is known; None if none is."""
    service = own.mirror(KEY).service
    return service.metadata.resource_version if service else None


def unwritten() -> ObjectMeta:
    """Return the metadata of a mirror that is to be created."""
    return ObjectMeta(name=KEY.name, namespace=KEY.namespace)


def test_the_echo_of_our_own_write_is_no_news() -> None:
    """What the watch tells of a write that was answered touches nothing."""
    own = OwnCluster()
    with own.services.request(unwritten()) as request:
        own.services.wrote(request, ours("5"))

    assert version_of(own) == "5"
    assert own.services.put(ours("5")) == set()
    assert own.services.put(ours("6")) == {KEY}


def test_older_news_than_our_own_write_is_no_news() -> None:
    """The watch lags: what it tells before the echo was true before the write."""
    own = OwnCluster()
    own.services.put(ours("4"))
    with own.services.request(ours("4").metadata) as request:
        own.services.wrote(request, ours("6"))

    assert own.services.put(ours("4")) == set()
    assert own.services.put(ours("5")) == set()
    assert version_of(own) == "6"


def test_a_watch_ahead_of_the_answer_knows_better() -> None:
    """Echo and a later change came first: the late answer changes nothing, and none is awaited."""
    own = OwnCluster()
    own.services.put(ours("4"))
    with own.services.request(ours("4").metadata) as request:
        own.services.put(ours("5"))
        own.services.put(ours("6"))
        own.services.wrote(request, ours("5"))

    assert version_of(own) == "6"
    assert own.services.put(ours("7")) == {KEY}


def test_a_mirror_created_and_deleted_before_the_answer_is_gone() -> None:
    """Somebody was faster than our own answer: it must not bring the mirror back to mind."""
    own = OwnCluster()
    with own.services.request(unwritten()) as request:
        own.services.put(ours("5"))
        own.services.drop(ours("6"))
        own.services.wrote(request, ours("5"))

    assert version_of(own) is None
    assert own.services.put(ours("8", uid="u2")) == {KEY}


def test_a_listing_ahead_of_the_answer_knows_better() -> None:
    """After 410 Gone the listing may hold our write, or already its end: nothing is awaited."""
    own = OwnCluster()
    with own.services.request(unwritten()) as request:
        own.services.list([])
        own.services.wrote(request, ours("5"))

    assert version_of(own) is None
    assert own.services.put(ours("6")) == {KEY}


def test_a_write_that_changed_nothing_has_no_echo() -> None:
    """The API server makes no new version of it, so the next news is news."""
    own = OwnCluster()
    own.services.put(ours("4"))
    with own.services.request(ours("4").metadata) as request:
        own.services.wrote(request, ours("4"))

    assert own.services.put(ours("5")) == {KEY}


def test_an_earlier_echo_during_a_request_is_not_the_watch_being_ahead() -> None:
    """Two writes after one another: the first one's echo says nothing about the second one."""
    own = OwnCluster()
    with own.services.request(unwritten()) as request:
        own.services.wrote(request, ours("5"))
    with own.services.request(ours("5").metadata) as request:
        own.services.put(ours("5"))
        own.services.wrote(request, ours("6"))

    assert version_of(own) == "6"
    assert own.services.put(ours("6")) == set()


def test_the_echo_of_our_own_deletion_is_no_news() -> None:
    """Neither the last changes of the object that we deleted, nor its end."""
    own = OwnCluster()
    own.services.put(ours("4"))
    with own.services.request(ours("4").metadata) as request:
        own.services.deleted(request)

    assert version_of(own) is None
    assert own.services.put(ours("4")) == set()
    assert own.services.drop(ours("5")) == set()
    assert own.services.put(ours("7", uid="u2")) == {KEY}
    assert own.services.drop(ours("8", uid="u2")) == {KEY}


def test_a_deletion_that_the_watch_told_before_its_answer_is_not_awaited() -> None:
    """And what stands in its place meanwhile stays known."""
    own = OwnCluster()
    own.services.put(ours("4"))
    with own.services.request(ours("4").metadata) as request:
        own.services.drop(ours("5"))
        own.services.put(ours("6", uid="u2"))
        own.services.deleted(request)

    assert version_of(own) == "6"
    assert own.services.drop(ours("7", uid="u2")) == {KEY}


def test_a_deletion_held_up_by_a_finalizer_is_seen_in_the_end() -> None:
    """A look found the object still there: from then on all that the watch tells is news."""
    own = OwnCluster()
    own.services.put(ours("4"))
    with own.services.request(ours("4").metadata) as request:
        own.services.deleted(request)
    with own.services.request(unwritten()) as request:
        own.services.found(request, ours("5"))

    assert version_of(own) == "5"
    assert own.services.drop(ours("6")) == {KEY}


def test_what_a_look_finds_is_known_until_there_is_news() -> None:
    """A conflict shows that somebody else has written: what they wrote is judged next."""
    own = OwnCluster()
    own.services.put(ours("4"))
    with own.services.request(ours("4").metadata) as request:
        own.services.found(request, foreign(version="9"))

    assert own.mirror(KEY).service is None
    assert own.mirror(KEY).foreign == Foreign(
        owner="helm",
        metadata=ObjectMeta(name="cart", namespace="shop", uid="foreign", resource_version="9"),
    )
    assert own.services.put(foreign(version="10")) == {KEY}


def test_a_look_that_finds_nothing_forgets() -> None:
    """Not found: it is gone, whatever was expected of it."""
    own = OwnCluster()
    own.services.put(ours("4"))
    with own.services.request(ours("4").metadata) as request:
        own.services.missing(request)

    assert version_of(own) is None


def test_a_look_that_the_watch_outran_changes_nothing() -> None:
    """What was found or missed may be older than what the watch has told meanwhile."""
    own = OwnCluster()
    for answer in ("missing", "found"):
        with own.services.request(unwritten()) as request:
            own.services.put(ours("6"))
            if answer == "missing":
                own.services.missing(request)
            else:
                own.services.found(request, ours("5"))
        assert version_of(own) == "6"


def test_requests_about_other_objects_are_not_outrun() -> None:
    """News of one object says nothing about another; two requests about one may overlap."""
    own = OwnCluster()
    with own.services.request(unwritten()) as first, own.services.request(unwritten()) as second:
        own.services.put(stored(Service(metadata=ObjectMeta(name="web", namespace="shop"))))
        assert not first.outrun
        own.services.put(ours("3"))
        assert first.outrun
        assert second.outrun


def test_a_listing_replaces_everything() -> None:
    """What is not in it does not exist; all that was known or is new is touched."""
    own = OwnCluster()
    own.services.put(ours("4"))
    web = but(foreign(OTHER), metadata=but(foreign(OTHER).metadata, managed_fields=()))

    assert own.services.list([web]) == {KEY, OTHER}

    assert own.mirror(KEY) == OwnMirror()
    found = own.mirror(OTHER).foreign
    assert found is not None
    assert found.owner == "unknown"


def test_slices_are_ours_by_mark_and_authorship() -> None:
    """Ours, adopted ones and controllers' leftovers are told apart; others are not looked at."""
    own = OwnCluster()
    copied = stored(our_slice(name="copied"), by="kubectl", uid="copied")
    marks = dict.fromkeys(
        ["endpointslice.kubernetes.io/managed-by", "multicluster.kubernetes.io/source-cluster"]
    )
    hand = with_labels(our_slice(name="adopted"), marks)

    touched = own.slices.list([our_slice(), copied, hand, leftover()])

    assert touched == {KEY}
    assert list(own.mirror(KEY).slices) == ["cart-east-x"]
    assert list(own.mirror(KEY).leftovers) == ["adopted", leftover().metadata.name]


def test_a_slice_that_moves_touches_both_services() -> None:
    """Its label ties a slice to a Service: changed by somebody, it feeds another one."""
    own = OwnCluster()
    own.slices.put(our_slice("1"))
    own.slices.put(our_slice("1", name="cart-south-y"))

    assert own.slices.put(our_slice("2", service="web")) == {KEY, OTHER}
    assert own.slices.drop(our_slice("3", name="cart-south-y")) == {KEY}

    assert KEY not in own
    assert OTHER in own
    assert own.mirrors() == {OTHER}
    assert own.slices.list([]) == {OTHER}


def test_a_slice_without_a_service_is_found_under_no_name() -> None:
    """There nothing is wanted, so it is deleted and makes room for the one that is missing."""
    own = OwnCluster()
    nameless = with_labels(our_slice(), {"kubernetes.io/service-name": None})

    assert own.slices.put(nameless) == {ServiceKey("shop", "")}


def test_a_mirror_names_the_clusters_it_points_at() -> None:
    """By the Service's mark and by the slices' labels, whichever of them is left."""
    own = OwnCluster()
    assert own.mirror(KEY).exporting() == frozenset()
    own.slices.put(our_slice())
    own.slices.put(
        with_labels(our_slice(name="b"), {"multicluster.kubernetes.io/source-cluster": None})
    )
    assert own.mirror(KEY).exporting() == {EAST}
    own.services.put(ours("1"))
    assert own.mirror(KEY).exporting() == {EAST, SOUTH}
    assert own.mirror(KEY).marked() == (EAST, SOUTH)


def test_endpoints_with_our_label_are_followed() -> None:
    """Controllers make them for a mirror while it has a selector, and leave them behind."""
    own = OwnCluster()
    web = endpoints(OTHER)

    assert own.endpoints.put(endpoints()) == {KEY}
    assert own.mirror(KEY).endpoints == endpoints().metadata
    assert KEY in own
    assert own.endpoints.list([web]) == {KEY, OTHER}
    assert own.mirrors() == {OTHER}
    assert own.endpoints.drop(KubeObject(metadata=web.metadata)) == {OTHER}
    assert own.mirrors() == set()


STATES = [
    # what the watch tells                     touched      state afterwards
    (lambda n: n.list([namespace()]),          {"shop"},    "Active"),
    (lambda n: n.put(namespace()),             set(),       "Active"),
    (lambda n: n.list([namespace()]),          set(),       "Active"),
    (lambda n: n.put(namespace(terminating=True)), {"shop"}, "Terminating"),
    (lambda n: n.drop(namespace()),            {"shop"},    "Missing"),
    (lambda n: n.drop(namespace()),            {"shop"},    "Missing"),
    (lambda n: n.put(namespace(ours=True)),    {"shop"},    "Active"),
    (lambda n: n.list([]),                     {"shop"},    "Missing"),
]  # fmt: skip


def test_namespaces_come_and_go() -> None:
    """Only a change of state touches mirrors: labels of namespaces change all the time."""
    namespaces = OwnNamespaces()

    for step, touched, state in STATES:
        assert step(namespaces) == touched
        assert namespaces.state("shop") == state


def test_namespaces_of_ours_are_those_we_marked_and_made() -> None:
    """Neither a copied label nor one on its way out makes a namespace ours to remove."""
    namespaces = OwnNamespaces()
    labelled: Namespace = with_labels(namespace("copied"), {MANAGED_BY_LABEL: MANAGER})
    leaving = namespace("leaving", terminating=True, ours=True)

    namespaces.list([namespace("theirs"), labelled, leaving, namespace("ours", ours=True)])

    assert [n.metadata.name for n in namespaces.ours()] == ["ours"]


@pytest.mark.parametrize("step", ["list", "put", "drop"])
def test_families_change_only_with_the_ranges(step: str) -> None:
    """A second range of a family that is there already changes nothing."""
    families = OwnFamilies()
    four, more = service_cidr("10.96.0.0/16"), service_cidr("10.97.0.0/16", name="more")
    six = service_cidr("fd00::/112", name="six")
    assert families.list([four])
    assert not families.put(more)
    assert families.families() == {"IPv4"}

    if step == "list":
        assert families.list([four, six])
        assert not families.list([six, four])
    elif step == "put":
        assert families.put(six)
    else:
        assert not families.drop(more)
        assert not families.drop(more)
        assert families.drop(four)

    assert families.families() == ({"IPv4", "IPv6"} if step != "drop" else frozenset())
