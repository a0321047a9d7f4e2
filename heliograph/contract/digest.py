"""What a set of live messages adds up to: equal sets, equal digests, in any order. Pure.

The exporter publishes the digest of what its stream holds; an importer compares it with what it
has consumed. Withdrawals do not count: they vanish by their time to live, at no message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

import msgspec

K = TypeVar("K", bound=Hashable)

_BITS: Final = 128
_MODULUS: Final = 1 << _BITS


class Digest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the live messages of one kind add up to.

    Attributes:
        count: How many there are, withdrawals not counted.
        hash: Sum of their fingerprints modulo 2^128, as 32 hexadecimal digits. A fingerprint is
            BLAKE2b of the payload with 16 bytes of output, as a big-endian number; its key is the
            subject, or the subject's BLAKE2b with 64 bytes of output where that is longer than 64.
    """

    count: int
    hash: str


def fingerprint(subject: str, payload: bytes) -> int:
    """Return 128 bits that stand for one live message."""
    hashed = hashlib.blake2b(payload, digest_size=_BITS // 8, key=_key(subject))
    return int.from_bytes(hashed.digest(), "big")


class LiveSet(Generic[K]):
    """The live messages of one kind, as fingerprints, with their running sum.

    The key stands for a message's subject: its text, or whatever the owner keeps anyway.

    The sum modulo 2^128 does not depend on the order, and one change costs one addition.
    """

    def __init__(self) -> None:
        self._fingerprints: dict[K, int] = {}
        self._sum = 0

    def __len__(self) -> int:
        return len(self._fingerprints)

    def __contains__(self, key: K) -> bool:
        return key in self._fingerprints

    def get(self, key: K) -> int | None:
        """Return the fingerprint of a live message; None if there is none."""
        return self._fingerprints.get(key)

    def subjects(self) -> tuple[K, ...]:
        """Return the keys of the subjects with a live message."""
        return tuple(self._fingerprints)

    def put(self, key: K, fingerprint: int) -> None:
        """Set or replace a message."""
        self._sum = (self._sum - self._fingerprints.get(key, 0) + fingerprint) % _MODULUS
        self._fingerprints[key] = fingerprint

    def drop(self, key: K) -> None:
        """Forget a message, if there is one."""
        self._sum = (self._sum - self._fingerprints.pop(key, 0)) % _MODULUS

    def digest(self) -> Digest:
        """Return count and hash of all that is live."""
        return Digest(count=len(self._fingerprints), hash=f"{self._sum:032x}")


def _key(subject: str) -> bytes:
    """Return at most 64 bytes (the limit of BLAKE2b's key) that depend on the whole subject."""
    encoded = subject.encode()
    return (
        encoded
        if len(encoded) <= hashlib.blake2b.MAX_KEY_SIZE
        else hashlib.blake2b(encoded).digest()
    )
