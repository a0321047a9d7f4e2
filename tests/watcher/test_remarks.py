"""What importing clusters refuse is seen in the exporting one, and cannot flood it."""

from __future__ import annotations

from heliograph.contract.feedback import Feedback
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject
from heliograph.kube.objects import KubeObject, Resource
from services.watcher.remarks import Remarks

WEST, EAST = ClusterId("west"), ClusterId("east")
CART = Subject(cluster=EAST, kind=Kind.SERVICE, namespace="shop", name="cart")
N1 = Subject(cluster=EAST, kind=Kind.NODE, name="n1")
ITSELF = Subject(cluster=EAST, kind=Kind.CLUSTER, name="east")
HOUR_S = 3600.0


class FakeRecorder:
    """Keeps what would become Events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str, str]] = []

    def record(
        self, resource: Resource[KubeObject], obj: KubeObject, event: str, why: tuple[str, str]
    ) -> None:
        """Take an Event."""
        del event
        where = f"{obj.metadata.namespace}/{obj.metadata.name}"
        self.events.append((resource.kind, where, *why))

    def forget(self, namespace: str, name: str) -> None:
        """Take that the same may be told again."""


def remarks() -> tuple[Remarks, list[tuple[str, str, str, str]]]:
    """Return remarks, and the Events that they become."""
    recorder = FakeRecorder()
    return Remarks(recorder, "heliograph"), recorder.events  # type: ignore[arg-type]


def refused(message: str = "why", reason: str = "RangeOverlap") -> Feedback:
    """Return the feedback of a refusal."""
    return Feedback(event_id="", outcome="refused", seconds=0, reason=reason, message=message)


def test_an_event_is_about_what_is_refused() -> None:
    """A Service, a node, or the namespace of the programs where it is the whole cluster."""
    taken, events = remarks()
    for about in (CART, N1, ITSELF):
        taken.take(WEST, about, refused(), now_s=1000)
    assert [(kind, where) for kind, where, *_ in events] == [
        ("Service", "shop/cart"),
        ("Node", "/n1"),
        ("Namespace", "/heliograph"),
    ]


def test_the_same_is_told_again_after_an_hour() -> None:
    """What stands is not repeated with every message; something new is told at once."""
    taken, events = remarks()
    for now_s in (1000.0, 1001.0, 1000 + HOUR_S):
        taken.take(WEST, CART, refused(), now_s=now_s)
    taken.take(WEST, CART, refused("another"), now_s=1001 + HOUR_S)
    assert [note for *_, note in events] == ["why", "why", "another"]


def test_a_flood_becomes_few_events() -> None:
    """At most thirty in a minute, whatever a cluster says; what was left out may come later."""
    taken, events = remarks()
    for number in range(500):
        taken.take(WEST, CART, refused(str(number)), now_s=1000)
    assert len(events) == 30
    taken.take(WEST, CART, refused("later"), now_s=1061)
    assert events[-1][-1] == "later"


def test_a_reason_is_one_word() -> None:
    """Kubernetes would refuse anything else, and labels of metrics are made of reasons."""
    taken, events = remarks()
    for reason in ("two words", "lower", "X" * 100, "Ünicode", "A\n"):
        taken.take(WEST, CART, refused(reason=reason), now_s=1000)
    assert events == []
