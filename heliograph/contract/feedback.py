"""What an importing cluster says to the exporting one of its messages; never stored. Pure.

Part of the public contract, under the same rules as the messages: new fields have defaults,
nothing is retyped or removed, unknown fields are skipped.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

_ENCODER: Final = msgspec.json.Encoder()
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

MOST_STEPS: Final = 16
"""Steps in one feedback: the latest, where more were taken."""


class Step(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A piece of the work on a message, by the importing cluster's clock.

    Attributes:
        name: "plan" or "apply"; other words may come.
        begun_s: When it began, seconds since the message was delivered.
        ended_s: When it ended, likewise.
    """

    name: str
    begun_s: float
    ended_s: float


class Feedback(msgspec.Struct, frozen=True, kw_only=True):
    """An importing cluster carried a message out; sent on the feedback subject, never stored.

    Attributes:
        event_id: `ce-id` of the message.
        outcome: "applied"; or "refused", with the reason in a RefusalStated; or "mismatched", about
            a cluster's own message: the stream holds something else than its digests say, even
            after a replay, so the exporting cluster should compare.
        seconds: From its delivery to the last write, by the importing cluster's clock.
        reason: Why it was refused: one CamelCase word; empty if it was not.
        message: The same in one sentence for people.
        steps: What it did, in the order of time; at most `MOST_STEPS`.
    """

    event_id: str
    outcome: Literal["applied", "refused", "mismatched"]
    seconds: float
    reason: str = ""
    message: str = ""
    steps: tuple[Step, ...] = ()


def encode_feedback(feedback: Feedback) -> bytes:
    """Return the JSON of a feedback."""
    return _ENCODER.encode(feedback)


def decode_feedback(payload: bytes) -> Feedback | None:
    """Return the feedback; None if the bytes are none."""
    try:
        return msgspec.json.decode(payload, type=Feedback)
    except _UNREADABLE:
        return None
