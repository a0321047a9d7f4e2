"""What is wrong in a ClusterSet: each by its name, the worst first, each with what to do."""

from __future__ import annotations

from typing import Any

import pytest

from heliograph.contract.messages import (
    ClusterAnnounced,
    Link,
    LinkStated,
    RefusalStated,
    ServiceExported,
)
from heliograph.contract.names import ClusterId
from heliograph.contract.programs import Gauge, ProgramStatus
from heliograph.contract.subjects import Kind
from heliograph.mesh.event import MeshEvent
from heliograph.overview.facts import MeshFacts, fold
from heliograph.overview.judge import judge
from heliograph.overview.rows import rows
from tests.support.builders import CREATED
from tests.support.peers import node

EAST = ClusterId("east")
NOW_NS = 1_800_000_000_000_000_000
LEASE = ClusterAnnounced(version="1", lease_s=10.0)
CART = ServiceExported(ready=True, exported_at=CREATED)


def event(kind: Kind, name: str, data: Any, *, age_s: float = 1.0, **fields: Any) -> MeshEvent:  # noqa: ANN401 - messages
    """Return that there is something in east."""
    stored_at_ns = NOW_NS - int(age_s * 1e9)
    return MeshEvent(
        change="added",
        cluster=EAST,
        kind=kind,
        name=name,
        data=data,
        stored_at_ns=stored_at_ns,
        **fields,
    )


def program(name: str, *gauges: Gauge, **fields: Any) -> ProgramStatus:  # noqa: ANN401 - of ProgramStatus
    """Return a program of east that is well."""
    usual = {"cluster": EAST, "version": "1", "ready": True}
    return ProgramStatus(program=name, gauges=gauges, **(usual | fields))


def gauge(name: str, value: float = 1.0, **labels: str) -> Gauge:
    return Gauge(name=f"heliograph_{name}", labels=labels, value=value)


def refusal(name: str, reason: str = "ForeignObject", kind: str = "service") -> MeshEvent:
    """Return that east does not take something of west."""
    said = RefusalStated(
        exporting="west",
        kind=kind,
        namespace="shop" if kind == "service" else "",
        name=name,
        reason=reason,
        message=f"east does not take {name} of west; rename it.",
    )
    return event(Kind.REFUSAL, name, said, namespace="shop")


WATCHER, REFLECTOR = program("watcher"), program("reflector")
WELL = (event(Kind.CLUSTER, "east", LEASE), event(Kind.SERVICE, "cart", CART))


def mesh(
    *events: MeshEvent, programs: tuple[ProgramStatus, ...] = (WATCHER, REFLECTOR)
) -> MeshFacts:
    return MeshFacts(clusters=fold(events, now_ns=NOW_NS), programs=programs)


def found(facts: MeshFacts) -> list[tuple[str, str, str]]:
    return [(one.severity, one.cluster, one.reason) for one in judge(facts)]


def test_where_all_is_well_nothing_is_found() -> None:
    """And a row says what there is."""
    facts = mesh(*WELL)
    assert judge(facts) == ()
    (row,) = rows(facts)
    assert (row.cluster, row.lease_age_s, row.exports, row.exports_ready) == ("east", 1.0, 1, 1)
    assert [one.program for one in row.programs] == ["reflector", "watcher"]
    assert (row.mirrors, row.lag) == (None, None)


def test_a_row_counts_mirrors_and_what_is_not_read_yet() -> None:
    """The program that is most behind counts."""
    tables = gauge("table_entries", 7, table="mirrors", exporting="")
    behind = (gauge("import_pending_messages", n, exporting=c) for n, c in ((2, "a"), (5, "b")))
    (row,) = rows(mesh(*WELL, programs=(WATCHER, program("reflector", tables, *behind))))
    assert (row.mirrors, row.lag) == (7, 5)


