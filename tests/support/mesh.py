"""Heliograph's programs in a laboratory's network, beside the body of a test."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Iterator
from contextlib import contextmanager

from heliograph.lab.network import Laboratory
from heliograph.lab.network.mesh import Mesh
from tests.support.planes import built_binary


@contextmanager
def running_mesh(laboratory: Laboratory, roaming: Container[str] = ()) -> Iterator[Mesh]:
    """Run all programs beside the body; the `roaming` nodes announce no endpoint."""
    mesh = Mesh(laboratory, built_binary(), roaming=roaming)
    asyncio.run(mesh.prepare())
    mesh.start()
    try:
        yield mesh
    finally:
        mesh.stop()
