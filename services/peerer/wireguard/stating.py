"""States on the bus what a node sees of its tunnels, when that changes; and repeats it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from heliograph.announce.statements import Part, Statements
from heliograph.bus import Connection
from heliograph.contract.messages import LinkStated, Message
from heliograph.contract.subjects import Subject
from heliograph.metrics import Metrics
from heliograph.telemetry import Telemetry

REPEAT_S: Final = 30.0
"""Others hold a statement for as good for three times as long."""


class LinkStatement:
    """The one statement of a node's agent."""

    def __init__(
        self,
        home: Connection,
        subject: Subject,
        links: Callable[[], LinkStated],
        *,
        telemetry: Telemetry,
        metrics: Metrics,
    ) -> None:
        """Prepare; `links` returns what is to be stated under `subject` now."""
        self._subject, self._links = subject, links
        part = Part(
            cluster=subject.cluster,
            kind=subject.kind,
            owned=lambda other: other.name == subject.name,
        )
        self._statements: Statements[str] = Statements(
            home, part, messages=self._messages, telemetry=telemetry, metrics=metrics
        )

    def state(self) -> None:
        """State what there is to state now, if that is something new."""
        self._statements.state(self._subject.name)

    async def run(self) -> None:
        """Keep the bus right, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._statements.run(lambda: (self._subject.name,)))
            while True:
                await asyncio.sleep(REPEAT_S)
                self._statements.repeat(self._subject.name)

    def _messages(self, _: str) -> Mapping[Subject, Message]:
        return {self._subject: self._links()}
