"""An overlap that nobody can overlook: a third cluster, south, has pods where east has its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from heliograph.admission.explain import REASON
from heliograph.contract.messages import RefusalStated
from heliograph.demo.cast import Member
from heliograph.demo.observe import Observer
from heliograph.demo.peering import Peering
from heliograph.demo.services import NAME, NAMESPACE, MainJob, a_service
from heliograph.demo.show import events_table
from heliograph.demo.step import Step, View
from heliograph.kube.objects import SERVICES, Event
from heliograph.marks import EXPORT_LABEL

OF_SOUTH: Final = "service-of-south"
_PORT: Final = 9090


class Overlap:
    """What becomes of a cluster whose ranges overlap, and of the others."""

    def __init__(
        self, south: Member, pod_cidr: str, observer: Observer, join: Callable[[], object]
    ) -> None:
        """Prepare.

        Args:
            south: The third cluster; no program runs there yet.
            pod_cidr: A pod range of another cluster.
            observer: What is seen in the cluster that refuses it.
            join: Starts its programs.
        """
        self._south, self._pod_cidr = south, pod_cidr
        self._observer, self._join_programs = observer, join

    def refusing(self) -> Step:
        """Return the step in which south joins."""
        return Step(
            name="refuse-overlap",
            done=f"a third cluster, south, joins and exports {OF_SOUTH}; its pods have "
            f"{self._pod_cidr}, and so have east's",
            expected="west refuses south, with the reason on the bus and as a Kubernetes Event; "
            "no node of south is a Peer, and its Service has no mirror",
            do=self._join,
            seen=lambda: self._refused() and self._out(),
            view=self._view,
        )

    def going_on(self, job: MainJob, peering: Peering) -> Step:
        """Return the step which shows that the others are not concerned."""
        return Step(
            name="others-go-on",
            done=f"the port of {NAME} changes from 8080 to {_PORT}, while south is refused",
            expected="the mirror follows, and east's Peers stay: east and west go on",
            do=lambda: job.change_port(_PORT),
            seen=lambda: (
                job.mirrored(port=_PORT, ready=True)
                and peering.complete()
                and self._observer.holders.kept
                and self._out()
            ),
            view=job.view,
        )

    async def _join(self) -> None:
        node = msgspec.structs.replace(self._south.nodes[0], pod_cidr=self._pod_cidr)
        await self._south.kilo.add(node)
        service = a_service(OF_SOUTH, labels={EXPORT_LABEL: "true"})
        await self._south.people.create(SERVICES, service)
        self._join_programs()

    def _refused(self) -> bool:
        return bool(self._stated() and self._events())

    def _out(self) -> bool:
        """Tell whether nothing of south is in west."""
        seen = self._observer
        mirrored = seen.service(NAMESPACE, OF_SOUTH) or seen.slices(NAMESPACE, OF_SOUTH)
        return not (seen.peers(self._south.name) or mirrored)

    def _stated(self) -> tuple[RefusalStated, ...]:
        """Return the refusal of the whole cluster, as it was stated last."""
        stated = [
            refusal
            for refusal in self._observer.refusals
            if (refusal.kind, refusal.name) == ("cluster", self._south.name)
            and refusal.reason == REASON
        ]
        return tuple(stated[-1:])

    def _events(self) -> list[Event]:
        sentences = {refusal.message for refusal in self._stated()}
        return [event for event in self._observer.events(REASON) if event.note in sentences]

    def _view(self) -> View:
        return View(
            command="get events", tables=(events_table(self._events()),), refused=self._stated()
        )
