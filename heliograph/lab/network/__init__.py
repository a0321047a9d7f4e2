"""Networks with real packets: clusters of several nodes each, in namespaces of their own.

From the outside in: `laboratory.py` (one life), `cluster.py` and `router.py` (what there is to
use), `node.py` and `pod.py` (kinds of `host.py`), `namespaces.py` (what they stand on). `spec.py`,
`addresses.py`, `wiring.py` and `objects.py` are pure. Nothing touches the machine's own network.
"""

from heliograph.lab.network.cluster import Cluster
from heliograph.lab.network.errors import CommandFailed, NetworkUnavailable
from heliograph.lab.network.host import Host, Outcome
from heliograph.lab.network.laboratory import Laboratory
from heliograph.lab.network.node import Node
from heliograph.lab.network.pod import Answer, Asker, Pod
from heliograph.lab.network.program import Program
from heliograph.lab.network.router import Capture, Router
from heliograph.lab.network.spec import ClusterSpec, LaboratorySpec, NodeSpec

__all__ = [
    "Answer",
    "Asker",
    "Capture",
    "Cluster",
    "ClusterSpec",
    "CommandFailed",
    "Host",
    "Laboratory",
    "LaboratorySpec",
    "NetworkUnavailable",
    "Node",
    "NodeSpec",
    "Outcome",
    "Pod",
    "Program",
    "Router",
]
