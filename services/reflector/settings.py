"""Settings of the reflector."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from heliograph.admission.policy import PRIVATE_RANGES
from heliograph.membership.record import NAMESPACE


class ReflectorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the reflector of one cluster needs to know; `cluster` only has no default.

    Attributes:
        cluster: Id of the cluster: one DNS label.
        import_from: Clusters to import from, as CLUSTER, or CLUSTER=URL for one with a bus of its
            own; without it, all that the own cluster's bus knows.
        create_namespaces: Whether to create namespaces that mirrors need. Those are removed again
            once nothing is left in them.
        denied_namespaces: Namespaces that nobody may export into, with '*' as wildcard.
        admitted_ranges: Addresses outside of these ranges are never written into a slice.
        writes_in_flight: How many mirrors are written at the same time.
        hold_s: How long the removal of most of one cluster's mirrors at once is held back, seconds,
            unless 'heliograph confirm' lets it go; 0 to hold nothing.
        unheard_clusters: What becomes of the addresses of a cluster that is not heard of any more
            while nobody says whether its nodes answer, as where no WireGuard agents run: "keep"
            leaves them as they are; with "not-ready" traffic fails over, also when it is only the
            cluster's bus or its watcher that is away. Where agents run, their word counts.
        namespace: Namespace of the ConfigMap 'clusterset', which keeps what 'heliograph leave',
            'forget' and 'confirm' say.
    """

    cluster: str
    import_from: tuple[str, ...] = ()
    create_namespaces: bool = False
    denied_namespaces: tuple[str, ...] = ("kube-*",)
    admitted_ranges: tuple[str, ...] = PRIVATE_RANGES
    writes_in_flight: Annotated[int, msgspec.Meta(ge=1, le=256)] = 32
    hold_s: Annotated[float, msgspec.Meta(ge=0)] = 600.0
    unheard_clusters: Literal["keep", "not-ready"] = "keep"
    namespace: str = NAMESPACE
