"""Brings one mirror to what it should be: plans and applies until nothing is left to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from heliograph.contract.names import ClusterId
from heliograph.errors import HeliographError, RetryableError
from heliograph.kube.errors import AlreadyExists
from heliograph.metrics import Metrics
from heliograph.telemetry import Telemetry
from services.reflector.apply import STALE, Applier
from services.reflector.operations import Plan
from services.reflector.picture import Picture
from services.reflector.table import ServiceKey

_PASSES: Final = 8
"""How often one mirror is planned anew at once: recreation takes two passes, a conflict another."""


class Unsettled(RetryableError):
    """A mirror was still not as planned after several passes: somebody else works on it."""

    def __init__(self, key: ServiceKey) -> None:
        super().__init__(f"Service {key} changes while it is being written; trying again later")


class Obstructed(RetryableError):
    """What a mirror needs cannot be created, and reading what is in its way did not help."""

    def __init__(self, key: ServiceKey, importing: ClusterId, why: HeliographError) -> None:
        super().__init__(
            f"Service {key} is not mirrored, or not wholly, in cluster {importing}: an object that "
            f"is not ours stands in the place of one that the mirror needs ({why}); it is left as "
            f"it is. Delete it, or rename it; the place is looked at again within a minute."
        )


class Reconciler:
    """Works on the mirrors of one importing cluster, as the picture of it says."""

    def __init__(
        self,
        picture: Picture,
        applier: Applier,
        *,
        traceparent: Callable[[ServiceKey], str],
        telemetry: Telemetry,
        metrics: Metrics,
    ) -> None:
        """Prepare; `traceparent` tells the span that writes for a mirror belong to."""
        self._picture, self._applier = picture, applier
        self._traceparent, self._telemetry = traceparent, telemetry
        self._metrics = metrics

    async def reconcile(self, key: ServiceKey) -> Plan:
        """Plan and apply until nothing is left to do, or the same again would be in vain.

        Returns:
            The last plan, without operations.

        Raises:
            Obstructed: Something that is not ours stands in the way.
            Unsettled: The mirror is still not as planned.
            HeliographError: The API server did not take something.
        """
        tried, failure = Plan(), None
        for _ in range(_PASSES):
            plan = self._plan(key)
            if not plan.operations:
                return plan
            if plan == tried:
                if isinstance(failure, AlreadyExists):
                    raise Obstructed(key, self._picture.importing, failure)
                break
            tried, failure = plan, await self._apply(key, plan)
        raise Unsettled(key)

    def _plan(self, key: ServiceKey) -> Plan:
        begun_s = time.perf_counter()
        plan = self._picture.plan(key)
        self._metrics.planned(begun_s, plan.operations)
        return plan

    async def _apply(self, key: ServiceKey, plan: Plan) -> HeliographError | None:
        """Carry a plan out; return why the cluster was not as the plan assumed, if so."""
        span = self._telemetry.start("apply", parent=self._traceparent(key))
        span.note(heliograph_operations=len(plan.operations))
        try:
            await self._applier.apply(plan.operations)
        except STALE as error:
            span.fail(type(error).__name__)  # what stands there was read: plan again
            return error
        finally:
            span.end()
        return None
