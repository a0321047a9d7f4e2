"""An API server in memory: list, watch, write, refuse, as the real one does.

For the demo, unit tests, and hundreds of clusters in one process. `MemoryCluster` in `server.py`
is the way in; `tests/lab/test_api_server_contract.py` holds it to a real kube-apiserver.
"""

from heliograph.lab.memory.kinds import Kind, content_differs
from heliograph.lab.memory.objects import JsonObject
from heliograph.lab.memory.rules import Rules
from heliograph.lab.memory.server import MemoryCluster
from heliograph.lab.memory.settings import MemoryClusterSettings
from heliograph.lab.memory.status import StatusError

__all__ = [
    "JsonObject",
    "Kind",
    "MemoryCluster",
    "MemoryClusterSettings",
    "Rules",
    "StatusError",
    "content_differs",
]
