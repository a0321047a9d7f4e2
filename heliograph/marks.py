"""Labels and annotations by which Heliograph is told what to do, and by which it knows its own.

Pure vocabulary, shared by the programs and the command line.
"""

from __future__ import annotations

from typing import Final

from heliograph.kube.objects import FIELD_MANAGER, KubeObject, ObjectMeta

EXPORT_LABEL: Final = "heliograph.io/export"
EXPORT_SELECTOR: Final = f"{EXPORT_LABEL}=true"
ENDPOINTS_ANNOTATION: Final = "heliograph.io/endpoints"
IMPORTERS_ANNOTATION: Final = "heliograph.io/importers"
"""On a Service: the clusters that may mirror it, separated by commas; all without it."""

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "heliograph"
MANAGED_SELECTOR: Final = f"{MANAGED_BY_LABEL}={MANAGER}"
EXPORTING_ANNOTATION: Final = "heliograph.io/exporting-clusters"
"""On a mirror: the clusters it points at, oldest export first, separated by commas."""

SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"
SLICE_MANAGED_BY_LABEL: Final = "endpointslice.kubernetes.io/managed-by"
SLICE_MANAGER: Final = "heliograph.io"
SOURCE_CLUSTER_LABEL: Final = "multicluster.kubernetes.io/source-cluster"
SEGMENT_ANNOTATION: Final = "heliograph.io/segment"
"""On a Peer: which part of the exporting cluster's mesh it is: "node:NAME" or "location:NAME"."""

PUBLIC_KEY_ANNOTATION: Final = "heliograph.io/public-key"
"""On a Node, like the three below: what its WireGuard agent says of it."""

NEXT_PUBLIC_KEY_ANNOTATION: Final = "heliograph.io/next-public-key"
ENDPOINT_ANNOTATION: Final = "heliograph.io/endpoint"
TUNNEL_IP_ANNOTATION: Final = "heliograph.io/tunnel-ip"
ROTATE_ANNOTATION: Final = "heliograph.io/rotate-keys"
"""On a Node: that people ask for a new key; the agent takes it away when it is done, or cannot."""

ROTATION_ANNOTATION: Final = "heliograph.io/key-rotation"
"""On a Node: how that goes, or how it ended last, in JSON: asked, stage, said."""


def is_ours(obj: KubeObject) -> bool:
    """Tell whether Heliograph manages the object: it carries our label, and we wrote it.

    The label alone proves nothing: people copy objects with their labels. Who wrote is kept by the
    API server, which copies do not carry over.
    """
    return is_labelled(obj.metadata) and any(
        entry.manager == FIELD_MANAGER for entry in obj.metadata.managed_fields
    )


def is_labelled(metadata: ObjectMeta) -> bool:
    """Tell whether the object carries our label, whoever wrote it."""
    return metadata.labels.get(MANAGED_BY_LABEL) == MANAGER