SILENT = LinkStated(links=(Link(exporting="west", answering=1, silent=("w1",)),))
WRONG = {
    "a lease that is out": (
        (event(Kind.CLUSTER, "east", LEASE, age_s=34), "LeaseOut", "renewed 34 s ago"),
        (),
    ),
    "a lease of which nothing is left": (
        (event(Kind.SERVICE, "cart", CART), "LeaseOut", "has nothing of it"),
        (),
    ),
    "a stream that cannot be read": (
        (
            MeshEvent(change="interrupted", cluster=EAST, reason="it does not exist"),
            "StreamUnread",
            "it does not exist",
        ),
        (),
    ),
    "a node that is silent": (
        (event(Kind.NODE, "n1", node(1, ready=False)), "NodeNotReady", "1 node not ready"),
        WELL,
    ),
    "a tunnel that is silent": (
        (event(Kind.LINK, "n1", SILENT), "TunnelSilent", "no answer from 1 node of west: w1"),
        WELL,
    ),
    "a Service that is not taken": ((refusal("cart"), "ForeignObject", "rename it"), WELL),
    "a cluster that is not taken": (
        (refusal("west", "RangeOverlap", "cluster"), "RangeOverlap", "rename it"),
        WELL,
    ),
}


@pytest.mark.parametrize(("wrong", "beside"), WRONG.values(), ids=WRONG)
def test_what_messages_say_is_wrong_has_its_name(
    wrong: tuple[MeshEvent, str, str], beside: tuple[MeshEvent, ...]
) -> None:
    """One finding, with its reason, in words, and what to do."""
    told, reason, words = wrong
    (finding,) = judge(mesh(told, *beside))
    assert (finding.cluster, finding.reason) == ("east", reason)
    assert words in finding.what
    assert finding.remedy or "rename it" in finding.what


GAUGES = {
    "RemovalsHeld": gauge("held_removals", 12, exporting="west"),
    "ClusterSilent": gauge("silent_clusters", exporting="west"),
    "Retrying": gauge("retries", 3),
}


@pytest.mark.parametrize(("reason", "told"), GAUGES.items(), ids=GAUGES)
def test_what_a_program_measures_is_told(reason: str, told: Gauge) -> None:
    """Nought of it is no finding."""
    nought = Gauge(name=told.name, labels=told.labels, value=0)
    assert found(mesh(*WELL, programs=(WATCHER, program("reflector", nought)))) == []
    ((_, _, seen),) = found(mesh(*WELL, programs=(WATCHER, program("reflector", told))))
    assert seen == reason


def test_a_program_that_is_not_ready_says_why() -> None:
    """In the words of its /readyz."""
    failing = program("reflector", ready=False, failing=("bus: there is no connection",))
    (finding,) = judge(mesh(*WELL, programs=(WATCHER, failing)))
    assert finding.reason == "NotReady"
    assert finding.what == "its reflector is not ready: bus: there is no connection"


def test_programs_that_do_not_answer_are_named() -> None:
    """All of them, or those that should be there by what the others say."""
    (none,) = judge(mesh(*WELL, programs=()))
    assert (none.reason, none.severity) == ("NoAnswer", "warning")
    assert "none of its programs answers" in none.what
    (one,) = judge(mesh(*WELL, programs=(WATCHER,)))
    assert one.what == "its reflector does not answer, other programs do"


def test_refusals_of_one_reason_are_told_together() -> None:
    """With the first names, and where all sentences are."""
    refused = [refusal(f"s{number}") for number in range(5)]
    (finding,) = judge(mesh(*WELL, *refused))
    assert finding.what == "5 services of west not taken: shop/s0, shop/s1, shop/s2 and 2 more"
    assert "heliograph events --kind refusal" in finding.remedy


def test_the_worst_comes_first() -> None:
    """Problems before warnings."""
    facts = mesh(
        event(Kind.CLUSTER, "east", LEASE, age_s=60),
        event(Kind.NODE, "n1", node(1, ready=False)),
    )
    assert [severity for severity, *_ in found(facts)] == ["problem", "warning"]


def test_versions_that_differ_are_told() -> None:
    """Of which clusters, so that one knows what to upgrade."""
    (finding,) = judge(mesh(*WELL, programs=(WATCHER, program("reflector", version="2"))))
    assert finding.what == "programs are of different versions: 1 in east; 2 in east"
