"""Messages are read whatever their age, and refused when they are none."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.contract.digest import Digest
from heliograph.contract.feedback import Feedback, Step, decode_feedback, encode_feedback
from heliograph.contract.messages import (
    WITHDRAWALS,
    AnyMessage,
    ClusterAnnounced,
    MalformedMessage,
    Message,
    NodeAnnounced,
    ServiceExported,
    ServicePort,
    ServiceWithdrawn,
    decode,
    encode,
    is_withdrawal,
    message_type,
)
from heliograph.contract.subjects import Kind
from tests.support.builders import KEY, subject
from tests.support.malformed import BAD_FEEDBACK, BAD_NODES, MALFORMED

EXAMPLES = {path.stem: path for path in (Path(__file__).parent / "examples").glob("*.json")}
MESSAGES = {name: path for name, path in EXAMPLES.items() if not name.startswith("feedback")}


def example(name: str) -> Message:
    kind = Kind(name.partition(".")[0])
    return decode(subject(kind, "x"), MESSAGES[name].read_bytes())


def holds(whole: Any, part: Any) -> bool:  # noqa: ANN401 - any JSON
    """Tell whether all that `part` says stands in `whole` too."""
    if isinstance(part, dict):
        return all(key in whole and holds(whole[key], value) for key, value in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(holds, whole, part))
    return bool(whole == part)


@pytest.mark.parametrize("name", sorted(set(MESSAGES) - {"service.exported.v1.from-the-future"}))
def test_stored_examples_decode_for_ever(name: str) -> None:
    """Every fact of a message that was once written is still understood."""
    message = example(name)

    assert message_type(message) == name
    assert holds(
        msgspec.json.decode(encode(message)), msgspec.json.decode(EXAMPLES[name].read_bytes())
    )


def test_every_type_has_an_example() -> None:
    """A new type of message comes with its example."""
    types = {message_type(kind) for kind in get_args(AnyMessage)}
    assert types <= set(EXAMPLES)


def test_a_message_from_the_future() -> None:
    """Fields that are unknown here, at any depth, are skipped."""
    assert example("service.exported.v1.from-the-future") == ServiceExported(
        ports=(ServicePort(name="http", port=80),),
        cluster_ips=("10.43.0.7",),
        ip_families=("IPv4",),
        ready=True,
        exported_at="2031-01-01T00:00:00.123456Z",
    )


@pytest.mark.parametrize("payload", MALFORMED.values(), ids=MALFORMED)
def test_malformed_messages_are_refused(payload: bytes) -> None:
    """Whatever the bytes are, the error is one that a loop can name and skip."""
    place = subject(Kind.SERVICE, "cart")
    with pytest.raises(MalformedMessage, match="cannot be read") as raised:
        decode(place, payload)
    assert raised.value.subject == place


@pytest.mark.parametrize("payload", BAD_NODES.values(), ids=BAD_NODES)
def test_a_node_breaks_no_rule(payload: bytes) -> None:
    """Keys are base64 of 32 bytes, keepalives have 16 bits."""
    with pytest.raises(MalformedMessage, match=r"\$\."):
        decode(subject(Kind.NODE, "n1"), payload + b"}")


@given(st.sampled_from(sorted(MESSAGES)), st.data())
def test_damaged_messages_are_refused_or_read(name: str, data: st.DataObject) -> None:
    """No damage to the bytes of a message makes reading it fail in any other way."""
    payload = bytearray(MESSAGES[name].read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(payload) - 1), max_size=8)):
        payload[at] = data.draw(st.integers(0, 255))
    with suppress(MalformedMessage):
        decode(subject(Kind(name.partition(".")[0]), "x"), bytes(payload))


def test_a_foreign_kind_under_a_subject() -> None:
    """A message is not taken for the thing that its subject names."""
    with pytest.raises(MalformedMessage, match="ServiceWithdrawn does not belong under node"):
        decode(subject(Kind.NODE, "n1"), encode(ServiceWithdrawn()))


def test_nothing_is_read_under_a_kind_to_come() -> None:
    """Kinds without messages in this version take none."""
    with pytest.raises(MalformedMessage, match="does not belong under link"):
        decode(subject(Kind.LINK, "n1"), encode(ServiceWithdrawn()))


@pytest.mark.parametrize("kind", WITHDRAWALS)
def test_withdrawals_are_known(kind: Kind) -> None:
    """The withdrawal of each kind belongs under it, and is one."""
    message = WITHDRAWALS[kind]
    assert is_withdrawal(decode(subject(kind, "x"), encode(message)))


@pytest.mark.parametrize("message", [ClusterAnnounced(), NodeAnnounced(public_key=KEY)])
def test_announcements_are_no_withdrawals(message: Message) -> None:
    """What offers something takes nothing back."""
    assert not is_withdrawal(message)


def test_equal_messages_have_equal_bytes() -> None:
    """Bytes are compared to tell whether anything changed."""
    digests = {"node": Digest(count=1, hash="00")}
    assert encode(ClusterAnnounced(digests=digests)) == encode(ClusterAnnounced(digests=digests))


def test_feedback_comes_back() -> None:
    """What an importer sends is what the exporter reads."""
    sent = Feedback(event_id="1-7", outcome="refused", seconds=0.5)
    assert decode_feedback(encode_feedback(sent)) == sent
    assert decode_feedback(EXAMPLES["feedback"].read_bytes()) == Feedback(
        event_id="1800000000000000-7", outcome="applied", seconds=0.012
    )


def test_feedback_with_steps_is_read_for_ever() -> None:
    """What later versions add to it is skipped."""
    assert decode_feedback(EXAMPLES["feedback.with-steps"].read_bytes()) == Feedback(
        event_id="1800000000000000-8",
        outcome="refused",
        seconds=0.0093,
        reason="ForeignService",
        message="Service shop/cart in cluster west is not ours.",
        steps=(
            Step(name="plan", begun_s=0.0004, ended_s=0.0006),
            Step(name="apply", begun_s=0.0007, ended_s=0.0091),
        ),
    )


@pytest.mark.parametrize("payload", BAD_FEEDBACK.values(), ids=BAD_FEEDBACK)
def test_bad_feedback_is_none(payload: bytes) -> None:
    """Feedback is a courtesy: what cannot be read is as if nobody had sent it."""
    assert decode_feedback(payload) is None
