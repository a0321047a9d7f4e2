"""Answers on the wire, read without a wire: to publications, to requests, to dialling."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.bus import (
    Disconnected,
    JetStreamError,
    Message,
    NoResponders,
    PermissionDenied,
    Publication,
    RequestTimeout,
    Stored,
    StreamMissing,
)
from heliograph.bus.acks import headers_of, number_of, read
from heliograph.bus.diagnosis import diagnose
from heliograph.bus.outbox import Flight
from heliograph.bus.request import Requests

FLIGHT = Flight(
    number=7,
    publication=Publication(subject="a.b", payload=b"x", headers={"Key": "value"}, ttl_s=60),
    launched_at_s=0,
)


def message(payload: bytes = b"", subject: str = "in.7", **headers: str) -> Message:
    return Message(subject=subject, payload=payload, reply="", headers=headers)


def test_headers_of_a_publication() -> None:
    """The caller's are kept, ours are added: identity, epoch, time to live."""
    assert headers_of(3, FLIGHT) == {
        "Key": "value",
        "Nats-Msg-Id": "3-7",
        "Heliograph-Epoch": "3",
        "Nats-TTL": "60",
    }


@pytest.mark.parametrize(
    ("payload", "duplicate"),
    [(b'{"stream":"S","seq":5}', False), (b'{"stream":"S","seq":5,"duplicate":true}', True)],
)
def test_stored(payload: bytes, duplicate: bool) -> None:  # noqa: FBT001
    """An acknowledgement tells stream, sequence, and whether it is the first one."""
    assert read(message(payload), FLIGHT, 3) == Stored(
        publication=FLIGHT.publication,
        message_id="3-7",
        stream="S",
        sequence=5,
        duplicate=duplicate,
    )


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (message(Status="503"), StreamMissing, "no stream stores a.b"),
        (
            message(b'{"error":{"code":400,"err_code":10054,"description":"too big"}}'),
            JetStreamError,
            "publishing to a.b: JetStream answered 'too big' (error 10054).",
        ),
        (message(b"[]"), JetStreamError, "something unreadable"),
        (message(), JetStreamError, "something unreadable"),
    ],
)
def test_refused(answer: Message, kind: type[Exception], words: str) -> None:
    """Everything else is a refusal that says why."""
    refusal = read(answer, FLIGHT, 3)
    assert isinstance(refusal, kind)
    assert words in str(refusal)


@given(st.text())
def test_answers_to_nothing(subject: str) -> None:
    """A strange subject belongs to no flight, and breaks nothing."""
    assert number_of(message(subject=f"in.{subject}x")) == 0
    assert number_of(message(subject="in.12")) == 12


class Wire:
    """Takes requests, as a connection would."""

    def __init__(self) -> None:
        self.replies: list[str] = []
        self.requests = Requests("in", "_INBOX.>", self.publish)

    async def publish(self, subject: str, payload: bytes, *, reply: str) -> None:
        """Note where the answer goes."""
        assert subject
        assert payload == b""
        self.replies.append(reply)

    async def asked(self, *subjects: str) -> list[asyncio.Task[Message]]:
        """Return requests under way."""
        tasks = [asyncio.create_task(self.requests.request(s, b"", 5)) for s in subjects]
        await asyncio.sleep(0)
        return tasks


async def test_each_request_gets_its_reply() -> None:
    """In whatever order they come; late and strange ones are ignored."""
    wire = Wire()
    first, second = await wire.asked("x", "y")
    for subject, payload in [("in.2", b"2"), ("in.2", b"again"), ("in.9", b""), ("in.1", b"1")]:
        wire.requests.settle(message(payload, subject))
    assert [(await first).payload, (await second).payload] == [b"1", b"2"]
    wire.requests.settle(message(b"late", "in.1"))


async def test_requests_that_fail() -> None:
    """Nobody there, not allowed, connection lost: each fails at once, and only that one."""
    wire = Wire()
    nobody, denied, lost, answered = await wire.asked("a", "B.c", "d", "e")
    wire.requests.settle(message(subject="in.1", Status="503"))
    wire.requests.deny("publish", "b.c")
    wire.requests.settle(message(b"5", "in.4"))
    wire.requests.fail(Disconnected("waiting"))
    wire.requests.fail(Disconnected("waiting again"))
    wire.requests.settle(message(b"late", "in.3"))
    with pytest.raises(NoResponders, match="nobody answers on a;"):
        await nobody
    with pytest.raises(PermissionDenied, match=r"may not publish to B\.c;"):
        await denied
    with pytest.raises(Disconnected, match="waiting:"):
        await lost
    assert (await answered).payload == b"5"


async def test_without_replies_no_request_is_made() -> None:
    """Once the inbox is denied, all fail at once, till the next connection."""
    wire = Wire()
    (waiting,) = await wire.asked("a")
    wire.requests.deny("subscription", "in.*")
    (later,) = await wire.asked("a")
    wire.requests.renew()
    (after,) = await wire.asked("a")
    for failed in (waiting, later):
        with pytest.raises(PermissionDenied, match=r"may not subscribe to _INBOX\.>"):
            await failed
    wire.requests.settle(message(b"3", wire.replies[-1]))
    assert (await after).payload == b"3"


async def test_a_request_in_vain() -> None:
    """The error names subject and time."""
    with pytest.raises(RequestTimeout, match=r"no answer to a\.b within 0\.01 s"):
        await Wire().requests.request("a.b", b"", 0.01)


CAUSES: dict[str, tuple[Exception, bool, str, bool]] = {
    # case                error, accepted, words, final
    "refused": (ConnectionRefusedError(111, "Connect call failed"), False, "is it running", False),
    "reset": (ConnectionResetError(104, "reset"), True, "its log says why", False),
    "silent": (TimeoutError(), True, "does not greet like a NATS server", False),
    "unreachable": (TimeoutError(), False, "does not answer; is the address right", False),
    "user": (Exception("nats: 'Authorization Violation'"), True, "refuses this user", True),
    "expired": (Exception("nats: 'User Authentication Expired'"), True, "refuses this user", True),
    "tls": (ssl.SSLError(1, "WRONG_VERSION"), True, "agree on no TLS", True),
    "greeting": (Exception("nats: info message, json parse error"), True, "not like a NATS", True),
    "other": (Exception("nats: 'maximum connections exceeded'"), True, "maximum conn", False),
}


@pytest.mark.parametrize(("error", "accepted", "words", "final"), CAUSES.values(), ids=CAUSES)
def test_why_a_server_cannot_be_reached(
    error: Exception,
    accepted: bool,  # noqa: FBT001
    words: str,
    final: bool,  # noqa: FBT001
) -> None:
    """One sentence with the address, and whether trying again at once makes sense."""
    found = diagnose(error, "nats://host:4222", accepted=accepted)
    assert str(found).startswith("NATS server nats://host:4222 ")
    assert str(found)[-1] in ".?"
    assert words in str(found)
    assert (found.url, found.final) == ("nats://host:4222", final)
