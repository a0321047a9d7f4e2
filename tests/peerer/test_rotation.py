"""How a node changes its key: every step, every failure, and a crash between any two effects."""

from __future__ import annotations

from typing import Any

import pytest

from services.peerer.wireguard.rotation import (
    HELD_S,
    SETTLE_S,
    TRY_S,
    Action,
    Asked,
    PeerSeen,
    Rotation,
    Seen,
    Stage,
    fail,
    parse_asked,
    parse_report,
    report_of,
    step,
)
from tests.support.peers import but

ASKED = Asked(text="now", within_s=60.0)
W1 = PeerSeen(name="west/w1", answering=True, handshake_s=100.0)
W2 = PeerSeen(name="west/w2", answering=True, handshake_s=200.0)
CALLED_W1, CALLED_W2 = but(W1, handshake_s=101.0), but(W2, handshake_s=201.0)
PREPARING = Rotation(stage=Stage.PREPARING, asked="now", since_s=0.0)
TRYING = Rotation(
    stage=Stage.TRYING, asked="now", since_s=0.0, before={"west/w1": 100.0, "west/w2": 200.0}
)


def seen(*peers: PeerSeen, **fields: Any) -> Seen:  # noqa: ANN401 - fields of Seen
    """Return what stands once the next key is announced."""
    usual = {"own": "east/e1", "present": "old", "following": "new", "announced": "new"}
    return Seen(**{**usual, "asked": ASKED, "peers": peers, **fields})


def ready(peer: PeerSeen) -> PeerSeen:
    """Return the node prepared."""
    return but(peer, prepared=True)


def test_nobody_asks_and_nothing_happens() -> None:
    """Without a request, and without a trace of an earlier one, there is nothing to do."""
    assert step(Rotation(), seen(asked=None, following=None, announced=None), 5.0) == (
        Rotation(),
        None,
    )


def test_a_request_begins_with_a_key() -> None:
    """It is made first, and then announced."""
    rotation, action = step(Rotation(), seen(following=None, announced=None), 5.0)
    assert (rotation.stage, rotation.asked, rotation.since_s) == (Stage.PREPARING, "now", 5.0)
    assert action is Action.MAKE


@pytest.mark.parametrize(
    ("peers", "fields"),
    [
        ((W1, ready(W2)), {}),
        ((but(W1, answering=False), ready(W2)), {}),
        ((ready(W1), ready(W2)), {"certain": False}),
        ((ready(W1), ready(W2)), {"announced": None}),
        ((but(ready(W1), name="east-0/w1", changing=True),), {}),
    ],
    ids=["not prepared", "not known whether it answers", "not all known", "not announced", "first"],
)
def test_it_waits_before_the_key_is_in_use(peers: tuple[PeerSeen, ...], fields: Any) -> None:  # noqa: ANN401
    """For everybody who would be cut off, and for a node with a smaller name that changes too."""
    rotation, action = step(PREPARING, seen(*peers, **fields), 59.0)
    assert (rotation.stage, action) == (Stage.PREPARING, None)


@pytest.mark.parametrize(
    ("peers", "before"),
    [
        ((ready(W1), ready(W2)), {"west/w1": 100.0, "west/w2": 200.0}),
        ((ready(W1), but(W2, answering=False, silent=True)), {"west/w1": 100.0}),
        ((but(ready(W1), changing=True),), {"west/w1": 100.0}),
        ((), {}),
    ],
    ids=["all prepared", "one is silent", "one with a greater name changes too", "nobody"],
)
def test_the_key_is_in_use_once_nobody_is_cut_off(
    peers: tuple[PeerSeen, ...], before: dict[str, float]
) -> None:
    """What was heard of everybody before is kept, to know who calls anew."""
    rotation, action = step(PREPARING, seen(*peers), 7.0)
    assert action is Action.SWITCH
    assert (rotation.stage, rotation.before, rotation.since_s) == (Stage.TRYING, before, 7.0)


