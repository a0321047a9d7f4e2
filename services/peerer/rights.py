"""What the peerer must be allowed to do in its cluster, and no more."""

from __future__ import annotations

from typing import Final

from heliograph.kube.rights import Right
from heliograph.membership.record import NAME
from services.peerer.settings import PeererSettings

_READ: Final = ("list", "watch")

RIGHTS: Final = (
    Right(
        group="kilo.squat.ai",
        resource="peers",
        verbs=("get", *_READ, "create", "update", "delete"),
    ),
    Right(resource="nodes", verbs=("list",)),
    Right(group="networking.k8s.io", resource="servicecidrs", verbs=("list",)),
    Right(group="events.k8s.io", resource="events", verbs=("create",)),
)
"""In the whole cluster, whatever the settings."""


def rights(settings: PeererSettings) -> tuple[Right, ...]:
    """Return what the peerer needs with these settings."""
    where = settings.namespace
    return (
        *RIGHTS,
        Right(resource="configmaps", verbs=(*_READ, "patch"), name=NAME, namespace=where),
        Right(resource="configmaps", verbs=("create",), namespace=where),
    )
