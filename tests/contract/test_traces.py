"""Questions about a Service's changes, and their answers, on the bus."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from heliograph.contract.feedback import Step
from heliograph.contract.traces import (
    Answer,
    Change,
    MalformedTrace,
    TraceAsked,
    TraceTold,
    decode_asked,
    decode_told,
    encode_trace,
    in_parts,
    traces_subject,
)
from tests.support.builders import EAST

TOLD = TraceTold(cluster=EAST, exported=True, since="2026-11-27T10:00:00.000000Z")
ANSWER = Answer(
    importing="west",
    outcome="applied",
    heard_s=0.02,
    seconds=0.01,
    steps=(Step(name="plan", begun_s=0.001, ended_s=0.002),),
)
CHANGE = Change(
    event_id="1-1",
    type="service.exported.v1",
    name="cart",
    seen_at="2026-11-27T10:00:00.000000Z",
    sent_s=0.001,
    answers=(ANSWER,),
)
FUTURE = (
    b'{"cluster":"east","exported":true,"since":"","more":1,"changes":[{"event_id":"1-1","type":"x",'
    b'"name":"cart","seen_at":"","sent_s":1,"more":1,"answers":[{"importing":"west","outcome":"new",'
    b'"heard_s":1,"seconds":1,"more":1}]}]}'
)


def test_what_is_said_is_heard() -> None:
    """Question and answer come back as they were."""
    asked = TraceAsked(namespace="shop", name="cart")
    assert decode_asked(encode_trace(asked)) == asked
    told = msgspec.structs.replace(TOLD, changes=(CHANGE,))
    assert decode_told(encode_trace(told)) == told
    assert traces_subject(EAST) == "heliograph.traces.v1.east"


def test_each_change_is_a_part_of_its_own() -> None:
    """An answer fits into what a bus carries, however many clusters have answered each change."""
    parts = in_parts(TOLD, [CHANGE] * 3)
    assert [(one.part, one.parts, len(one.changes)) for one in parts] == [
        (0, 3, 1),
        (1, 3, 1),
        (2, 3, 1),
    ]
    assert [(one.part, one.parts, one.changes) for one in in_parts(TOLD, [])] == [(0, 1, ())]


def test_a_newer_watcher_is_understood() -> None:
    """Fields and words that are unknown here are no fault."""
    (change,) = decode_told(FUTURE).changes
    assert change.answers[0].outcome == "new"


@pytest.mark.parametrize("decode", [decode_asked, decode_told])
@pytest.mark.parametrize("payload", [b"", b"{}", b"\xff", b'{"x":' * 100_000])
def test_nonsense_is_refused(decode: Callable[[bytes], object], payload: bytes) -> None:
    """Whatever bytes come, there is one kind of error."""
    with pytest.raises(MalformedTrace, match="cannot be read"):
        decode(payload)