@pytest.mark.parametrize(
    ("peers", "fields", "why"),
    [
        ((W1, ready(W2)), {}, "node west/w1 did not prepare for the next one within 60 s."),
        ((W1, W2), {}, "nodes west/w1, west/w2 did not prepare"),
        ((ready(W1),), {"certain": False}, "the nodes of the other clusters were not all known"),
        ((ready(W1),), {"announced": None}, "its Node does not announce the next key within 60 s"),
    ],
)
def test_time_is_up_and_the_present_key_stays(
    peers: tuple[PeerSeen, ...],
    fields: Any,  # noqa: ANN401
    why: str,
) -> None:
    """Whoever did not prepare is named; the device never had the next key."""
    rotation, action = step(PREPARING, seen(*peers, **fields), 60.0)
    assert (rotation.stage, action) == (Stage.FAILED, None)
    assert rotation.said.startswith("node east/e1 keeps its key: ")
    assert why in rotation.said


def test_many_names_are_counted() -> None:
    """A sentence stays one."""
    many = (but(W1, name=f"west/w{number}") for number in range(10, 20))
    rotation, _ = step(PREPARING, seen(*many), 60.0)
    assert "west/w10, west/w11, west/w12, west/w13, west/w14 and 5 more did not" in rotation.said


def test_who_goes_first_has_its_time() -> None:
    """Two that wait for one another have one of them go first, and not for ever."""
    first = but(ready(W1), name="east-0/w1", changing=True)
    waiting, _ = step(PREPARING, seen(first), 60.0 + HELD_S - 1)
    assert (waiting.stage, waiting.said) == (
        Stage.PREPARING,
        "node east/e1 waits until node east-0/w1 changed keys",
    )
    failed, _ = step(PREPARING, seen(first), 60.0 + HELD_S)
    assert (failed.stage, "did not finish changing keys first" in failed.said) == (
        Stage.FAILED,
        True,
    )


def test_a_request_can_be_taken_back() -> None:
    """As long as the key is not in use."""
    rotation, action = step(PREPARING, seen(W1, asked=None), 5.0)
    assert (rotation.stage, action) == (Stage.FAILED, None)
    assert "taken back" in rotation.said


def test_the_last_to_ask_is_told() -> None:
    """Another request meanwhile is answered by the same change."""
    rotation, _ = step(PREPARING, seen(W1, asked=Asked(text="again")), 5.0)
    assert rotation.asked == "again"


def test_all_answer_and_the_key_is_kept() -> None:
    """After a while in which the others' ranges follow."""
    waiting, action = step(TRYING, seen(CALLED_W1, W2, switched=True), 1.0)
    assert (waiting.answered_s, action) == (None, None)
    settling, action = step(waiting, seen(CALLED_W1, CALLED_W2, switched=True), 2.0)
    assert (settling.answered_s, action) == (2.0, None)
    done, action = step(settling, seen(CALLED_W1, CALLED_W2, switched=True), 2.0 + SETTLE_S)
    assert (done.stage, done.said, action) == (
        Stage.DONE,
        "node east/e1 has a new key",
        Action.COMMIT,
    )


def test_who_was_withdrawn_is_not_waited_for() -> None:
    """A node that left meanwhile never calls."""
    settling, _ = step(TRYING, seen(CALLED_W1, switched=True), 2.0)
    assert settling.answered_s == 2.0


def test_some_answer_and_the_key_is_kept() -> None:
    """The others prepared, so they follow when they are back; they are named."""
    done, action = step(TRYING, seen(CALLED_W1, W2, switched=True), TRY_S)
    assert (done.stage, action) == (Stage.DONE, Action.COMMIT)
    assert "node west/w2 did not answer it yet" in done.said


def test_nobody_answers_and_the_present_key_is_back() -> None:
    """Something is wrong with the key itself, or with the network."""
    trying, action = step(TRYING, seen(W1, W2, switched=True), TRY_S - 1)
    assert (trying.stage, action) == (Stage.TRYING, None)
    failed, action = step(TRYING, seen(W1, W2, switched=True), TRY_S)
    assert (failed.stage, action) == (Stage.FAILED, Action.RETURN)
    assert "nobody answered the next one within 20 s, of 2 nodes" in failed.said


