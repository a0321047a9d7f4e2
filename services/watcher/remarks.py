"""Shows in the exporting cluster what importing clusters do not take of it: Kubernetes Events.

What is said comes from other clusters: it is bounded in length, count and rate, and goes nowhere
but into Events.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from heliograph.contract.messages import Feedback
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject
from heliograph.kube.events import EventRecorder
from heliograph.kube.objects import (
    NAMESPACES,
    NODES,
    SERVICES,
    Namespace,
    Node,
    ObjectMeta,
    Service,
)

_REMEMBERED: Final = 1_000
_IN_A_WINDOW: Final = 30
_WINDOW_S: Final = 60.0
_AGAIN_S: Final = 3600.0
_REASON: Final = re.compile(r"[A-Z][A-Za-z]{0,62}")
_log = structlog.get_logger()

Place = tuple[ClusterId, Subject]


class Remarks:
    """What importing clusters have said; each thing once, and again after an hour."""

    def __init__(
        self,
        recorder: EventRecorder,
        namespace: str,
        *,
        uid_of: Callable[[Subject], str] = lambda _: "",
    ) -> None:
        """Prepare.

        Args:
            recorder: Writes Events.
            namespace: Events about the whole cluster are about this one.
            uid_of: Returns the UID of an exported Service; empty if it is not known.
        """
        self._recorder, self._namespace, self._uid_of = recorder, namespace, uid_of
        self._said: OrderedDict[Place, tuple[str, float]] = OrderedDict()
        self._window_s, self._told = 0.0, 0

    def take(self, importing: ClusterId, about: Subject, said: Feedback, *, now_s: float) -> None:
        """Take that a cluster refuses something; `now_s` is of a clock that never goes back."""
        if not _REASON.fullmatch(said.reason) or not self._is_news(importing, about, said, now_s):
            return
        if now_s - self._window_s >= _WINDOW_S:
            self._window_s, self._told = now_s, 0
        self._told += 1
        if self._told > _IN_A_WINDOW:
            return  # it is said again, and there may be room then
        self._said[importing, about] = said.message, now_s
        self._said.move_to_end((importing, about))
        if len(self._said) > _REMEMBERED:
            self._said.popitem(last=False)
        _log.warning("refused", importing=importing, reason=said.reason, error=said.message)
        self._record(about, (said.reason, said.message))

    def _is_news(self, importing: ClusterId, about: Subject, said: Feedback, now_s: float) -> bool:
        message, at_s = self._said.get((importing, about), ("", 0.0))
        return message != said.message or now_s - at_s >= _AGAIN_S

    def _record(self, about: Subject, why: tuple[str, str]) -> None:
        metadata = ObjectMeta(name=about.name, namespace=about.namespace)
        self._recorder.forget(about.namespace, about.name)  # it may be the same after an hour
        match about.kind:
            case Kind.SERVICE:
                metadata = msgspec.structs.replace(metadata, uid=self._uid_of(about))
                self._recorder.record(SERVICES, Service(metadata=metadata), "Warning", why)
            case Kind.NODE:
                self._recorder.record(NODES, Node(metadata=metadata), "Warning", why)
            case _:
                namespace = Namespace(metadata=ObjectMeta(name=self._namespace))
                self._recorder.record(NAMESPACES, namespace, "Warning", why)
