"""Real control planes: etcd, kube-apiserver and kube-controller-manager as child processes.

From the outside in: `controlplane.py` (one life, any thread), `programs.py` (which programs, in
what order), `flags.py` (their command lines), `process.py` (one child). `build.py` makes the one
binary that they all are. Nothing here is imported by the three programs of Heliograph.
"""

from heliograph.lab.controlplane.build import built_path, ensure_built
from heliograph.lab.controlplane.controlplane import ControlPlane
from heliograph.lab.controlplane.errors import ControlPlaneFailed, ControlPlaneUnavailable
from heliograph.lab.controlplane.run_kubectl import KubectlOutcome, kubectl
from heliograph.lab.controlplane.settings import CONTROLLERS, ControlPlaneSettings

__all__ = [
    "CONTROLLERS",
    "ControlPlane",
    "ControlPlaneFailed",
    "ControlPlaneSettings",
    "ControlPlaneUnavailable",
    "KubectlOutcome",
    "built_path",
    "ensure_built",
    "kubectl",
]
