"""What is done to Peers, as data. Pure."""

from __future__ import annotations

import msgspec

from heliograph.contract.names import ClusterId
from heliograph.kilo.peer import Peer
from heliograph.kube.objects import ObjectMeta
from services.peerer.refusal import Refusal


class CreatePeer(msgspec.Struct, frozen=True, kw_only=True):
    """Make a Peer."""

    peer: Peer


class ReplacePeer(msgspec.Struct, frozen=True, kw_only=True):
    """Change a Peer, in the version that it was planned from."""

    peer: Peer


class DeletePeer(msgspec.Struct, frozen=True, kw_only=True):
    """Delete a Peer, in the version that it was planned from."""

    metadata: ObjectMeta


Operation = CreatePeer | ReplacePeer | DeletePeer


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do about the Peers of one exporting cluster.

    Attributes:
        additions: First, in any order: what is new, and what changes. A Peer that hands a range
            over keeps it.
        handovers: Then: Peers lose what others have been given. When one of `additions` failed,
            these and the deletions wait.
        deletions: Last: Peers that should not be.
        refusals: What stands in the way.
        awaited: Other clusters whose Peers still have keys that are this one's now; when those have
            changed, plan again.
    """

    additions: tuple[CreatePeer | ReplacePeer, ...] = ()
    handovers: tuple[ReplacePeer, ...] = ()
    deletions: tuple[DeletePeer, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    awaited: frozenset[ClusterId] = frozenset()

    @property
    def operations(self) -> tuple[Operation, ...]:
        """All of them, in order."""
        return (*self.additions, *self.handovers, *self.deletions)