@pytest.mark.parametrize(("stage", "action"), [(Stage.DONE, None), (Stage.FAILED, Action.DISCARD)])
def test_it_is_over_when_the_node_says_so(stage: Stage, action: Action | None) -> None:
    """Until then the end has to be said; a next key that is not announced any more is deleted."""
    ended = Rotation(stage=stage, asked="now", said="")
    for still in ({"asked": None}, {"announced": None}):
        assert step(ended, seen(**still), 5.0) == (ended, None)
    for over in (None, Asked(text="asked since then")):
        assert step(ended, seen(asked=over, announced=None), 5.0) == (Rotation(), action)


@pytest.mark.parametrize(
    ("fields", "stage", "action"),
    [
        ({"asked": None, "announced": None}, Stage.IDLE, Action.DISCARD),
        ({}, Stage.PREPARING, None),
        ({"switched": True}, Stage.TRYING, None),
        ({"switched": True, "asked": None}, Stage.TRYING, None),
        ({"following": None, "announced": "old"}, Stage.DONE, None),
        ({"following": None}, Stage.PREPARING, Action.MAKE),
    ],
    ids=[
        "withdrawn, not deleted",
        "prepared",
        "switched",
        "switched, and taken back",
        "kept, not announced",
        "announced, and the file is lost",
    ],
)
def test_an_agent_that_begins_sees_where_it_was(
    fields: Any,  # noqa: ANN401
    stage: Stage,
    action: Action | None,
) -> None:
    """From the file, the device and the Node."""
    rotation, found = step(Rotation(), seen(**fields), 5.0)
    assert (rotation.stage, found) == (stage, action)


@pytest.mark.parametrize(
    ("peers", "fields", "stage"),
    [
        ((W1, W2), {"certain": False}, Stage.TRYING),
        ((W1, but(W2, answering=False)), {}, Stage.TRYING),
        ((W1, but(W2, answering=False, silent=True)), {}, Stage.DONE),
        ((), {}, Stage.DONE),
        ((but(W1, answering=False, silent=True),), {}, Stage.FAILED),
    ],
    ids=["not all known", "one is untried", "one is silent", "nobody there", "nobody answers"],
)
def test_an_agent_that_begins_while_trying_asks_who_answers(
    peers: tuple[PeerSeen, ...],
    fields: Any,  # noqa: ANN401
    stage: Stage,
) -> None:
    """What was heard before it does not know, so whoever answers now has answered."""
    rotation, _ = step(Rotation(), seen(switched=True, certain=False), 0.0)
    for now_s in (1.0, 1.0 + SETTLE_S, TRY_S - 0.5, TRY_S):
        if rotation.stage is Stage.TRYING:
            rotation, _ = step(rotation, seen(*peers, switched=True, **fields), now_s)
        if now_s < TRY_S and stage is not Stage.DONE:
            assert rotation.stage is Stage.TRYING
    expected = Stage.FAILED if fields or (W1 in peers and stage is Stage.TRYING) else stage
    answered = any(peer.answering for peer in peers)
    assert rotation.stage is (Stage.DONE if answered else expected)


def test_a_fault_ends_it() -> None:
    """A file that cannot be written: the device goes back if it has the next key already."""
    assert fail(TRYING, "the disk is full", seen(switched=True)) == (
        Rotation(
            stage=Stage.FAILED, asked="now", said="node east/e1 keeps its key: the disk is full"
        ),
        Action.RETURN,
    )
    assert fail(PREPARING, "the disk is full", seen())[1] is None


@pytest.mark.parametrize(
    ("text", "within_s"),
    [("", 60.0), ("please", 60.0), ("2026-11-27T12:00:00Z within=90s", 90.0), ("within=s", 60.0)],
)
def test_any_text_is_a_request(text: str, within_s: float) -> None:
    """People annotate by hand; one that says how long is heeded."""
    assert parse_asked(text) == Asked(text=text, within_s=within_s)


def test_the_node_says_how_it_goes() -> None:
    """In JSON, read back by the command; what somebody else wrote there is no report."""
    rotation = but(PREPARING, said="a sentence")
    report = parse_report(report_of(rotation) or "")
    assert report is not None
    assert (report.asked, report.stage, report.said) == ("now", Stage.PREPARING, "a sentence")
    assert report_of(Rotation()) is None
    assert parse_report("something") is None


