"""Reads JetStream's delivery facts from a reply subject, and doubts when they do not fit. Pure.

The consumer's sequence counts deliveries, so a gap in it is a lost message. The stream's sequence
has gaps as soon as a newer message replaces an older one of its subject, but it always rises.

Source: ADR-15 of nats-io/nats-architecture-and-design, "JS Ack": 9 tokens, or 11 and more.
"""

from __future__ import annotations

from typing import Final

import msgspec

PREFIX: Final = "$JS.ACK."
_V1_TOKENS, _V2_MIN_TOKENS = 9, 11


class MalformedAck(ValueError):
    """A reply subject that does not carry delivery facts."""


class DeliveryFacts(msgspec.Struct, frozen=True, gc=False):
    """What the reply subject of a delivery says; without keywords, since made for each message."""

    stream: str
    consumer: str
    delivered: int
    stream_sequence: int
    consumer_sequence: int
    timestamp_ns: int
    pending: int


def parse(reply: str) -> DeliveryFacts:
    """Read a reply subject of either form, or raise `MalformedAck`.

    v1: $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>
    v2: $JS.ACK.<domain>.<account hash>.<the same seven>[.<further tokens>]
    """
    tokens = reply.split(".")
    first = 2 if len(tokens) == _V1_TOKENS else 4
    if not reply.startswith(PREFIX) or (first != 2 and len(tokens) < _V2_MIN_TOKENS):  # noqa: PLR2004
        raise MalformedAck(reply)
    stream, consumer, *numbers = tokens[first : first + 7]
    try:
        return DeliveryFacts(stream, consumer, *map(int, numbers))
    except ValueError:
        raise MalformedAck(reply) from None


class SequenceChecker:
    """Follows the deliveries of one consumer from its first one on.

    Attributes:
        consumer_sequence: Of the latest delivery; 0 before the first.
        stream_sequence: Of the latest delivery; 0 before the first.
    """

    def __init__(self) -> None:
        self.consumer_sequence = 0
        self.stream_sequence = 0

    def doubt(self, facts: DeliveryFacts) -> str | None:
        """Take the next delivery; returns what does not fit, None when all is well."""
        expected, before = self.consumer_sequence + 1, self.stream_sequence
        if facts.consumer_sequence != expected:
            return f"delivery {facts.consumer_sequence} came where {expected} was due"
        if facts.stream_sequence <= before:
            return f"stream sequence went back from {before} to {facts.stream_sequence}"
        self.consumer_sequence = facts.consumer_sequence
        self.stream_sequence = facts.stream_sequence
        return None
