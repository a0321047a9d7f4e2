"""Which peers answer: by what was received from them, and the passing of time. Pure.

WireGuard's own handshakes come every two minutes and prove too little. A packet that asks for an
answer proves more: whoever receives data and has nothing to send says so within 10 s (Whitepaper,
section 6.5, passive keepalive). So a peer that was asked and stays silent for longer is gone,
whether or not its firewall answers pings.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Final

import msgspec

from heliograph.wireguard.device import Device
from services.peerer.wireguard.handshakes import Handshakes

SILENT_AFTER_S: Final = 13.0
"""A peer that was asked all the time and sent nothing for so long does not answer any more."""

ASK_AFTER_S: Final = 0.5
"""A peer that sent nothing for so long is asked."""

_LONGEST_STEP_S: Final = 3.0
"""Of time between two looks, no more counts: this process may have slept, and asked nobody."""


class State(enum.StrEnum):
    """What is known of a peer."""

    UNTRIED = "untried"
    ANSWERING = "answering"
    SILENT = "silent"


class _Watched(msgspec.Struct):
    """A peer, as it was seen last."""

    rx_bytes: int
    silent_s: float = 0.0
    heard: bool = False


class Health:
    """The states of all peers of one device, by key.

    Attributes:
        handshakes: In which order they were.
    """

    def __init__(self) -> None:
        self.handshakes = Handshakes()
        self._peers: dict[str, _Watched] = {}
        self._looked_at_s: float | None = None

    def look(self, device: Device, *, now_s: float) -> bool:
        """Take what stands; return whether a state changed.

        Args:
            device: As it was just read.
            now_s: Of any clock; where it goes back, no time passed.
        """
        self.handshakes.look(device)
        before = {key: self.state(key) for key in self._peers}
        step_s = 0.0 if self._looked_at_s is None else now_s - self._looked_at_s
        self._looked_at_s = now_s
        for key in self._peers.keys() - device.peers.keys():
            del self._peers[key]
        for key, peer in device.peers.items():
            self._see(key, peer.rx_bytes, min(max(step_s, 0.0), _LONGEST_STEP_S))
        return before != {key: self.state(key) for key in self._peers}

    def state(self, key: str) -> State:
        """Return what is known of a peer; untried if it is not there."""
        watched = self._peers.get(key)
        if watched is None:
            return State.UNTRIED
        if watched.silent_s >= SILENT_AFTER_S:
            return State.SILENT
        return State.ANSWERING if watched.heard else State.UNTRIED

    def silent(self) -> frozenset[str]:
        """Return the keys of the peers that do not answer any more."""
        return frozenset(k for k, one in self._peers.items() if one.silent_s >= SILENT_AFTER_S)

    def to_ask(self) -> Iterable[str]:
        """Yield the peers to send something that calls for an answer."""
        return (key for key, peer in self._peers.items() if peer.silent_s >= ASK_AFTER_S)

    def _see(self, key: str, rx_bytes: int, step_s: float) -> None:
        watched = self._peers.get(key)
        if watched is None:
            self._peers[key] = _Watched(rx_bytes=rx_bytes)
        elif rx_bytes not in {watched.rx_bytes, 0}:
            watched.rx_bytes, watched.silent_s, watched.heard = rx_bytes, 0.0, True
        else:  # a counter at nought again is a peer that was made anew, and said nothing since
            watched.rx_bytes = rx_bytes
            watched.silent_s += step_s
