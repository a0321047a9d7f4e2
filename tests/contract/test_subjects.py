"""Names become tokens and tokens become names, and nothing else is taken for a subject."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.contract.names import ClusterId, is_dns_label
from heliograph.contract.subjects import (
    Kind,
    MalformedSubject,
    Subject,
    all_clusters_filter,
    escape,
    feedback_filter,
    feedback_subject,
    kind_filter,
    kind_of,
    parse_feedback,
    parse_subject,
    stream_name,
    stream_subjects,
    unescape,
)
from tests.support.strategies import SUBDOMAINS, subjects

EAST, WEST = ClusterId("east"), ClusterId("west")
WRITTEN = {
    "cluster": (Subject(cluster=EAST, kind=Kind.CLUSTER, name="east"), "cluster.east"),
    "node with dots": (
        Subject(cluster=EAST, kind=Kind.NODE, name="n1.eu.example"),
        "node.n1_eu_example",
    ),
    "service": (
        Subject(cluster=EAST, kind=Kind.SERVICE, namespace="shop", name="cart"),
        "service.shop.cart",
    ),
    "endpoints": (
        Subject(cluster=EAST, kind=Kind.ENDPOINTS, namespace="shop", name="cart-x.1"),
        "endpoints.shop.cart-x_1",
    ),
    "refusal of a Service": (
        Subject(cluster=EAST, kind=Kind.REFUSAL, namespace="shop", name="west.cart"),
        "refusal.shop.west_cart",
    ),
    "refusal of a node": (
        Subject(cluster=EAST, kind=Kind.REFUSAL, name="west.n1"),
        "refusal._.west_n1",
    ),
}
FOREIGN = {
    "nothing": "",
    "another root": "other.v1.east.node.n1",
    "another version": "heliograph.v2.east.node.n1",
    "feedback": "heliograph.feedback.v1.west.east.node.n1",
    "too short": "heliograph.v1.east.node",
    "unknown kind": "heliograph.v1.east.planet.mars",
    "a token too many": "heliograph.v1.east.node.n1.eu",
    "a token too few": "heliograph.v1.east.service.cart",
    "cluster with a capital": "heliograph.v1.East.node.n1",
    "cluster with an underscore": "heliograph.v1.ea_st.node.n1",
    "empty name": "heliograph.v1.east.node.",
    "empty namespace": "heliograph.v1.east.service..cart",
    "a service without namespace": "heliograph.v1.east.service._.cart",
    "a refusal without name": "heliograph.v1.east.refusal._.",
    "wildcard": "heliograph.v1.east.node.*",
    "name with a slash": "heliograph.v1.east.node.a/b",
    "underscores running": "heliograph.v1.east.node.a__b",
    "namespace with a dot": "heliograph.v1.east.service.a_b.cart",
}


@given(subjects())
def test_every_subject_survives_the_bus(subject: Subject) -> None:
    """Written and read again, any subject is itself."""
    assert parse_subject(str(subject)) == subject
    assert kind_of(str(subject)) is subject.kind


@given(SUBDOMAINS)
def test_any_kubernetes_name_is_one_token(name: str) -> None:
    """Escaping leaves no dot, and can be undone."""
    assert "." not in escape(name)
    assert unescape(escape(name)) == name


@given(st.lists(SUBDOMAINS, min_size=2, max_size=2, unique=True))
def test_two_names_never_share_a_token(names: list[str]) -> None:
    """Different names stay different."""
    assert escape(names[0]) != escape(names[1])


NEARLY = st.from_regex(
    r"[a-b_-]{1,3}\.(cluster|node|service|endpoints|refusal|link)(\.[ab1A_-]{0,5}){1,3}\n?",
    fullmatch=True,
)


@given(st.text(max_size=80).map("east.{}".format) | NEARLY)
def test_what_is_read_is_what_was_written(text: str) -> None:
    """A text is refused, or it is exactly the subject that it was read as."""
    try:
        subject = parse_subject(f"heliograph.v1.{text}")
    except MalformedSubject:
        return
    assert str(subject) == f"heliograph.v1.{text}"
    assert is_dns_label(subject.cluster)
    assert not subject.namespace or is_dns_label(subject.namespace)


@pytest.mark.parametrize("kind", [Kind.SERVICE, Kind.NODE])
@pytest.mark.parametrize(("length", "taken"), [(250, True), (253, True), (254, False)])
def test_a_name_may_be_as_long_as_kubernetes_has_them(
    kind: Kind, length: int, *, taken: bool
) -> None:
    """253 characters are read, one more is refused."""
    namespace = "shop." if kind.namespaced else ""
    text = f"heliograph.v1.east.{kind}.{namespace}{'a' * length}"
    with nullcontext() if taken else pytest.raises(MalformedSubject):
        assert len(parse_subject(text).name) == length


@pytest.mark.parametrize(("subject", "tail"), WRITTEN.values(), ids=WRITTEN)
def test_the_written_form(subject: Subject, tail: str) -> None:
    """The public form of a subject does not change."""
    assert str(subject) == f"heliograph.v1.east.{tail}"


@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN)
def test_foreign_subjects_are_refused(text: str) -> None:
    """What is not of this contract is refused, by name."""
    with pytest.raises(MalformedSubject, match="is not of the contract v1") as raised:
        parse_subject(text)
    assert raised.value.subject == text


def test_a_name_that_kubernetes_would_refuse_is_no_token() -> None:
    """A name with an underscore would collide with an escaped one."""
    with pytest.raises(MalformedSubject):
        escape("a_b")


def test_streams_and_filters_of_a_cluster() -> None:
    """Stream, subjects and filters are those of the public contract."""
    assert stream_name(EAST) == "HELIOGRAPH_east"
    assert stream_subjects(EAST) == ("heliograph.v1.east.>",)
    assert kind_filter(EAST, Kind.NODE) == "heliograph.v1.east.node.>"
    assert all_clusters_filter(Kind.CLUSTER) == "heliograph.v1.*.cluster.>"


@pytest.mark.parametrize(("subject", "tail"), WRITTEN.values(), ids=WRITTEN)
def test_feedback_names_both_clusters(subject: Subject, tail: str) -> None:
    """Feedback goes where the exporting cluster listens, and tells who sent it."""
    assert feedback_subject(WEST, subject) == f"heliograph.feedback.v1.west.east.{tail}"
    assert feedback_filter(EAST) == "heliograph.feedback.v1.*.east.>"


@given(subjects())
def test_feedback_tells_who_and_about_what(subject: Subject) -> None:
    """Written and read again, a feedback subject names the importing cluster and the thing."""
    assert parse_feedback(feedback_subject(WEST, subject)) == (WEST, subject)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "heliograph.feedback.v1",
        "heliograph.v1.east.node.n1",
        "heliograph.feedback.v1.W.east.node.n",
    ],
)
def test_other_subjects_are_no_feedback(text: str) -> None:
    """What is not of the form is refused."""
    with pytest.raises(MalformedSubject):
        parse_feedback(text)