class World:
    """A node with its files, its device and its Node, and others that follow at once.

    An effect is one change of a file, of the device, or of the Node.
    """

    def __init__(self, *, answers: bool, prepares: bool) -> None:
        self.answers, self.prepares = answers, prepares
        self.asked: str | None = "now"
        self.announced: tuple[str, str | None] = ("old", None)
        self.present, self.following, self.device = "old", None, "old"  # type: str, str | None, str
        self.made, self.now_s, self.effects, self.switched_s = 0, 0.0, 0, 0.0
        self.rotation, self.switched = Rotation(), False
        self.pending: Action | None = None

    def crash(self) -> None:
        """Forget what only the process knew; the device is opened as an agent does."""
        self.rotation, self.pending, self.switched_s = Rotation(), None, self.now_s
        self.switched = self.following is not None and self.device == self.following
        self.device = self.following if self.switched and self.following else self.present

    def see(self) -> Seen:
        """Return what stands."""
        answering = self.device == "old" or (self.answers and self.device in self.announced)
        peer = PeerSeen(
            name="west/w1",
            answering=answering,
            silent=not answering and self.now_s - self.switched_s > 13,
            prepared=self.prepares and self.announced[1] is not None,
            handshake_s=2.0 if answering and self.switched else 1.0,
        )
        return Seen(
            own="east/e1",
            asked=None if self.asked is None else Asked(text=self.asked),
            announced=self.announced[1],
            present=self.present,
            following=self.following,
            switched=self.switched,
            peers=(peer,),
        )

    def advance(self) -> None:
        """Make one step, and at most one effect: what is to be done, else what is to be said."""
        self.now_s += 0.5
        if self.pending is None:
            self.rotation, self.pending = step(self.rotation, self.see(), self.now_s)
        if self.pending is not None:
            self.do(self.pending)
            self.pending = None
        else:
            self.say()

    def do(self, action: Action) -> None:
        """Do what a step asks for."""
        self.effects += 1
        match action:
            case Action.MAKE:
                self.made += 1
                self.following = f"new{self.made}"
            case Action.SWITCH:
                assert self.following is not None
                self.device, self.switched = self.following, True
                self.switched_s = self.now_s
            case Action.RETURN:
                self.device, self.switched = self.present, False
            case Action.COMMIT:
                assert self.following is not None
                self.present, self.following, self.switched = self.following, None, False
            case Action.DISCARD:
                self.following, self.switched = None, False

    def say(self) -> None:
        """Let the Node say what it is to say."""
        ended = self.rotation.stage in {Stage.DONE, Stage.FAILED}
        over = ended or self.rotation.stage is Stage.IDLE
        wanted = (self.present, None if over else self.following)
        if wanted != self.announced or (ended and self.asked):
            self.effects += 1
            self.announced, self.asked = wanted, None if ended else self.asked

    def run(self, crash_after: int | None) -> None:
        """Run until nothing happens any more; crash once, after so many effects."""
        for _ in range(400):
            self.advance()
            if crash_after is not None and self.effects >= crash_after:
                self.crash()
                crash_after = None


@pytest.mark.parametrize("crash_after", [None, *range(1, 10)])
@pytest.mark.parametrize(
    ("answers", "prepares", "changes"),
    [(True, True, True), (True, False, False), (False, True, False)],
    ids=["it goes well", "somebody does not prepare", "nobody answers"],
)
def test_a_crash_after_any_effect_leaves_one_key(
    crash_after: int | None,
    answers: bool,  # noqa: FBT001
    prepares: bool,  # noqa: FBT001
    changes: bool,  # noqa: FBT001
) -> None:
    """In the end file, device and Node agree, nothing of another key is left, nobody asks."""
    world = World(answers=answers, prepares=prepares)
    world.run(crash_after)

    assert world.rotation == Rotation()
    assert world.asked is None
    assert world.following is None
    assert world.announced == (world.present, None)
    assert world.device == world.present
    assert (world.present != "old") is changes
