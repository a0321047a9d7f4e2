"""What would become of the Peers of one exporting cluster, played through on the picture. Pure.

Each phase of a plan is folded into the picture as if the API server had taken it, until nothing is
left to do; the picture is then that of the cluster as it would be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, assert_never

import msgspec

from heliograph.contract.names import ClusterId
from heliograph.kilo.peer import Peer
from heliograph.kube.objects import FIELD_MANAGER, ManagedField
from services.peerer.operations import CreatePeer, DeletePeer, Operation, ReplacePeer
from services.peerer.own import OwnPeers
from services.peerer.picture import Picture
from services.peerer.refusal import Refusal

_PASSES: Final = 8
"""More than any cluster's Peers take."""


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of the Peers of one exporting cluster.

    Attributes:
        exporting: The cluster.
        before: Its Peers as they stand, by name.
        after: As they would stand.
        refusals: What would not be taken, and why.
    """

    exporting: ClusterId
    before: Mapping[str, Peer]
    after: Mapping[str, Peer]
    refusals: tuple[Refusal, ...]


def foresee(picture: Picture, exporting: ClusterId) -> Outlook:
    """Return what would become of a cluster's Peers; the picture is then as if it had."""
    before = picture.own.ours(exporting)
    plan = picture.plan(exporting)
    for _ in range(_PASSES):
        for operation in plan.additions or plan.handovers or plan.deletions:
            _carry_out(picture.own, operation)
        plan = picture.plan(exporting)
    return Outlook(
        exporting=exporting,
        before=before,
        after=picture.own.ours(exporting),
        refusals=plan.refusals,
    )


def _carry_out(own: OwnPeers, operation: Operation) -> None:
    match operation:
        case CreatePeer(peer=peer) | ReplacePeer(peer=peer):
            author = (ManagedField(manager=FIELD_MANAGER),)
            metadata = msgspec.structs.replace(peer.metadata, managed_fields=author)
            own.put(msgspec.structs.replace(peer, metadata=metadata))
        case DeletePeer(metadata=metadata):
            own.drop(Peer(metadata=metadata))
        case _:
            assert_never(operation)
