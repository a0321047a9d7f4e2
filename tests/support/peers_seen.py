"""What a watch of one cluster's Peers shows, as Kilo's agents see it, and what must never be."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import msgspec

from heliograph.kilo.peer import PEERS, Peer
from heliograph.kilo.validation import why_invalid
from heliograph.kube.client import KubeClient
from heliograph.kube.watch import Deleted, Listed, ListWatch
from heliograph.marks import SOURCE_CLUSTER_LABEL, is_labelled
from heliograph.wireguard.notation import parse_public_key


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the watch."""

    what: Literal["new", "changed", "gone"]
    peer: Peer

    @property
    def name(self) -> str:
        """The Peer's name."""
        return self.peer.metadata.name


class PeersSeen:
    """The Peers of one importing cluster, checked after each event.

    Attributes:
        peers: By name, as last seen.
        events: All events, oldest first; a listing is the events that lead to it.
        listed: Set once all Peers were seen.
        on_gone: Hears of each Peer that is gone, or was made anew.
    """

    def __init__(
        self,
        client: KubeClient,
        shared: Mapping[str, tuple[str, ...]],
        report: Callable[[str], None],
    ) -> None:
        """Prepare.

        Args:
            client: The importing cluster.
            shared: By exporting cluster, the ranges that exactly one of its Peers has in the end,
                and that never have none once they had one, as long as there are Peers of it.
            report: Hears of what must never be.
        """
        self._client, self._shared, self._report = client, shared, report
        self._held: set[str] = set()
        self._forgiving = False
        self.on_gone: Callable[[Peer], None] = lambda _: None
        self.peers: dict[str, Peer] = {}
        self.events: list[Seen] = []
        self.listed = asyncio.Event()

    @property
    def versions(self) -> dict[str, str]:
        """Return the resource version of each Peer, as last seen."""
        return {name: peer.metadata.resource_version for name, peer in self.peers.items()}

    def holders(self, cidr: str) -> list[str]:
        """Return the Peers that have a range."""
        return [name for name, peer in self.peers.items() if cidr in peer.spec.allowed_ips]

    def of(self, name: str) -> list[str]:
        """Return what was seen of one Peer, oldest first."""
        return [event.what for event in self.events if event.name == name]

    def forgive(self) -> None:
        """Take that a person takes ranges away, until `expect`."""
        self._forgiving = True

    def expect(self) -> None:
        """Take that all is as it should be: from now on no range may lose its holder."""
        self._forgiving = False

    async def run(self) -> None:
        """Watch, for ever."""
        async for event in ListWatch(self._client, PEERS, look_again_s=0.2).events():
            match event:
                case Listed(items=items):
                    self._list({peer.metadata.name: peer for peer in items})
                    self.listed.set()
                case Deleted(object=peer):
                    self._take(peer.metadata.name, None)
                case _:
                    self._take(event.object.metadata.name, event.object)
            for fault in self._faults():
                self._report(f"in {self._client.cluster}, {fault}")

    def _list(self, found: Mapping[str, Peer]) -> None:
        for name in self.peers.keys() | found.keys():
            self._take(name, found.get(name))

    def _take(self, name: str, now: Peer | None) -> None:
        before = self.peers.pop(name, None)
        if now is not None:
            self.peers[name] = now
        if before is not None and (now is None or now.metadata.uid != before.metadata.uid):
            self.events.append(Seen(what="gone", peer=before))
            self.on_gone(before)
            before = None
        if now is not None and now != before:
            self.events.append(Seen(what="changed" if before else "new", peer=now))

    def _faults(self) -> Iterator[str]:
        ours = [peer for peer in self.peers.values() if is_labelled(peer.metadata)]
        keys = Counter(parse_public_key(peer.spec.public_key) for peer in self.peers.values())
        if doubled := [key for key, count in keys.items() if count > 1]:
            yield f"several Peers have the keys {doubled}"
        for peer in ours:
            if (why := why_invalid(peer.spec)) is not None:
                yield f"Kilo ignores Peer {peer.metadata.name}: {why}"
        for exporting, cidrs in self._shared.items():
            theirs = [p for p in ours if p.metadata.labels[SOURCE_CLUSTER_LABEL] == exporting]
            for cidr in cidrs:
                yield from self._gap(cidr, theirs)

    def _gap(self, cidr: str, peers: list[Peer]) -> Iterator[str]:
        """Yield that a range has lost its holder."""
        if any(cidr in peer.spec.allowed_ips for peer in peers):
            self._held.add(cidr)
        elif cidr in self._held:
            self._held.discard(cidr)
            if peers and not self._forgiving:
                yield f"no Peer has {cidr} for a moment"
