"""Delivery facts of both forms, and the doubts they raise."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.bus.sequence import DeliveryFacts, MalformedAck, SequenceChecker, parse

NUMBER = st.integers(min_value=0, max_value=2**63 - 1)
TOKEN = st.text(alphabet="abcXYZ019_-", min_size=1, max_size=12)
FACTS = st.builds(DeliveryFacts, TOKEN, TOKEN, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER)


def tokens(facts: DeliveryFacts) -> str:
    return ".".join(str(getattr(facts, name)) for name in facts.__struct_fields__)


@given(FACTS)
def test_the_short_form_is_read(facts: DeliveryFacts) -> None:
    """Nine tokens: what servers of today send."""
    assert parse(f"$JS.ACK.{tokens(facts)}") == facts


@given(FACTS, TOKEN, TOKEN, st.lists(TOKEN, max_size=3))
def test_the_long_form_is_read(
    facts: DeliveryFacts, domain: str, account: str, further: list[str]
) -> None:
    """Eleven tokens and whatever may be appended: what servers will send one day."""
    reply = ".".join(["$JS.ACK", domain, account, tokens(facts), *further])
    assert parse(reply) == facts


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "_INBOX.abc.1",
        "$JS.ACK.S.c.1.2.3.4",
        "$JS.ACK.S.c.1.2.3.4.5.6",
        "$JS.ACK.S.c.1.2.x.4.5",
        "$JS.ACK.S.c.1.2..4.5",
        "$JS.NAK.S.c.1.2.3.4.5",
    ],
)
def test_anything_else_is_refused(reply: str) -> None:
    """Too few tokens, ten of them, no numbers, another prefix: no facts, and no crash."""
    with pytest.raises(MalformedAck):
        parse(reply)


@given(st.text())
def test_reading_never_fails_otherwise(reply: str) -> None:
    """Whatever arrives, it is read or refused."""
    with contextlib.suppress(MalformedAck):
        parse(reply)


def facts(consumer_sequence: int, stream_sequence: int) -> DeliveryFacts:
    return DeliveryFacts("S", "c", 1, stream_sequence, consumer_sequence, 0, 0)


@given(st.lists(st.integers(min_value=1, max_value=1000), unique=True).map(sorted))
def test_gaps_in_the_stream_are_normal(sequences: list[int]) -> None:
    """With one message per subject the stream's sequence only has to rise."""
    checker = SequenceChecker()
    assert [checker.doubt(facts(n, s)) for n, s in enumerate(sequences, 1)] == [None] * len(
        sequences
    )


@pytest.mark.parametrize(
    ("deliveries", "doubt"),
    [
        ([(2, 1)], "delivery 2 came where 1 was due"),
        ([(1, 1), (3, 3)], "delivery 3 came where 2 was due"),
        ([(1, 1), (1, 1)], "delivery 1 came where 2 was due"),
        ([(1, 5), (2, 5)], "stream sequence went back from 5 to 5"),
        ([(1, 5), (2, 4)], "stream sequence went back from 5 to 4"),
    ],
)
def test_doubts(deliveries: list[tuple[int, int]], doubt: str) -> None:
    """A gap, a repetition, and a stream that goes backwards are doubts."""
    checker = SequenceChecker()
    *good, bad = [checker.doubt(facts(*delivery)) for delivery in deliveries]
    assert good == [None] * len(good)
    assert bad == doubt
