"""What a node's agent must be allowed to do in its cluster, and no more."""

from __future__ import annotations

from heliograph.kube.rights import Right
from heliograph.membership.record import NAME
from services.peerer.settings import PeererSettings


def agent_rights(settings: PeererSettings) -> tuple[Right, ...]:
    """Return what the agent needs: it reads what others decided, annotates its Node, tells."""
    return (
        Right(resource="nodes", verbs=("list", "watch", "patch")),
        Right(group="networking.k8s.io", resource="servicecidrs", verbs=("list",)),
        Right(group="events.k8s.io", resource="events", verbs=("create",)),
        Right(
            resource="configmaps",
            verbs=("list", "watch"),
            name=NAME,
            namespace=settings.namespace,
        ),
    )
