"""What is told of one cluster: each change once, whatever is replayed, lost or out of date."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.contract.headers import EPOCH
from heliograph.contract.messages import (
    AnyMessage,
    LinkStated,
    LinkWithdrawn,
    MalformedMessage,
    encode,
    is_withdrawal,
)
from heliograph.contract.subjects import Kind, Subject
from heliograph.imports.evidence import StaleEpoch
from heliograph.mesh.event import MeshEvent
from heliograph.mesh.view import ClusterView, Said
from services.reflector.table import ServiceKey
from tests.support.exporter import ExporterModel, Published
from tests.support.mirrors import CLUSTER, EAST, PODS, WEB, but, pods

KINDS = (Kind.CLUSTER, Kind.SERVICE, Kind.ENDPOINTS, Kind.LINK)
CART, TILL = ServiceKey("shop", "cart"), ServiceKey("shop", "till")


def said(subject: Subject, epoch: int, payload: bytes, *, live: bool) -> Said:
    """Return a message of that epoch."""
    headers = {EPOCH: str(epoch)}
    return Said(subject=subject, text=str(subject), headers=headers, payload=payload, live=live)


class Subscriber:
    """Hears a cluster, and keeps what it was told."""

    def __init__(self) -> None:
        self.view = ClusterView(EAST, KINDS)
        self.state: dict[tuple[Kind | None, str], AnyMessage | None] = {}

    def hear(self, *messages: Published, live: bool = True) -> list[str]:
        """Take messages; return what was told of them."""
        told: list[MeshEvent] = []
        for one in messages:
            told += self.view.take(said(one.subject, one.epoch, encode(one.message), live=live))
        return self.note(told)

    def replay(self, messages: Iterable[Published]) -> list[str]:
        """Hear a stream whole, from its beginning."""
        self.view.begin_replay()
        told = self.hear(*messages, live=False)
        return told + self.note(list(self.view.end_replay()))

    def note(self, told: list[MeshEvent]) -> list[str]:
        """Check that what is told is a change, and keep it."""
        for event in told:
            if event.kind is None:
                continue
            place = (event.kind, event.place)
            assert (event.change == "added") == (place not in self.state)
            if event.change == "withdrawn":
                del self.state[place]
            else:
                assert self.state.get(place) != event.data
                self.state[place] = event.data
        return [f"{event.change} {event.place}".strip() for event in told]


def joined() -> tuple[ExporterModel, Subscriber]:
    """Return a cluster with two Services, and a subscriber that was told of them."""
    east, subscriber = ExporterModel(), Subscriber()
    east.export(WEB, CART)
    east.export(WEB, TILL)
    east.lease()
    told = subscriber.replay(east.stream.values())
    assert told == ["added shop/cart", "added shop/till", "added east", "synced"]
    return east, subscriber


def test_each_change_is_told_once() -> None:
    """Also when the same state is published again; a lease that is renewed is no change."""
    east, subscriber = joined()
    changed = east.export(but(WEB, ready=False), CART)

    assert subscriber.hear(changed) == ["modified shop/cart"]
    assert subscriber.hear(changed, east.lease(), east.lease()) == []
    assert subscriber.hear(east.lease(announced=but(CLUSTER, version="2"))) == ["modified east"]


def test_a_withdrawal_of_what_nobody_heard_of_is_not_told() -> None:
    """It stays in the stream for days, for those who missed it."""
    east, subscriber = joined()

    assert subscriber.hear(east.withdraw(CART)) == ["withdrawn shop/cart"]
    assert subscriber.hear(east.withdraw(CART), east.withdraw(ServiceKey("a", "b"))) == []


def test_what_changed_during_an_outage_is_told_after_it() -> None:
    """A replay tells the differences, and nothing of what is as it was."""
    east, subscriber = joined()
    east.export(but(WEB, ready=False), CART)
    east.withdraw(TILL)
    east.export(WEB, ServiceKey("shop", "desk"))
    east.lease()

    told = subscriber.replay(east.stream.values())
    assert told == ["modified shop/cart", "withdrawn shop/till", "added shop/desk", "synced"]


def test_what_vanished_is_withdrawn_once_a_digest_proves_it() -> None:
    """A withdrawal may have come and gone; but an empty stream is no proof of anything."""
    east, subscriber = joined()
    gone = east.withdraw(CART).subject
    del east.stream[gone]

    east.lease(digests=False)
    assert subscriber.replay(east.stream.values()) == ["synced"]
    assert subscriber.hear(east.lease()) == ["withdrawn shop/cart"]


def test_a_lost_stream_withdraws_nothing() -> None:
    """The watcher fills it again, and says when it is whole."""
    east, subscriber = joined()

    assert subscriber.replay([]) == ["synced"]
    assert subscriber.replay(east.stream.values()) == ["synced"]


def test_agents_statements_need_no_digest() -> None:
    """The watcher does not count what agents publish: a stream without them has none."""
    east, subscriber = joined()
    where = Subject(cluster=EAST, kind=Kind.LINK, name="n1")
    assert subscriber.hear(east.publish(where, LinkStated())) == ["added n1"]
    del east.stream[where]

    assert subscriber.replay(east.stream.values()) == ["withdrawn n1", "synced"]
    assert subscriber.hear(east.publish(where, LinkWithdrawn())) == []


def test_a_cluster_that_leaves_takes_everything_along() -> None:
    """Nothing that it ever published holds any more, also where no withdrawal came."""
    east, subscriber = joined()
    *_, left = east.leave()

    assert subscriber.hear(left) == ["withdrawn shop/cart", "withdrawn shop/till", "withdrawn east"]
    assert subscriber.state == {}


def test_a_cluster_that_comes_back_is_read_again() -> None:
    """What it published meanwhile was passed over."""
    east, subscriber = joined()
    subscriber.hear(*east.leave())
    passed_over = Published(subject=east.service_subject(CART), message=WEB, epoch=1)
    east.stream[passed_over.subject] = passed_over
    assert subscriber.hear(passed_over) == []
    subscriber.hear(east.come_back())
    assert subscriber.view.doubtful

    subscriber.replay(east.stream.values())
    assert (Kind.SERVICE, "shop/cart") in subscriber.state


def test_an_earlier_incarnation_is_not_believed() -> None:
    """Two watchers for one cluster would undo each other's words."""
    east, subscriber = joined()
    stale = Published(
        subject=east.service_subject(CART), message=but(WEB, ready=False), epoch=east.epoch
    )
    east.epoch += 1
    subscriber.hear(east.export(but(WEB, endpoints="pods"), TILL))

    with pytest.raises(StaleEpoch):
        subscriber.hear(stale)


