"""Takes what importing clusters say: that a publication was carried out, or that more is wrong.

Round trips are measured from a publication to an importing cluster's word that it carried it out.

By this machine's clock alone, so that no clock skew is in it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from heliograph.announce.announcer import Origin
from heliograph.bus import Connection, Message, Publication
from heliograph.clock import now_ns, rfc3339
from heliograph.contract.feedback import Feedback, decode_feedback
from heliograph.contract.headers import (
    EVENT_ID,
    EVENT_TYPE,
    EVENT_TYPE_PREFIX,
    TRACEPARENT,
    is_sampled,
    trace_id_of,
)
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import (
    MalformedSubject,
    Subject,
    feedback_filter,
    parse_feedback,
    parse_subject,
)
from heliograph.metrics import Metrics
from heliograph.telemetry import Telemetry
from services.watcher.table import ServiceKey
from services.watcher.trail import Departure, Trail

_REMEMBERED: Final = 10_000
_NS: Final = 1e9

Refused = Callable[[ClusterId, Subject, Feedback], None]
"""Hears which importing cluster does not take what, and why."""


class RoundTrips:
    """Remembers when the latest publications were sent, and listens for feedback to them.

    Attributes:
        trail: How the latest changes of Services travelled.
    """

    def __init__(
        self,
        metrics: Metrics,
        telemetry: Telemetry,
        on_doubt: Callable[[str], None],
        on_refused: Refused = lambda *_: None,
    ) -> None:
        """Prepare; `on_doubt` hears that the stream holds something else than was published."""
        self._metrics, self._telemetry = metrics, telemetry
        self._on_doubt, self._on_refused = on_doubt, on_refused
        self._sent: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self.trail = Trail()

    def sent(self, publication: Publication, origin: Origin, traceparent: str) -> None:
        """Note that a publication leaves now."""
        sent_s, event_id = time.monotonic(), publication.headers[EVENT_ID]
        self._sent[event_id] = sent_s, traceparent
        if len(self._sent) > _REMEMBERED:
            self._sent.popitem(last=False)
        if isinstance(origin.thing, ServiceKey):
            departure = _departure(publication, origin, traceparent, sent_s)
            self.trail.sent(origin.thing, departure)

    def stored(self, publication: Publication) -> None:
        """Note that the bus has a publication now."""
        self.trail.stored(publication.headers[EVENT_ID], now_s=time.monotonic())

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
            now_s, (sent_s, traceparent) = time.monotonic(), begun
            self._metrics.round_trip.labels(importing, about.kind).observe(now_s - sent_s)
            self.trail.answered(importing, feedback, now_s=now_s)
            self._tell(importing, about, feedback, (traceparent, message))

    def _tell(
        self,
        importing: ClusterId,
        about: Subject,
        said: Feedback,
        traces: tuple[str, Message],
    ) -> None:
        """Let the change's trace end where it began; others cannot make it part of theirs."""
        ours, theirs = traces[0], traces[1].headers.get(TRACEPARENT, "")
        if not is_sampled(ours):
            return
        same = trace_id_of(theirs) == trace_id_of(ours)
        span = self._telemetry.start(
            f"feedback {about.kind}",
            parent=theirs if same else ours,
            links=() if same else (theirs,),
            attributes={
                "messaging.system": "nats",
                "messaging.destination.name": traces[1].subject,
                "heliograph.importing": importing,
                "heliograph.outcome": said.outcome,
            },
        )
        span.end()


def _departure(
    publication: Publication, origin: Origin, traceparent: str, sent_s: float
) -> Departure:
    headers = publication.headers
    return Departure(
        event_id=headers[EVENT_ID],
        type=headers[EVENT_TYPE].removeprefix(EVENT_TYPE_PREFIX),
        name=parse_subject(publication.subject).name,
        seen_at=rfc3339(origin.seen_at_ns),
        seen_s=sent_s - max(0, now_ns() - origin.seen_at_ns) / _NS,
        sent_s=sent_s,
        trace_id=trace_id_of(traceparent) if is_sampled(traceparent) else "",
    )
