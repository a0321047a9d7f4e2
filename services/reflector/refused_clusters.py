"""The clusters that are refused as a whole: each is told once, and not once for each Service."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from heliograph.admission.declaration import Decision
from heliograph.admission.explain import REASON, explain
from heliograph.contract.names import ClusterId
from heliograph.metrics import Metrics
from services.reflector.mirror import Refusal

_log = structlog.get_logger()


class RefusedClusters:
    """Which clusters one importing cluster refuses, and why."""

    def __init__(self, importing: ClusterId, metrics: Metrics) -> None:
        self._importing, self._metrics = importing, metrics
        self._standing: dict[ClusterId, Refusal] = {}

    def put(self, decision: Decision) -> set[ClusterId]:
        """Take a decision; return the clusters that are refused from now on, or not any more."""
        before, self._standing = (
            self._standing,
            {
                exporting: Refusal(
                    exporting=exporting, reason=REASON, message=explain(self._importing, overlaps)
                )
                for exporting, overlaps in decision.refused.items()
            },
        )
        for exporting, refusal in self._standing.items():
            if before.get(exporting) != refusal:
                self._tell(refusal)
        changed = before.keys() ^ self._standing.keys()
        for exporting in changed:
            refused = exporting in self._standing
            self._metrics.count_refusal(exporting, REASON, stands=refused)
            if not refused:
                _log.info("cluster admitted again", importing=self._importing, exporting=exporting)
        return changed

    def of(self, exporting: Iterable[ClusterId]) -> tuple[Refusal, ...]:
        """Return the refusals of some clusters."""
        return tuple(self._standing[c] for c in exporting if c in self._standing)

    def _tell(self, refusal: Refusal) -> None:
        _log.error(
            "cluster refused",
            importing=self._importing,
            exporting=refusal.exporting,
            reason=refusal.reason,
            error=refusal.message,
        )
