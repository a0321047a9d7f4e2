"""Takes what importing clusters say: that a publication was carried out, or that more is wrong.

Round trips are measured from a publication to an importing cluster's word that it carried it out.

By this machine's clock alone, so that no clock skew is in it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from heliograph.bus import Connection, Message
from heliograph.contract.messages import Feedback, decode_feedback
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import (
    MalformedSubject,
    Subject,
    feedback_filter,
    parse_feedback,
)
from heliograph.metrics import Metrics

_REMEMBERED: Final = 10_000

Refused = Callable[[ClusterId, Subject, Feedback], None]
"""Hears which importing cluster does not take what, and why."""


class RoundTrips:
    """Remembers when the latest publications were sent, and listens for feedback to them."""

    def __init__(
        self,
        metrics: Metrics,
        on_doubt: Callable[[str], None],
        on_refused: Refused = lambda *_: None,
    ) -> None:
        """Prepare; `on_doubt` hears that the stream holds something else than was published."""
        self._metrics, self._on_doubt, self._on_refused = metrics, on_doubt, on_refused
        self._sent: OrderedDict[str, float] = OrderedDict()

    def sent(self, event_id: str) -> None:
        """Note that a publication leaves now."""
        self._sent[event_id] = time.monotonic()
        if len(self._sent) > _REMEMBERED:
            self._sent.popitem(last=False)

    async def listen(self, connection: Connection, exporting: ClusterId) -> None:
        """Take feedback from now on, for as long as the connection lives."""
        await connection.subscribe(feedback_filter(exporting), self._take)

    def _take(self, message: Message) -> None:
        """Take feedback; what others write is no more than nonsense at worst."""
        feedback = decode_feedback(message.payload)
        try:
            importing, about = parse_feedback(message.subject)
        except MalformedSubject:
            return
        if feedback is None:
            return
        if feedback.outcome == "mismatched":
            self._on_doubt(f"cluster {importing} read something else than its digest says")
        if feedback.outcome == "refused" and feedback.reason:
            self._on_refused(importing, about, feedback)
        begun = self._sent.get(feedback.event_id)
        if begun is not None:
            trip = self._metrics.round_trip.labels(importing, about.kind)
            trip.observe(time.monotonic() - begun)
