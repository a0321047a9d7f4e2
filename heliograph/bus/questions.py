"""Questions that a program asks others over a bus, and answers of several messages; nothing stored.

Who floods a program with questions is not answered; who may not ask or answer is told so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Final

import structlog

from heliograph.bus.connection import Connection
from heliograph.bus.errors import PermissionDenied
from heliograph.bus.events import ConnectionEvent, Denied
from heliograph.bus.request import NO_RESPONDERS, Message
from heliograph.errors import HeliographError, RetryableError

_INBOX: Final = "_INBOX"
_WAITING: Final = 64
"""Questions that wait for their answer; more are dropped."""

_log = structlog.get_logger()


class Answering:
    """One program's answers, on some subjects."""

    def __init__(
        self,
        connection: Connection,
        subjects: Sequence[str],
        answer: Callable[[Message], Iterable[bytes]],
        unanswered: str = "",
    ) -> None:
        """Prepare.

        Args:
            connection: The bus.
            subjects: Where questions come.
            answer: Returns what is said to a question, in one message or several; nothing if it is
                meant for others. Raises a `HeliographError` for one that is not understood.
            unanswered: What a person does not learn where the bus forbids all that, such as
                "'heliograph peers' learns nothing of node w1"; without it nobody is told.
        """
        self._connection, self._subjects, self._reply = connection, tuple(subjects), ""
        self._answer, self._unanswered = answer, unanswered
        self._questions: asyncio.Queue[Message] = asyncio.Queue(_WAITING)

    async def run(self) -> None:
        """Answer, for ever."""
        async with AsyncExitStack() as stack:
            if self._unanswered:
                stack.callback(self._connection.observe(self._observe))
            for subject in self._subjects:
                subscription = await self._connection.subscribe(subject, self._take)
                stack.push_async_callback(subscription.unsubscribe)
            while True:
                await self._say(await self._questions.get())

    def _take(self, question: Message) -> None:
        """Take a question whose answer goes into an inbox.

        Whoever may ask must not have us write anywhere else, where we may and it may not.
        """
        if question.reply.startswith(_INBOX) and not self._questions.full():
            self._questions.put_nowait(question)

    async def _say(self, question: Message) -> None:
        try:
            for part in self._answer(question):
                self._reply = question.reply
                await self._connection.publish(question.reply, part)
        except RetryableError as error:  # the bus went away: so did whoever asked
            _log.info("question not answered", error=str(error))
        except HeliographError as error:
            _log.warning("question not understood", error=str(error))

    def _observe(self, event: ConnectionEvent) -> None:
        refused = {subject.lower(): subject for subject in (*self._subjects, self._reply)}
        if isinstance(event, Denied) and event.subject in refused:
            _log.warning(
                "questions not answered",
                error=f"the bus refuses this program {event.operation} of "
                f"{refused[event.subject]}, so {self._unanswered}; add it to users.conf",
            )


async def ask(
    connection: Connection,
    subject: str,
    question: bytes,
    *,
    enough: Callable[[bytes], bool],
    within_s: float,
) -> None:
    """Ask, and hand each part of the answers on.

    Args:
        connection: The bus.
        subject: Where to ask.
        question: What.
        enough: Takes one part; returns whether no other one is waited for.
        within_s: How long to wait. It ends at once where nobody listens.

    Raises:
        PermissionDenied: The bus does not let the question through, or the answers.
    """
    done, denied = asyncio.Event(), list[Denied]()
    inbox = connection.new_inbox()
    involved = {subject.lower(): subject, inbox.lower(): connection.inboxes}

    def take(message: Message) -> None:
        if message.status == NO_RESPONDERS or (message.payload and enough(message.payload)):
            done.set()

    def observe(event: ConnectionEvent) -> None:
        if isinstance(event, Denied) and event.subject in involved:
            denied.append(event)
            done.set()

    stop_observing = connection.observe(observe)
    subscription = await connection.subscribe(inbox, take)
    try:
        await connection.publish(subject, question, reply=inbox)
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await done.wait()
    finally:
        stop_observing()
        await subscription.unsubscribe()
    if denied:
        raise PermissionDenied(denied[0].operation, involved[denied[0].subject])
