"""How a node changes its key, step by step, so that a crash at any moment harms nothing.

1. *Preparing*: the next key is made and kept beside the present one, and announced beside it. The
   agents of other clusters' nodes add it as a peer without ranges, and state that on their bus.
2. *Trying*: the device has the next key, and the node calls everybody. Elsewhere its ranges move
   to the next key with its first handshake.
3. *Done*: the next key's file takes the place of the present one's, in one step of the file system;
   the key is announced as the present one, without a next. Or *failed*: the device has the present
   key again, the next one is withdrawn, and then its file is deleted.

What an agent finds when it begins tells where it was: a file with a next key, whose key the device
has, what the Node asks for and announces. Pure: time is an argument.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Final

import msgspec

TRY_S: Final = 20.0
"""How long those that answered may take to answer the next key: four attempts of a handshake."""

SETTLE_S: Final = 2.0
"""How long others have to move ranges after the last handshake; they look ten times a second."""

_SHOWN: Final = 5
_WITHIN: Final = re.compile(r"\bwithin=([0-9]{1,4})s\b")
HELD_S: Final = 120.0
"""How much longer a node waits for others that change their own keys: one of two goes first."""


class Stage(enum.StrEnum):
    """Where a change of keys is."""

    IDLE = "idle"
    PREPARING = "preparing"
    TRYING = "trying"
    DONE = "done"
    FAILED = "failed"


class Action(enum.StrEnum):
    """What is to be done before the next step."""

    MAKE = "make the next key"
    SWITCH = "use the next key"
    RETURN = "use the present key again"
    COMMIT = "let the next key be the present one"
    DISCARD = "delete the next key"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What people asked for.

    Attributes:
        text: The annotation; any text is a request.
        within_s: How long others may take to prepare.
    """

    text: str
    within_s: float = 60.0


def parse_asked(text: str) -> Asked:
    """Return the request of an annotation: any text, in which "within=90s" says how long."""
    within = _WITHIN.search(text)
    return Asked(text=text, within_s=float(within[1])) if within else Asked(text=text)


class PeerSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A node of another cluster.

    Attributes:
        name: "CLUSTER/NODE".
        answering: Whether it answers.
        silent: Whether it was asked, and does not answer: nothing breaks for it.
        prepared: Whether it stated that it is prepared for the next key.
        changing: Whether it announces a next key of its own.
        handshake_s: Of the latest one, by any of its keys; 0 if there was none.
    """

    name: str
    answering: bool = False
    silent: bool = False
    prepared: bool = False
    changing: bool = False
    handshake_s: float = 0.0


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What stands.

    Attributes:
        own: "CLUSTER/NODE" of the node itself.
        asked: What its Node asks for; None if nothing.
        announced: The next key that its Node announces; None if none.
        present: The key that is kept as the present one.
        following: The key that is kept as the next one; None if there is none.
        switched: Whether the device has the next one.
        certain: Whether all other nodes are known.
        peers: These nodes.
    """

    own: str
    asked: Asked | None = None
    announced: str | None = None
    present: str
    following: str | None = None
    switched: bool = False
    certain: bool = True
    peers: tuple[PeerSeen, ...] = ()


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """Where it is.

    Attributes:
        stage: The stage.
        asked: The text of the request that it began with.
        since_s: When the stage began.
        before: While trying: the latest handshake with each node that answered before; None if an
            agent that was started anew does not know.
        answered_s: While trying: since when all have answered; None while they have not.
        said: One sentence for people: how it goes, or how it ended.
    """

    stage: Stage = Stage.IDLE
    asked: str = ""
    since_s: float = 0.0
    before: Mapping[str, float] | None = None
    answered_s: float | None = None
    said: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the Node says of it, as JSON in an annotation.

    Attributes:
        asked: The text of the request.
        stage: The stage.
        said: One sentence for people.
    """

    asked: str
    stage: Stage
    said: str


def report_of(rotation: Rotation) -> str | None:
    """Return what the Node is to say of it; None while there is nothing new to say."""
    if rotation.stage is Stage.IDLE:
        return None
    report = Report(asked=rotation.asked, stage=rotation.stage, said=rotation.said)
    return msgspec.json.encode(report).decode()


def parse_report(text: str) -> Report | None:
    """Return what a Node says of it; None if that cannot be read."""
    try:
        return msgspec.json.decode(text, type=Report)
    except msgspec.MsgspecError:
        return None


Step = tuple[Rotation, Action | None]


def step(rotation: Rotation, seen: Seen, now_s: float) -> Step:
    """Return where it is now, and what is to be done first; nothing of that may fail silently.

    Args:
        rotation: Where it was.
        seen: What stands.
        now_s: Of a clock that never goes back.
    """
    if seen.asked is not None and rotation.stage in {Stage.PREPARING, Stage.TRYING}:
        rotation = msgspec.structs.replace(rotation, asked=seen.asked.text)  # who asks last
    match rotation.stage:
        case Stage.IDLE:
            return _begin(seen, now_s)
        case Stage.PREPARING:
            return _prepare(rotation, seen, now_s)
        case Stage.TRYING:
            return _try(rotation, seen, now_s)
        case Stage.DONE:
            return (Rotation() if _is_said(rotation, seen) else rotation), None
        case Stage.FAILED:
            return (Rotation(), Action.DISCARD) if _is_said(rotation, seen) else (rotation, None)


def fail(rotation: Rotation, why: str, seen: Seen) -> Step:
    """Return the failure of a change: the present key stays, or is used again."""
    said = f"node {seen.own} keeps its key: {why}"
    failed = Rotation(stage=Stage.FAILED, asked=rotation.asked, said=said)
    return failed, Action.RETURN if seen.switched else None


def _is_said(rotation: Rotation, seen: Seen) -> bool:
    """Tell whether the Node neither asks for this any more nor announces a next key."""
    answered = seen.asked is None or seen.asked.text != rotation.asked
    return answered and seen.announced is None


def _begin(seen: Seen, now_s: float) -> Step:
    """Begin, or go on where an agent stopped."""
    text = seen.asked.text if seen.asked else ""
    if seen.following is None:
        if seen.asked is None:
            return Rotation(), None
        if seen.announced == seen.present:  # it stopped between the file and the announcement
            return _done(text, seen, ()), None
        said = f"node {seen.own} makes its next key and announces it"
        return Rotation(stage=Stage.PREPARING, asked=text, since_s=now_s, said=said), Action.MAKE
    if seen.switched:
        said = f"node {seen.own} uses its next key already, and goes on after a restart"
        return Rotation(stage=Stage.TRYING, asked=text, since_s=now_s, said=said), None
    if seen.asked is not None:
        said = f"node {seen.own} goes on after a restart: its next key is announced"
        return Rotation(stage=Stage.PREPARING, asked=text, since_s=now_s, said=said), None
    return Rotation(), Action.DISCARD


def _prepare(rotation: Rotation, seen: Seen, now_s: float) -> Step:
    if seen.asked is None:
        return fail(rotation, "the request was taken back before the key was in use", seen)
    concerned = [peer for peer in seen.peers if not peer.silent]
    missing = sorted(peer.name for peer in concerned if not peer.prepared)
    first = sorted(peer.name for peer in concerned if peer.changing and peer.name < seen.own)
    announced = seen.certain and seen.following is not None and seen.announced == seen.following
    if announced and not (missing or first):
        before = {peer.name: peer.handshake_s for peer in seen.peers if peer.answering}
        said = f"node {seen.own} uses its next key, and calls {_count(before, 'node')}"
        trying = Rotation(
            stage=Stage.TRYING, asked=rotation.asked, since_s=now_s, before=before, said=said
        )
        return trying, Action.SWITCH
    late_s = now_s - rotation.since_s - seen.asked.within_s
    if late_s >= (HELD_S if first and not missing else 0.0):
        return fail(rotation, _why_not_prepared(seen, missing, first), seen)
    waits = _waiting(seen, missing, first)
    return msgspec.structs.replace(rotation, said=waits or rotation.said), None


def _why_not_prepared(seen: Seen, missing: list[str], first: list[str]) -> str:
    within = f"within {seen.asked.within_s:g} s" if seen.asked else "in time"
    if not seen.certain:
        return f"the nodes of the other clusters were not all known {within}; see its agent's log"
    if seen.announced != seen.following:
        return f"its Node does not announce the next key {within}; see its agent's log"
    if missing:
        them = "its agent runs and reaches" if len(missing) == 1 else "their agents run and reach"
        return (
            f"{_names(missing)} did not prepare for the next one {within}. Look whether {them} the "
            f"bus, then ask again; the next key was withdrawn, and nothing was changed"
        )
    return f"{_names(first)} did not finish changing keys first; ask again later"


def _waiting(seen: Seen, missing: list[str], first: list[str]) -> str:
    if missing:
        return f"node {seen.own} waits until {_names(missing)} prepared for its next key"
    return f"node {seen.own} waits until {_names(first)} changed keys" if first else ""


def _try(rotation: Rotation, seen: Seen, now_s: float) -> Step:
    called = _called(rotation, seen)
    missing = sorted(name for name, answered in called.items() if not answered)
    someone = bool(called) or not seen.peers or rotation.before is not None
    if seen.certain and someone and not missing and rotation.answered_s is None:
        rotation = msgspec.structs.replace(rotation, answered_s=now_s)
    if rotation.answered_s is not None and now_s - rotation.answered_s >= SETTLE_S:
        return _done(rotation.asked, seen, ()), Action.COMMIT
    if now_s - rotation.since_s < TRY_S:
        return rotation, None
    if any(called.values()):
        return _done(rotation.asked, seen, missing), Action.COMMIT
    why = (
        f"nobody answered the next one within {TRY_S:g} s, of {_count(called, 'node')} that "
        f"answered before. The present key is in use again; look at the network, then ask again"
    )
    return fail(rotation, why, seen)


def _called(rotation: Rotation, seen: Seen) -> dict[str, bool]:
    """Return by node that has to answer whether it has."""
    before = rotation.before
    if before is None:
        return {peer.name: peer.answering for peer in seen.peers if not peer.silent}
    known = {peer.name: peer.handshake_s for peer in seen.peers}
    return {name: known[name] != at_s for name, at_s in before.items() if name in known}


def _done(asked: str, seen: Seen, missing: tuple[str, ...] | list[str]) -> Rotation:
    said = f"node {seen.own} has a new key"
    if missing:
        said += f"; {_names(missing)} did not answer it yet, and will follow what is announced"
    return Rotation(stage=Stage.DONE, asked=asked, said=said)


def _names(names: list[str] | tuple[str, ...]) -> str:
    shown = ", ".join(names[:_SHOWN])
    more = len(names) - _SHOWN
    return (
        f"node {shown}" if len(names) == 1 else f"nodes {shown}{f' and {more} more' * (more > 0)}"
    )


def _count(things: Mapping[str, object], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"
