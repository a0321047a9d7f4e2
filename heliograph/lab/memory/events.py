"""Events: stored as core/v1, shown as events.k8s.io/v1 as well, as the real server does. Pure.

Source: kube-apiserver's pkg/apis/events/v1/conversion.go, v1.36.
"""

from __future__ import annotations

from heliograph.lab.memory.objects import JsonObject
from heliograph.lab.memory.resources import View
from heliograph.lab.memory.rules import Rules
from heliograph.lab.memory.status import Cause

_NEW_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}
_OLD_NAMES = {new: old for old, new in _NEW_NAMES.items()}


def admit_event(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    """Add the members that are always there."""
    del old
    new.setdefault("source", {})
    for member in ("eventTime", "firstTimestamp", "lastTimestamp"):
        new.setdefault(member, None)
    for member in ("reportingComponent", "reportingInstance"):
        new.setdefault(member, "")
    return []


EVENT_RULES = Rules(admit=admit_event)
EVENT_VIEW = View(
    show=lambda obj: {_NEW_NAMES.get(k, k): v for k, v in obj.items()},
    store=lambda obj: {_OLD_NAMES.get(k, k): v for k, v in obj.items()},
)