def test_a_message_of_a_newer_contract_withdraws_nothing() -> None:
    """It cannot be read; what it is about is there, as it was told last, and digests fit."""
    east, subscriber = joined()
    where = east.service_subject(CART)
    subscriber.view.begin_replay()
    with pytest.raises(MalformedMessage):
        list(subscriber.view.take(said(where, 1, b'{"type":"service.exported.v9"}', live=False)))

    assert subscriber.note(list(subscriber.view.end_replay())) == ["synced"]
    assert (Kind.SERVICE, "shop/cart") in subscriber.state


STEPS = st.lists(
    st.sampled_from(
        (
            *("export cart", "export till", "change cart", "withdraw cart", "withdraw till"),
            *("slice", "no slice", "lease", "away", "replay", "restart", "lose", "forget"),
        )
    ),
    max_size=25,
)


def take(step: str, east: ExporterModel) -> Published | None:  # noqa: C901 - a table of steps
    """Let one thing happen in the exporting cluster."""
    match step:
        case "export cart":
            return east.export(WEB, CART)
        case "export till":
            return east.export(PODS, TILL)
        case "change cart":
            return east.export(but(WEB, ready=False), CART)
        case "withdraw cart":
            return east.withdraw(CART)
        case "withdraw till":
            return east.withdraw(TILL)
        case "slice":
            return east.put_slice(pods("10.42.0.1"))
        case "no slice":
            return east.drop_slice()
        case "lease":
            return east.lease()
        case "restart":
            east.epoch += 1
        case "forget":  # withdrawals that are old
            east.stream = {s: p for s, p in east.stream.items() if not is_withdrawal(p.message)}
        case _:
            pass
    return None


@given(STEPS)
def test_whatever_happens_the_subscriber_ends_up_with_what_there_is(steps: list[str]) -> None:
    """Messages that were missed, replays, restarts: what was told adds up to the stream."""
    east, subscriber, away = ExporterModel(), Subscriber(), False
    subscriber.replay(())
    for step in steps:
        said = take(step, east)
        away = (away or step == "away") and step != "replay"
        if step == "replay":
            subscriber.replay(east.stream.values())
        elif said and not away:
            subscriber.hear(said)
    east.lease()
    subscriber.replay(east.stream.values())

    there = {
        (subject.kind, f"{subject.namespace}/{subject.name}"): published.message
        for subject, published in east.stream.items()
        if not is_withdrawal(published.message) and subject.kind is not Kind.CLUSTER
    }
    told = {place: data for place, data in subscriber.state.items() if place[0] != Kind.CLUSTER}
    assert told == there
