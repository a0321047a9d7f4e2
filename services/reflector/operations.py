"""The steps by which mirrors change, as data, and what a plan depends on. Pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from heliograph.contract.names import ClusterId
from heliograph.kube.objects import EndpointSlice, Namespace, ObjectMeta, Service
from services.reflector.mirror import DesiredMirror, Refusal
from services.reflector.own import OwnMirror
from services.reflector.surroundings import NamespaceState
from services.reflector.table import ServiceKey


class CreateNamespace(msgspec.Struct, frozen=True, kw_only=True):
    """Make the namespace that a mirror needs."""

    namespace: Namespace


class CreateService(msgspec.Struct, frozen=True, kw_only=True):
    """Make a mirror's Service."""

    service: Service


class ReplaceService(msgspec.Struct, frozen=True, kw_only=True):
    """Change a mirror's Service in place; it keeps its cluster IP."""

    service: Service


class DeleteService(msgspec.Struct, frozen=True, kw_only=True):
    """Delete exactly the Service that was read."""

    metadata: ObjectMeta


class CreateSlice(msgspec.Struct, frozen=True, kw_only=True):
    """Make a slice of a mirror."""

    slice: EndpointSlice


class ReplaceSlice(msgspec.Struct, frozen=True, kw_only=True):
    """Change a slice in place."""

    slice: EndpointSlice


class DeleteSlice(msgspec.Struct, frozen=True, kw_only=True):
    """Delete exactly the slice that was read."""

    metadata: ObjectMeta


class DeleteEndpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Delete Endpoints that would go on feeding a mirror."""

    metadata: ObjectMeta


Operation = (
    CreateNamespace
    | CreateService
    | ReplaceService
    | DeleteService
    | CreateSlice
    | ReplaceSlice
    | DeleteSlice
    | DeleteEndpoints
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do about one mirror.

    Attributes:
        operations: Independent of one another: they may be carried out at the same time.
        refusals: What is not taken, and why.
    """

    operations: tuple[Operation, ...] = ()
    refusals: tuple[Refusal, ...] = ()


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """All that a plan for one mirror depends on.

    Attributes:
        key: The mirror.
        importing: The cluster where it is.
        desired: What should be.
        own: What is.
        slice_named: Finds a slice of ours by its own name, whichever Service it is tied to now.
        kept: The clusters that the mirror points at and that nothing is removed of: they have not
            said whether they export it, or are refused.
        namespace: Whether its namespace is there.
        create_namespaces: Whether a missing namespace is created.
    """

    key: ServiceKey
    importing: ClusterId
    desired: DesiredMirror
    own: OwnMirror
    slice_named: Callable[[str], EndpointSlice | None]
    kept: frozenset[ClusterId]
    namespace: NamespaceState
    create_namespaces: bool = False
