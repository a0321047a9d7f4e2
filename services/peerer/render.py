"""From a desired Peer to the object that is written. Pure.

What we do not decide about stays as it stands: labels and annotations of others, and a preshared
key, which people agree upon for both ends of a tunnel.
"""

from __future__ import annotations

import msgspec

from heliograph.contract.names import ClusterId
from heliograph.kilo.peer import Peer, PeerSpec
from heliograph.kube.objects import ObjectMeta
from heliograph.marks import (
    MANAGED_BY_LABEL,
    MANAGER,
    SEGMENT_ANNOTATION,
    SOURCE_CLUSTER_LABEL,
)


def new_peer(name: str, exporting: ClusterId, segment: str, spec: PeerSpec) -> Peer:
    """Return a Peer to be created."""
    return marked(Peer(metadata=ObjectMeta(name=name), spec=spec), exporting, segment)


def changed_peer(actual: Peer, exporting: ClusterId, segment: str, spec: PeerSpec) -> Peer:
    """Return what a Peer of ours should become; the very same object if it is so already."""
    kept = msgspec.structs.replace(spec, preshared_key=actual.spec.preshared_key)
    wanted = marked(msgspec.structs.replace(actual, spec=kept), exporting, segment)
    return actual if wanted == actual else wanted


def marked(peer: Peer, exporting: ClusterId, segment: str) -> Peer:
    """Return a Peer with our marks: whose it is, and what it stands for."""
    labels = {MANAGED_BY_LABEL: MANAGER, SOURCE_CLUSTER_LABEL: exporting}
    metadata = msgspec.structs.replace(
        peer.metadata,
        labels={**peer.metadata.labels, **labels},
        annotations={**peer.metadata.annotations, SEGMENT_ANNOTATION: segment},
    )
    return msgspec.structs.replace(peer, metadata=metadata)
