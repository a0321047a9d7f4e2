"""What the test has made of each export, and so what mirrors there must be. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec

Mode = Literal["cluster-ip", "pods"]
POD_PORT = 8080


@dataclass(kw_only=True)
class Export:
    """One Service of an exporting cluster, as the test has last made it.

    Attributes:
        cluster: Where it lives.
        name: The same in several clusters for a shared one; then its port is the same as well.
        mode: What its mirrors point at.
        port: Its one port, "http".
        backends: Whether each is ready, by address; never none.
        labelled: Whether it carries the export label.
        exists: Whether there is a Service, and an EndpointSlice for it.
        cluster_ip: Its cluster IP; empty until the API server has given one.
        created: When it was created, as the API server says; the oldest comes first in mirrors.
        continuous: Whether its mirror, once made, may neither go nor change its cluster IP: nobody
            withdrew the export, or all that came of a withdrawal has been seen.
        same_slices: Whether the same holds for the mirror's slices.
    """

    cluster: str
    name: str
    mode: Mode = "cluster-ip"
    port: int = 80
    backends: dict[str, bool] = field(default_factory=dict)
    labelled: bool = True
    exists: bool = False
    cluster_ip: str = ""
    created: str = ""
    continuous: bool = True
    same_slices: bool = True

    @property
    def wanted(self) -> bool:
        """Whether there must be mirrors of it."""
        return self.exists and self.labelled

    def interrupt(self) -> None:
        """Note that it is about to be withdrawn."""
        self.continuous = self.same_slices = False

    def settle(self) -> None:
        """Note that every cluster was seen to have what is wanted now."""
        self.continuous = self.same_slices = self.wanted


class Mirror(msgspec.Struct, frozen=True, kw_only=True):
    """A mirror as far as it is checked.

    Attributes:
        exporting: The mark of the Service: the clusters that it points at, oldest export first.
        ports: (name, protocol, number) of the Service.
        slice_ports: The same of all slices.
        addresses: (address, ready, the cluster that the slice is marked with), sorted.
        selector: Whether the Service has a selector.
    """

    exporting: str
    ports: tuple[tuple[str, str, int], ...]
    slice_ports: tuple[tuple[str, str, int], ...]
    addresses: tuple[tuple[str, bool, str], ...]
    selector: bool = False


class Model:
    """All exports of all clusters, in one namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._exports: dict[str, list[Export]] = {}

    def __iter__(self) -> Iterator[Export]:
        return itertools.chain.from_iterable([*self._exports.values()])

    def add(self, export: Export) -> Export:
        """Know one more; its cluster must not have one of that name."""
        same = self._exports.setdefault(export.name, [])
        assert all(other.cluster != export.cluster for other in same)
        same.append(export)
        return export

    def of(self, name: str, importing: str) -> list[Export]:
        """Return the exports of a name that a cluster may mirror; none if it has such a Service."""
        exports = self._exports.get(name, [])
        if any(export.exists and export.cluster == importing for export in exports):
            return []
        return [export for export in exports if export.cluster != importing]

    def mirrors(self, importing: str) -> dict[str, Mirror]:
        """Return the mirrors that a cluster must have, by name."""
        wanted = {name: [e for e in self.of(name, importing) if e.wanted] for name in self._exports}
        return {name: _mirror(exports) for name, exports in wanted.items() if exports}

    def settle(self) -> None:
        """Note that every cluster was seen to have what is wanted now."""
        for export in self:
            export.settle()


def _mirror(exports: Iterable[Export]) -> Mirror:
    by_age = sorted(exports, key=lambda e: (e.created, e.cluster))
    return Mirror(
        exporting=",".join(export.cluster for export in by_age),
        ports=(("http", "TCP", by_age[0].port),),
        slice_ports=tuple(sorted({("http", "TCP", _slice_port(e)) for e in by_age})),
        addresses=tuple(sorted(a for e in by_age for a in _addresses(e))),
    )


def _slice_port(export: Export) -> int:
    return export.port if export.mode == "cluster-ip" else POD_PORT


def _addresses(export: Export) -> Iterator[tuple[str, bool, str]]:
    by_cluster_ip = {export.cluster_ip: any(export.backends.values())}
    backends = by_cluster_ip if export.mode == "cluster-ip" else export.backends
    for address, ready in backends.items():
        yield address, ready, export.cluster


def differences(wanted: dict[str, Mirror], found: dict[str, Mirror]) -> list[str]:
    """Say in lines what is not as it must be."""
    return [
        f"{name}: wanted {wanted.get(name)}, found {found.get(name)}"
        for name in sorted({*wanted, *found})
        if wanted.get(name) != found.get(name)
    ]
