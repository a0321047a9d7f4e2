"""What may happen to messages on their way to an importer."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from heliograph.bus import Connection, Message
from heliograph.contract.headers import EPOCH
from tests.bus.support import Meddler

ACK = "$JS.ACK."
Meddling = Callable[[list[Message]], list[Message]]
"""Takes the first messages of the way, returns what comes of them."""


def with_changes(**changes: object) -> Meddling:
    return lambda messages: [msgspec.structs.replace(m, **changes) for m in messages]


def _lose(_: list[Message]) -> list[Message]:
    return []


def meddlings(kind: str, newer: bytes) -> dict[str, tuple[int, Meddling]]:
    """Return what may happen to messages of a kind; `newer` is one of a later version."""
    foreign, strange = f"heliograph.v1.south.{kind}.a", f"heliograph.v1.east.{kind}.a.b.c"
    return {
        # what happens                   to how many  what comes of them
        "lost":                          (1, lambda _: []),
        "several lost":                  (3, lambda _: []),
        "repeated":                      (1, lambda m: [*m, *m]),
        "reordered":                     (2, lambda m: [m[1], m[0]]),
        "late":                          (3, lambda m: [m[1], m[2], m[0]]),
        "cut off":                       (1, with_changes(payload=b'{"type":"service.exp')),
        "empty":                         (1, with_changes(payload=b"")),
        "no text":                       (1, with_changes(payload=b"\xff\x00\xff")),
        "of a newer version":            (1, with_changes(payload=newer)),
        "under a foreign subject":       (1, with_changes(subject=foreign)),
        "under a strange subject":       (1, with_changes(subject=strange)),
        "of an older incarnation":       (1, with_changes(headers={EPOCH: "1"})),
        "without headers":               (1, with_changes(headers={})),
        "of an incarnation that is none": (1, with_changes(headers={EPOCH: "-1"})),
    }  # fmt: skip


class Way:
    """The way of one importer's messages: meddles once, with the first deliveries of a kind."""

    def __init__(self, kind: str) -> None:
        self._of = f".{kind}."
        self.count, self.meddling = 0, _lose
        self._held: list[Message] = []

    def meddle(self, count: int, meddling: Meddling) -> None:
        """Meddle with the next `count` deliveries."""
        self.count, self.meddling = count, meddling

    def seen(self, connection: Connection) -> Connection:
        """Return the connection as the importer sees it."""
        meddler = Meddler(connection)
        meddler.meddle = self._pass
        return meddler  # type: ignore[return-value]

    @property
    def done(self) -> bool:
        """Whether it has meddled."""
        return len(self._held) == self.count

    def _pass(self, message: Message) -> list[Message]:
        if self.done or not message.reply.startswith(ACK):
            return [message]
        if self._of not in message.subject:
            return [message]
        self._held.append(message)
        return self.meddling(self._held) if self.done else []
