"""Where a cluster's credentials are. Pure, and quick to import."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Kubeconfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where a cluster's credentials are.

    Attributes:
        path: A kubeconfig file; None for the pod's own service account.
        context: A context of it; None for its current one.
    """

    path: Path | None = None
    context: str | None = None

    @classmethod
    def parse(cls, text: str) -> Kubeconfig:
        """Return what "PATH" or "PATH@CONTEXT" says (a context may hold '@', a path here not)."""
        path, _, context = text.partition("@")
        return cls(path=Path(path).expanduser(), context=context or None)
