"""Arguments that several commands share, and acting in one cluster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from heliograph import program

if TYPE_CHECKING:
    from heliograph.kube.client import KubeClient

OneKubeconfig = Annotated[
    str | None,
    Parameter(help="PATH or PATH@CONTEXT [default: $KUBECONFIG, else ~/.kube/config]."),
]
Json = Annotated[bool, Parameter(help="Print one JSON object.", negative="")]


def in_cluster(kubeconfig: str | None, act: Callable[[KubeClient], Awaitable[str]]) -> int:
    """Do one thing in the cluster of a kubeconfig, and print what was done."""
    from heliograph.cli import acting  # noqa: PLC0415 - keeps `--help` quick

    return program.run(acting.act(kubeconfig, act))
