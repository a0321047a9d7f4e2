"""What the exporting cluster should publish of the Service, by its API server. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from heliograph.contract.messages import (
    EndpointsExported,
    Message,
    ServiceExported,
)
from heliograph.contract.subjects import Kind, Subject
from heliograph.explain.facts import API, InCluster
from heliograph.marks import EXPORT_LABEL
from services.watcher.announce import Announcement, NotExported, announce_service


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """What the watcher would make of the Service.

    Attributes:
        known: Whether the API server could be read.
        messages: What it publishes, by subject; empty if the Service is not exported.
        refused: Why not, if the label is there in vain.
        warnings: What people should know of it all the same.
    """

    known: bool
    messages: Mapping[Subject, Message] = {}
    refused: NotExported | None = None
    warnings: tuple[NotExported, ...] = ()

    @property
    def service(self) -> ServiceExported | None:
        """The Service as it is exported."""
        return next((m for m in self.messages.values() if isinstance(m, ServiceExported)), None)

    @property
    def endpoints(self) -> Mapping[str, EndpointsExported]:
        """Its EndpointSlices by name, where pods are exported."""
        found = self.messages.items()
        return {subject.name: m for subject, m in found if isinstance(m, EndpointsExported)}


def offer(there: InCluster) -> Offered:
    """Return what is offered, as the watcher itself decides."""
    if API in there.unread:
        return Offered(known=False)
    service = there.service
    if service is None or service.metadata.labels.get(EXPORT_LABEL) != "true":
        return Offered(known=True)
    if there.membership.left:
        return Offered(known=True)
    match announce_service(there.cluster, service, there.slices):
        case Announcement(messages=messages, warnings=warnings):
            return Offered(known=True, messages=messages, warnings=warnings)
        case NotExported() as why:
            return Offered(known=True, refused=why)
        case _:
            return Offered(known=True)


def endpoint_subjects(there: InCluster, namespace: str) -> tuple[Subject, ...]:
    """Return where the slices of the Service are published, if they are."""
    return tuple(
        Subject(
            cluster=there.cluster,
            kind=Kind.ENDPOINTS,
            namespace=namespace,
            name=item.metadata.name,
        )
        for item in there.slices
    )
