"""Why a cluster is refused, in words for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from heliograph.admission.declaration import Overlap, Use
from heliograph.contract.names import ClusterId

REASON: Final = "RangeOverlap"
"""The refusal in one word, for programs."""

KILO_DEFAULT_SUBNET: Final = "10.4.0.0/16"
"""Of Kilo's agent, unless it has a `--subnet`."""

_WAYS_OUT: Final[dict[Use, str]] = {
    "service": "another --service-cluster-ip-range of its kube-apiserver (a new ServiceCIDR)",
    "pod": "another --cluster-cidr of its CNI or kube-controller-manager",
    "tunnel": "another --subnet of its Kilo agents",
}


def explain(importing: ClusterId, overlaps: Sequence[Overlap]) -> str:
    """Return why one cluster is refused, in at most 1,000 bytes: events are cut at 1,024.

    Args:
        importing: The cluster that refuses.
        overlaps: All that stand against the refused cluster, at least one; the first is told.
    """
    first = overlaps[0]
    return (
        f"Cluster {first.refused} is refused in cluster {importing}: {_clash(first, importing)}"
        f"{_more(overlaps)}. No new mirrors of it are made, existing ones stay but are not ready, "
        f"no peers are set, nothing is deleted; other clusters go on. {way_out(first)}"
    )


def _clash(overlap: Overlap, importing: ClusterId) -> str:
    """Return which ranges overlap, and why this cluster is the one that has to yield."""
    theirs = f"{overlap.with_use or 'recorded'} range {overlap.with_cidr}"
    ours = f"its {overlap.use} range {overlap.cidr} overlaps with"
    if overlap.with_cluster == importing:
        return f"{ours} {importing}'s own {theirs}, and own ranges always win"
    when = f", at {overlap.since}" if overlap.since else ""
    away = "" if overlap.with_use else " (away now, but its place is kept)"
    return f"{ours} {theirs} of cluster {overlap.with_cluster}{away}, admitted first{when}"


def _more(overlaps: Sequence[Overlap]) -> str:
    others = len(overlaps) - 1
    uses = ", ".join(sorted({overlap.use for overlap in overlaps[1:]}))
    return f" (and {others} more: {uses})" if others else ""


def way_out(overlap: Overlap) -> str:
    """Return what to do, as a sentence, by what the refused range is for."""
    default = " (both have Kilo's default)" if _both_default(overlap) else ""
    return (
        f"Way out: give {overlap.refused} {_WAYS_OUT[overlap.use]}{default}; if what it declares "
        f"is wrong, set {overlap.use}_cidrs of its watcher."
    )


def _both_default(overlap: Overlap) -> bool:
    default = overlap.cidr == overlap.with_cidr == KILO_DEFAULT_SUBNET
    return default and overlap.use == overlap.with_use == "tunnel"
