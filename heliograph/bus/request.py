"""Requests and their replies over one shared inbox; the connection publishes and subscribes.

A request that lost its connection, or was denied, fails at once and not after its timeout.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from heliograph.bus.errors import NoResponders, PermissionDenied, RequestTimeout
from heliograph.errors import HeliographError

NO_RESPONDERS: Final = "503"


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a subscription receives; also the reply to a request.

    Attributes:
        subject: Where it was published; for JetStream deliveries the stored subject.
        reply: Where an answer would go; JetStream puts its delivery facts here.
        headers: Empty when there are none. "Status" and "Description" are the server's own words
            when the payload is empty.
    """

    subject: str
    payload: bytes
    reply: str
    headers: Mapping[str, str]

    @property
    def status(self) -> str:
        """The server's status ("100", "408", "503" …); empty for a plain message."""
        return "" if self.payload else self.headers.get("Status", "")


Reply = Message


class Publish(Protocol):
    """How requests leave."""

    async def __call__(self, subject: str, payload: bytes, *, reply: str) -> None:
        """Publish, or raise `Disconnected`."""


class Requests:
    """The requests under way, by the last token of their reply subject.

    Args:
        inbox: Where replies go, one token added.
        inboxes: The permission that takes, for the error's words.
        publish: How requests leave.
    """

    def __init__(self, inbox: str, inboxes: str, publish: Publish) -> None:
        self._inbox, self._inboxes, self._publish = inbox, inboxes, publish
        self._tokens = itertools.count(1)
        self._waiting: dict[str, tuple[str, asyncio.Future[Reply]]] = {}
        self._denial: PermissionDenied | None = None

    @property
    def replies(self) -> str:
        """What to subscribe to; `settle` is the callback."""
        return f"{self._inbox}.*"

    async def request(self, subject: str, payload: bytes, timeout_s: float) -> Reply:
        """Publish and return the first reply, or raise; see `Connection.request`."""
        if self._denial is not None:
            raise self._denial
        token = str(next(self._tokens))
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[token] = subject, reply
        try:
            await self._publish(subject, payload, reply=f"{self._inbox}.{token}")
            async with asyncio.timeout(timeout_s):
                return await reply
        except TimeoutError:
            raise RequestTimeout(subject, timeout_s) from None
        finally:
            self._waiting.pop(token, None)

    def settle(self, message: Message) -> None:
        """Hand a reply to its request; one that comes late is ignored."""
        subject, reply = self._waiting.get(message.subject.rpartition(".")[2], ("", None))
        if reply is None or reply.done():
            return
        if message.status == NO_RESPONDERS:
            reply.set_exception(NoResponders(subject))
        else:
            reply.set_result(message)

    def deny(self, operation: str, subject: str) -> None:
        """Fail what the server has refused; nats-py lowers the letters of the subject.

        Without its replies no request can succeed: then all fail, also later ones, till `renew`.
        """
        if subject == self.replies.lower():
            self._denial = PermissionDenied(operation, self._inboxes)
            self.fail(self._denial)
        for asked, reply in self._waiting.values():
            if asked.lower() == subject and not reply.done():
                reply.set_exception(PermissionDenied(operation, asked))

    def renew(self) -> None:
        """Forget what another connection was denied."""
        self._denial = None

    def fail(self, error: HeliographError) -> None:
        """Fail all requests."""
        for _, reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(error)
