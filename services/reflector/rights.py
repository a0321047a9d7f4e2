"""What the reflector must be allowed to do in its cluster, and no more."""

from __future__ import annotations

from typing import Final

from heliograph.kube.rights import Right
from heliograph.membership.record import NAME
from services.reflector.settings import ReflectorSettings

_READ: Final = ("list", "watch")
_OWN: Final = ("get", *_READ, "create", "update", "delete")

RIGHTS: Final = (
    Right(resource="services", verbs=_OWN),
    Right(group="discovery.k8s.io", resource="endpointslices", verbs=_OWN),
    Right(resource="endpoints", verbs=(*_READ, "delete")),
    Right(resource="namespaces", verbs=_READ),
    Right(resource="nodes", verbs=("list",)),
    Right(group="networking.k8s.io", resource="servicecidrs", verbs=_READ),
    Right(group="events.k8s.io", resource="events", verbs=("create",)),
)
"""In the whole cluster, whatever the settings."""

NAMESPACE_RIGHTS: Final = (
    Right(resource="namespaces", verbs=("get", "create", "delete")),
    Right(group="*", resource="*", verbs=("list",)),
)
"""Beyond the others, when the reflector may create namespaces.

Listing everything: a namespace is removed again only after a look that nothing is left in it.
"""


def rights(settings: ReflectorSettings) -> tuple[Right, ...]:
    """Return what the reflector needs with these settings."""
    where = settings.namespace
    return (
        *RIGHTS,
        Right(resource="configmaps", verbs=(*_READ, "patch"), name=NAME, namespace=where),
        Right(resource="configmaps", verbs=("create",), namespace=where),
        *(NAMESPACE_RIGHTS if settings.create_namespaces else ()),
    )
