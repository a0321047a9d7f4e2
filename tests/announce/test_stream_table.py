"""What must be published so that the stream holds what is wanted, whatever happens between."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.announce.table import StreamTable, SubjectsByThing
from heliograph.contract.digest import Digest, LiveSet, fingerprint
from heliograph.contract.subjects import Kind

NODE, SERVICE = "heliograph.v1.east.node.n1", "heliograph.v1.east.service.shop.cart"
SUBJECTS = (NODE, SERVICE, "heliograph.v1.east.node.n2", "heliograph.v1.east.service.shop.pay")
KINDS = (Kind.NODE, Kind.SERVICE)
VALUES = st.none() | st.sampled_from([b"a", b"b", b"c"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("want"), st.sampled_from(SUBJECTS), VALUES),
        st.tuples(st.just("launch"), st.sampled_from(SUBJECTS)),
        st.tuples(st.just("land"), st.sampled_from(SUBJECTS)),
        st.tuples(st.just("lose"), st.sets(st.sampled_from(SUBJECTS))),
        st.tuples(st.just("compare")),
    ),
    max_size=60,
)


class Bus:
    """An owner, its table, a publisher with one publication in flight per subject, a stream."""

    def __init__(self) -> None:
        self.table = StreamTable(KINDS)
        self.wanted: dict[str, bytes] = {}
        self.waiting: dict[str, bytes | None] = {}
        self.flying: dict[str, bytes | None] = {}
        self.stream: dict[str, bytes] = {}
        self.lacking: dict[str, bytes | None] = {}

    def offer(self, subject: str, value: bytes | None, *, backlog: bool) -> None:
        """Offer, and note what the stream lacks by a comparison until it has the last value."""
        lacks = self.stream.get(subject) != value if backlog else subject in self.lacking
        if lacks:
            self.lacking[subject] = value
        if self.table.offer(subject, value, backlog=backlog):
            self.waiting[subject] = value

    def want(self, subject: str, value: bytes | None) -> None:
        """Change what is wanted."""
        self.wanted.pop(subject, None)
        if value is not None:
            self.wanted[subject] = value
        self.offer(subject, value, backlog=False)

    def launch(self, subject: str) -> None:
        """Publish what waits."""
        if subject in self.waiting and subject not in self.flying:
            self.flying[subject] = self.waiting.pop(subject)

    def land(self, subject: str) -> None:
        """Store what was published, and say so."""
        if subject not in self.flying:
            return
        value = self.flying.pop(subject)
        self.stream.pop(subject, None)
        if value is not None:
            self.stream[subject] = value
        if self.lacking.get(subject, b"nothing lacks") == value:
            del self.lacking[subject]
        self.table.settle(subject, value)

    def lose(self, subjects: set[str]) -> None:
        """Lose messages, which nobody is told."""
        for subject in subjects:
            self.stream.pop(subject, None)

    def compare(self) -> None:
        """Read the stream with nothing in flight, then offer everything."""
        for subject in list(self.flying):
            self.land(subject)
        self.table.reset(self.stream)
        for subject, value in self.wanted.items():
            self.offer(subject, value, backlog=True)
        for subject in self.table.leftovers(self.wanted):
            self.offer(subject, None, backlog=True)

    def settle_all(self) -> None:
        """Let everything arrive."""
        while self.waiting or self.flying:
            for subject in [*self.waiting, *self.flying]:
                self.launch(subject)
                self.land(subject)

    def digests(self) -> dict[str, Digest]:
        """Return what the stream really adds up to."""
        held = {kind: LiveSet() for kind in KINDS}
        for subject, payload in self.stream.items():
            held[Kind(subject.split(".")[3])].put(subject, fingerprint(subject, payload))
        return {str(kind): live.digest() for kind, live in held.items()}


@settings(deadline=None)
@given(STEPS)
def test_the_stream_ends_as_wanted(steps: list[tuple[str, *tuple[object, ...]]]) -> None:
    """Changes, answers, losses and comparisons in any order end with the stream as wanted."""
    bus = Bus()
    for name, *arguments in steps:
        getattr(bus, name)(*arguments)
        assert bus.table.complete == (not bus.lacking)
    bus.compare()
    bus.settle_all()

    assert bus.stream == bus.wanted
    assert bus.table.complete
    assert bus.table.digests() == bus.digests()


@settings(deadline=None)
@given(STEPS)
def test_without_losses_no_comparison_is_needed(
    steps: list[tuple[str, *tuple[object, ...]]],
) -> None:
    """As long as the stream loses nothing, changes alone keep it as wanted."""
    bus = Bus()
    for name, *arguments in steps:
        if name != "lose":
            getattr(bus, name)(*arguments)
    bus.settle_all()

    assert bus.stream == bus.wanted
    assert bus.table.digests() == bus.digests()


def test_what_the_stream_holds_is_not_published_again() -> None:
    """After a reading, only differences are offered with success."""
    table = StreamTable(KINDS)
    table.reset({NODE: b"a"})

    assert not table.offer(NODE, b"a")
    assert table.offer(NODE, b"b")
    assert not table.offer(NODE, b"b")
    assert not table.offer(SERVICE, None)


def test_a_withdrawal_is_offered_once() -> None:
    """While a withdrawal is on its way, nothing more needs to be done."""
    table = StreamTable(KINDS)
    table.reset({NODE: b"a"})

    assert table.offer(NODE, None)
    assert not table.offer(NODE, None)


def test_the_digest_waits_for_the_backlog() -> None:
    """A newer change does not hide that the stream still lacks a thing."""
    table = StreamTable(KINDS)
    assert table.complete
    table.offer(NODE, b"a", backlog=True)
    table.offer(NODE, b"b")
    table.settle(NODE, b"a")
    assert not table.complete

    table.settle(NODE, b"b")
    assert table.complete


def test_a_change_on_its_way_is_missing_in_a_stream_that_lost_it() -> None:
    """The only message of a stream that lost everything is missing until it has landed."""
    table = StreamTable(KINDS)
    table.offer(NODE, b"b")
    table.reset({})
    assert not table.offer(NODE, b"b", backlog=True)
    assert not table.complete

    table.settle(NODE, b"b")
    assert table.complete


def test_changes_do_not_hold_the_digest_back() -> None:
    """A change just seen is not missing in a stream that was complete before it."""
    table = StreamTable(KINDS)
    table.offer(NODE, b"a")
    assert table.complete


def test_a_stray_acknowledgement_is_taken_at_its_word() -> None:
    """What the stream says that it stored is in it, whoever asked."""
    table = StreamTable(KINDS)
    table.settle(NODE, b"a")
    assert not table.offer(NODE, b"a")


def test_leftovers_are_what_nobody_wants() -> None:
    """All kinds are searched, and only for what is live."""
    table = StreamTable(KINDS)
    table.reset({NODE: b"a", SERVICE: b"b"})
    assert table.leftovers([NODE]) == (SERVICE,)
    assert set(table.leftovers([])) == {NODE, SERVICE}


REPLACED = {
    # case              before   after    lost
    "new":             ([],      [NODE],          set()),
    "same":            ([NODE],  [NODE],          set()),
    "one more":        ([NODE],  [NODE, SERVICE], set()),
    "another":         ([NODE],  [SERVICE],       {NODE}),
    "none any more":   ([NODE],  [],              {NODE}),
    "never any":       ([],      [],              set()),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "lost"), REPLACED.values(), ids=REPLACED)
def test_subjects_that_a_thing_lost(before: list[str], after: list[str], lost: set[str]) -> None:
    """Only what a thing had, and has no more, is to be withdrawn; things without are forgotten."""
    subjects = SubjectsByThing()
    subjects.replace("thing", before)

    assert subjects.replace("thing", after) == lost
    assert sorted(subjects.all()) == sorted(after)
    assert subjects.things() == (("thing",) if after else ())
