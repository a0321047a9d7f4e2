"""Equal sets of messages have equal digests, however they came to be."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.contract.digest import Digest, LiveSet, fingerprint

SUBJECTS = st.sampled_from([f"heliograph.v1.east.node.n{i}" for i in range(6)])
PAYLOADS = st.binary(max_size=3)
GOLDEN = ("9ca74e475851783499ab35cfca41035f", "0759bd37e11c248d2438fbc2303725ed")
CHANGES = st.lists(st.tuples(SUBJECTS, st.none() | PAYLOADS))


def live_set(messages: dict[str, bytes]) -> LiveSet[str]:
    made: LiveSet[str] = LiveSet()
    for subject, payload in messages.items():
        made.put(subject, fingerprint(subject, payload))
    return made


@given(st.dictionaries(SUBJECTS, PAYLOADS), st.randoms(use_true_random=False))
def test_the_order_does_not_matter(messages: dict[str, bytes], random: Random) -> None:
    """The same messages in any order add up to the same digest."""
    shuffled = list(messages.items())
    random.shuffle(shuffled)

    assert live_set(dict(shuffled)).digest() == live_set(messages).digest()


@given(CHANGES)
def test_changes_add_up_to_what_is_left(changes: list[tuple[str, bytes | None]]) -> None:
    """A digest kept up change by change is that of the final set, computed anew."""
    kept, left = LiveSet[str](), dict[str, bytes]()
    for subject, payload in changes:
        if payload is None:
            kept.drop(subject)
            left.pop(subject, None)
        else:
            kept.put(subject, fingerprint(subject, payload))
            left[subject] = payload

    assert kept.digest() == live_set(left).digest()
    assert sorted(kept.subjects()) == sorted(left)
    assert len(kept) == len(left)


@given(st.lists(st.dictionaries(SUBJECTS, PAYLOADS), min_size=2, max_size=2))
def test_different_sets_differ(sets: list[dict[str, bytes]]) -> None:
    """Digests are equal when the sets are, and only then."""
    one, other = sets
    assert (live_set(one).digest() == live_set(other).digest()) == (one == other)


def test_nothing_has_a_digest_too() -> None:
    """An empty set is a fact, not the lack of one."""
    assert LiveSet().digest() == Digest(count=0, hash="0" * 32)


def test_a_live_set_knows_its_messages() -> None:
    """What was put is there, with its fingerprint, until it is dropped."""
    live = live_set({"a": b"1"})
    assert "a" in live
    assert live.get("a") == fingerprint("a", b"1")

    live.drop("a")
    assert "a" not in live
    assert live.get("a") is None


@pytest.mark.parametrize("length", [1, 64, 65, 400])
def test_a_payload_counts_with_its_whole_subject(length: int) -> None:
    """The same bytes on two subjects are two messages, also where subjects differ late."""
    subject = "x" * length
    assert fingerprint(subject + "a", b"1") != fingerprint(subject + "b", b"1")
    assert fingerprint(subject, b"1") != fingerprint(subject, b"2")


def test_fingerprints_stay_what_they_are() -> None:
    """Two versions of Heliograph compare digests: the algorithm is part of the contract."""
    assert f"{fingerprint('heliograph.v1.east.node.n1', b'{}'):032x}" == GOLDEN[0]
    assert f"{fingerprint('x' * 65, b'{}'):032x}" == GOLDEN[1]
