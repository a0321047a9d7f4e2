"""What a mirror consists of, as far as we decide about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from heliograph.contract.names import ClusterId
from heliograph.kube.objects import Endpoint, Port


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a Service of one cluster is not mirrored, or not wholly.

    Attributes:
        exporting: The cluster concerned.
        reason: One CamelCase word.
        message: One sentence for people.
    """

    exporting: ClusterId
    reason: str
    message: str


class MirrorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a mirror's Service that we decide.

    Attributes:
        headless: Whether it has no cluster IP.
        families: IP families, the primary one first.
        ports: With name, protocol, number and application protocol only.
        affinity_s: Time-out of client-IP affinity; None without.
    """

    headless: bool
    families: tuple[str, ...]
    ports: tuple[Port, ...]
    affinity_s: int | None = None


class MirrorSlice(msgspec.Struct, frozen=True, kw_only=True):
    """One EndpointSlice of a mirror; the addresses of one cluster, in one family.

    Attributes:
        exporting: The cluster that the addresses belong to.
        address_type: "IPv4" or "IPv6".
        endpoints: The backends.
        ports: Their ports.
    """

    exporting: ClusterId
    address_type: str
    endpoints: tuple[Endpoint, ...]
    ports: tuple[Port, ...]


class DesiredMirror(msgspec.Struct, frozen=True, kw_only=True):
    """What should be.

    Attributes:
        spec: The Service; None when no export can be taken.
        exporting: The clusters whose exports are taken, oldest first.
        slices: By name.
        partial: The clusters that may have more slices than are known.
        refusals: What is not taken, and why.
    """

    spec: MirrorSpec | None = None
    exporting: tuple[ClusterId, ...] = ()
    slices: Mapping[str, MirrorSlice] = {}
    partial: frozenset[ClusterId] = frozenset()
    refusals: tuple[Refusal, ...] = ()
