"""NATS' service protocol: who is there, and how it is; for services of one endpoint.

nats-py has a module for it, whose services end with their connection; ours come back with it.

Source: ADR-32 of nats-io/nats-architecture-and-design.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from heliograph.bus.connection import Connection
from heliograph.bus.questions import Answering
from heliograph.bus.request import Message
from heliograph.clock import now_ns, rfc3339

ROOT: Final = "$SRV"
VERBS: Final = ("PING", "INFO", "STATS")


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers.

    Attributes:
        name: Of the service: letters, digits, '-' and '_'.
        id: Of this instance; no two have one.
        version: Semantic version.
        description: One sentence.
        metadata: Facts about this instance.
    """

    name: str
    id: str
    version: str
    description: str
    metadata: Mapping[str, str]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered.

    Attributes:
        name: Of the endpoint.
        subject: Where it is asked; every instance answers.
        answer: Returns what there is to tell now, as something that becomes JSON.
    """

    name: str
    subject: str
    answer: Callable[[], object]


class Service:
    """Answers for one program, over all its connections to one bus."""

    def __init__(self, connection: Connection, identity: Identity, endpoint: Endpoint) -> None:
        self._identity, self._endpoint = identity, endpoint
        self._started = rfc3339(now_ns())
        self._answering = Answering(connection, self._subjects(), self._answer)
        self._requests, self._spent_ns = 0, 0

    async def run(self) -> None:
        """Answer, for ever."""
        await self._answering.run()

    def _subjects(self) -> list[str]:
        who = ("", f".{self._identity.name}", f".{self._identity.name}.{self._identity.id}")
        return [*(f"{ROOT}.{verb}{one}" for verb in VERBS for one in who), self._endpoint.subject]

    def _answer(self, question: Message) -> Iterator[bytes]:
        if question.subject == self._endpoint.subject:
            yield self._measured()
            return
        verb = question.subject.split(".")[1]
        told = self._info() if verb == "INFO" else self._stats() if verb == "STATS" else {}
        kind = f"io.nats.micro.v1.{verb.lower()}_response"
        identity = {
            "name": self._identity.name,
            "id": self._identity.id,
            "version": self._identity.version,
            "metadata": self._identity.metadata,
        }
        yield msgspec.json.encode({"type": kind, **identity, **told})

    def _measured(self) -> bytes:
        began_ns = time.perf_counter_ns()
        payload = msgspec.json.encode(self._endpoint.answer())
        self._requests += 1
        self._spent_ns += time.perf_counter_ns() - began_ns
        return payload

    def _info(self) -> dict[str, Any]:
        return {
            "description": self._identity.description,
            "endpoints": [{**self._named_endpoint(), "metadata": {}}],
        }

    def _stats(self) -> dict[str, Any]:
        spent_ns, count = self._spent_ns, self._requests
        endpoint = {
            **self._named_endpoint(),
            "num_requests": count,
            "num_errors": 0,
            "last_error": "",
            "processing_time": spent_ns,
            "average_processing_time": spent_ns // count if count else 0,
            "data": self._endpoint.answer(),
        }
        return {"started": self._started, "endpoints": [endpoint]}

    def _named_endpoint(self) -> dict[str, str]:
        """Return the endpoint; without a queue group, since every instance answers for itself."""
        return {
            "name": self._endpoint.name,
            "subject": self._endpoint.subject,
            "queue_group": "",
        }
