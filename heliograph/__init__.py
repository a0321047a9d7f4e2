"""Heliograph: independent Kubernetes clusters use each other's Services as if they were their own.

This package holds what the programs share: the contract (vocabulary), the adapters to Kubernetes,
NATS and telemetry, the command line, and the laboratory. The programs are in `services`.

For other programs it has one function, `subscribe`: `async for event in heliograph.subscribe(url)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heliograph.bus import BusUnreachable as BusUnreachable
    from heliograph.bus import ConnectionSettings as ConnectionSettings
    from heliograph.contract.subjects import Kind as Kind
    from heliograph.errors import HeliographError as HeliographError
    from heliograph.errors import InputError as InputError
    from heliograph.mesh.event import MeshEvent as MeshEvent
    from heliograph.mesh.subscribe import subscribe as subscribe

__version__ = "0.1.0"

__all__ = [
    "BusUnreachable",
    "ConnectionSettings",
    "HeliographError",
    "InputError",
    "Kind",
    "MeshEvent",
    "subscribe",
]

_PUBLIC = {
    "BusUnreachable": "heliograph.bus",
    "ConnectionSettings": "heliograph.bus",
    "HeliographError": "heliograph.errors",
    "InputError": "heliograph.errors",
    "Kind": "heliograph.contract.subjects",
    "MeshEvent": "heliograph.mesh.event",
    "subscribe": "heliograph.mesh.subscribe",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever is public
    """Import what is public when it is asked for: `heliograph --help` is quick without."""
    from importlib import import_module  # noqa: PLC0415

    if name not in _PUBLIC:
        raise AttributeError(f"module 'heliograph' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
