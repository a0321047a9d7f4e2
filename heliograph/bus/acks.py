"""A publication on the wire: its headers, and JetStream's answer to it. Pure.

Source: publish acknowledgements, https://docs.nats.io/reference/reference-protocols/nats_api_reference;
status 503 without a payload means that no stream (and nobody else) listens on the subject.
"""

from __future__ import annotations

import msgspec

from heliograph.bus.errors import JetStreamError, StreamMissing
from heliograph.bus.outbox import Flight, Publication
from heliograph.bus.request import NO_RESPONDERS, Message


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """JetStream's acknowledgement of a publication.

    Attributes:
        message_id: "<epoch>-<number>", as in the message's headers.
        sequence: Its sequence in the stream.
        duplicate: It had been stored before; an earlier acknowledgement was lost.
    """

    publication: Publication
    message_id: str
    stream: str
    sequence: int
    duplicate: bool


class _Failure(msgspec.Struct, frozen=True):
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct, frozen=True):
    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: _Failure | None = None


_DECODER: msgspec.json.Decoder[_Answer] = msgspec.json.Decoder(_Answer)


def message_id(epoch: int, flight: Flight) -> str:
    """Return the name of this one publication; retries of the same bytes bear it too."""
    return f"{epoch}-{flight.number}"


def headers_of(epoch: int, flight: Flight) -> dict[str, str]:
    """Return the caller's headers and ours."""
    publication = flight.publication
    headers = {
        **publication.headers,
        "Nats-Msg-Id": message_id(epoch, flight),
        "Heliograph-Epoch": str(epoch),
    }
    if publication.ttl_s is not None:
        headers["Nats-TTL"] = str(publication.ttl_s)
    return headers


def number_of(answer: Message) -> int:
    """Return the number of the flight that `answer` is about; 0 if it is about none."""
    token = answer.subject.rpartition(".")[2]
    return int(token) if token.isascii() and token.isdigit() else 0


def read(answer: Message, flight: Flight, epoch: int) -> Stored | StreamMissing | JetStreamError:
    """Return what became of `flight`: stored, or the error it was refused with."""
    subject = flight.publication.subject
    if answer.status == NO_RESPONDERS:
        return StreamMissing("", subject=subject)
    try:
        found = _DECODER.decode(answer.payload)
    except msgspec.MsgspecError as error:
        return JetStreamError(f"publishing to {subject}", 0, f"something unreadable: {error}")
    if found.error is not None:
        failure = found.error
        return JetStreamError(f"publishing to {subject}", failure.err_code, failure.description)
    return Stored(
        publication=flight.publication,
        message_id=message_id(epoch, flight),
        stream=found.stream,
        sequence=found.seq,
        duplicate=found.duplicate,
    )
