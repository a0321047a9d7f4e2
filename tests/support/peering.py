"""Clusters in memory whose nodes look as Kilo's agent leaves them, with watchers and peerers."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from heliograph.lab.kilo import peer_crd
from heliograph.lab.memory import JsonObject
from tests.support.builders import kilo
from tests.support.joined import Cluster, JoinedClusters, eventually, joined

PEERS = "kilo.squat.ai/v1alpha1"


def key_of(text: str) -> str:
    """Return a public key that stands for a text."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def namespace(name: str) -> JsonObject:
    """Return a Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


class Peered:
    """Joined clusters with nodes, as people and Kilo's agents see and change them."""

    def __init__(self, lab: JoinedClusters) -> None:
        self.lab = lab

    def __getitem__(self, name: str) -> Cluster:
        return self.lab[name]

    def add_node(
        self, cluster: str, name: str, number: int = 1, *, seen_s: float = 0, **said: str
    ) -> JsonObject:
        """Apply a node of a cluster, the `number`-th of it, last heard `seen_s` seconds ago."""
        at = self[cluster].number
        annotations = {
            "endpoint": f"203.0.113.{20 * at + number}:51820",
            "internal_ip": f"10.20.{at}.{number}/24",
            "key": key_of(f"{cluster}/{name}"),
            "last_seen": str(int(time.time() - seen_s)),
            "wireguard_ip": f"10.{4 + at}.0.1/16",
            "granularity": "full",
        } | said
        cidr = annotations.pop("pod_cidr", f"10.{42 + at}.{number}.0/24")
        given = {k: v for k, v in annotations.items() if v != "absent"}
        metadata = {"name": name, "annotations": kilo(**given)}
        spec = {"podCIDR": cidr, "podCIDRs": [cidr]}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}
        return self[cluster].api.apply(node)

    def annotate(self, cluster: str, name: str, **said: str | None) -> None:
        """Change (None: remove) annotations of Kilo's on a node, as its agent does."""
        node = self[cluster].api.get("Node", "", name)
        assert node is not None
        for annotation, value in said.items():
            (full,) = kilo(**{annotation: ""})
            annotations = node["metadata"].setdefault("annotations", {})
            if value is None:
                annotations.pop(full, None)
            else:
                annotations[full] = value
        self[cluster].api.apply(node)

    def remove_node(self, cluster: str, name: str) -> None:
        """Delete a node."""
        self[cluster].api.delete("Node", "", name)

    def peers(self, cluster: str) -> dict[str, JsonObject]:
        """Return the Peers of a cluster by name."""
        return {peer["metadata"]["name"]: peer for peer in self[cluster].api.list("Peer")}

    def allowed(self, cluster: str, peer: str) -> list[str]:
        """Return the allowed IPs of a Peer; none if there is no such Peer."""
        found = self.peers(cluster).get(peer)
        return found["spec"]["allowedIPs"] if found else []

    def apply_peer(self, cluster: str, name: str, key: str, *allowed: str) -> JsonObject:
        """Apply a Peer by hand."""
        spec = {"publicKey": key, "allowedIPs": list(allowed)}
        peer = {"apiVersion": PEERS, "kind": "Peer", "metadata": {"name": name}, "spec": spec}
        return self[cluster].api.apply(peer)

    def holders(self, cluster: str, cidr: str) -> list[str]:
        """Return the Peers that have a range among their allowed IPs."""
        return [n for n, p in self.peers(cluster).items() if cidr in p["spec"]["allowedIPs"]]

    def versions(self, cluster: str) -> dict[str, str]:
        """Return the resource version of each Peer: equal versions, no write."""
        return {n: p["metadata"]["resourceVersion"] for n, p in self.peers(cluster).items()}

    async def start(self, *names: str) -> None:
        """Start watchers and peerers, and wait until all is as it should be."""
        for name in names:
            await self.lab.start_watcher(name)
        for name in names:
            await self.lab.start_peerer(name)
        await self.settled(*names)

    async def settled(self, *names: str) -> None:
        """Wait until peerers have heard every one of these clusters and have nothing left to do."""
        for name in names:
            await eventually(lambda name=name: self[name].peerer.heard() >= set(names))  # type: ignore[misc]
            await eventually(lambda name=name: self[name].peerer.idle)  # type: ignore[misc]

    def writes(self, cluster: str, verb: str) -> float:
        """Return how many writes of a kind succeeded."""
        labels = {"verb": verb, "resource": "peers", "outcome": "ok"}
        found = self[cluster].peer_metrics.registry.get_sample_value(
            "heliograph_api_writes_total", labels
        )
        return found or 0.0


@asynccontextmanager
async def peered(
    folder: Path,
    *names: str,
    url: str,
    start: bool = True,
    crd: bool = True,
    **settings: Any,  # noqa: ANN401
) -> AsyncIterator[Peered]:
    """Run clusters that know Peers, each with two nodes n1 and n2; then start the programs."""
    urls = dict.fromkeys(names, url)
    async with joined(folder, *names, urls=urls, start=False, **settings) as lab:
        found = Peered(lab)
        for name in names:
            lab[name].api.apply(namespace("heliograph"))
            if crd:
                lab[name].api.apply(peer_crd())
            for number in (1, 2):
                found.add_node(name, f"n{number}", number)
        if start:
            await found.start(*names)
        yield found
