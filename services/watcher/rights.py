"""What the watcher must be allowed to do in its cluster, and no more."""

from __future__ import annotations

from typing import Final

from heliograph.kube.rights import Right
from heliograph.membership.record import NAME
from services.watcher.settings import WatcherSettings

_READ: Final = ("list", "watch")

RIGHTS: Final = (
    Right(resource="services", verbs=_READ),
    Right(resource="nodes", verbs=_READ),
    Right(resource="namespaces", verbs=("get",), name="kube-system"),
    Right(group="discovery.k8s.io", resource="endpointslices", verbs=_READ),
    Right(group="networking.k8s.io", resource="servicecidrs", verbs=_READ),
    Right(group="events.k8s.io", resource="events", verbs=("create",)),
)
"""In the whole cluster, whatever the settings."""


def rights(settings: WatcherSettings) -> tuple[Right, ...]:
    """Return what the watcher needs with these settings."""
    record = Right(resource="configmaps", verbs=_READ, name=NAME, namespace=settings.namespace)
    return (*RIGHTS, record)
