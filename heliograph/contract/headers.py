"""Headers of a message: which publication, by which incarnation, when, in which trace. Pure.

CloudEvents attributes in the NATS binding (CloudEvents NATS Protocol Binding 1.0.2, binary mode)
let any CloudEvents reader understand the events; `traceparent` is W3C Trace Context.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Final

from heliograph.contract.messages import Message, message_type
from heliograph.contract.subjects import Subject

_EPOCH: Final = re.compile(r"[0-9]{1,19}")

EPOCH: Final = "Heliograph-Epoch"
MESSAGE_ID: Final = "Nats-Msg-Id"
TRACEPARENT: Final = "traceparent"
OBSERVED_AT: Final = "ce-time"
EVENT_ID: Final = "ce-id"
EVENT_TYPE: Final = "ce-type"
EVENT_TYPE_PREFIX: Final = "io.heliograph."

WITHDRAWAL_TTL_S: Final = 3 * 24 * 3600
"""How long a withdrawal stays in the stream. Who was away longer resynchronises in any case."""


def cloud_event_headers(subject: Subject, message: Message, *, observed_at: str) -> dict[str, str]:
    """Return the CloudEvents attributes of a message, but for `ce-id`.

    Args:
        subject: Where it is published.
        message: What is published.
        observed_at: When the exporting cluster's watcher saw the change, RFC 3339 in UTC.
    """
    return {
        "ce-specversion": "1.0",
        EVENT_TYPE: _prefixed(EVENT_TYPE_PREFIX, message_type(message)),
        "ce-source": _prefixed("/clusters/", subject.cluster),
        "ce-subject": "/".join(filter(None, (subject.kind, subject.namespace, subject.name))),
        OBSERVED_AT: observed_at,
        "content-type": "application/json",
    }


def epoch_of(headers: Mapping[str, str]) -> int | None:
    """Return the publisher's incarnation; None if the header is missing or no number."""
    text = headers.get(EPOCH, "")
    return int(text) if _EPOCH.fullmatch(text) else None


def is_sampled(traceparent: str) -> bool:
    """Tell whether a header belongs to a trace that is recorded (W3C Trace Context: lowest flag).

    One that is malformed may pass; whoever continues it looks more closely.
    """
    return bool(traceparent) and traceparent[-1] in "13579bdf"


def trace_id_of(traceparent: str) -> str:
    """Return the id of the trace (W3C Trace Context: version-trace-span-flags)."""
    return traceparent[3:35]


@functools.lru_cache(maxsize=1024)
def _prefixed(prefix: str, name: str) -> str:
    """Return one text for all messages alike: thousands wait in a burst, with their headers."""
    return prefix + name
