"""What a set of live messages adds up to: equal sets, equal digests, in any order. Pure.

The exporter publishes the digest of what its stream holds; an importer compares it with what it
has consumed. Withdrawals do not count: they vanish by their time to live, at no message.
"""

from __future__ import annotations

import hashlib
from typing import Final

from heliograph.contract.messages import Digest

_BITS: Final = 128
_MODULUS: Final = 1 << _BITS


def fingerprint(subject: str, payload: bytes) -> int:
    """Return 128 bits that stand for one live message."""
    hashed = hashlib.blake2b(payload, digest_size=_BITS // 8, key=_key(subject))
    return int.from_bytes(hashed.digest(), "big")


class LiveSet:
    """The live messages of one kind by subject, as fingerprints, with their running sum.

    The sum modulo 2^128 does not depend on the order, and one change costs one addition.
    """

    def __init__(self) -> None:
        self._by_subject: dict[str, int] = {}
        self._sum = 0

    def __len__(self) -> int:
        return len(self._by_subject)

    def __contains__(self, subject: str) -> bool:
        return subject in self._by_subject

    def get(self, subject: str) -> int | None:
        """Return the fingerprint of the live message on `subject`; None if there is none."""
        return self._by_subject.get(subject)

    def subjects(self) -> tuple[str, ...]:
        """Return the subjects with a live message."""
        return tuple(self._by_subject)

    def put(self, subject: str, fingerprint: int) -> None:
        """Set or replace the message on `subject`."""
        self._sum = (self._sum - self._by_subject.get(subject, 0) + fingerprint) % _MODULUS
        self._by_subject[subject] = fingerprint

    def drop(self, subject: str) -> None:
        """Forget the message on `subject`, if there is one."""
        self._sum = (self._sum - self._by_subject.pop(subject, 0)) % _MODULUS

    def digest(self) -> Digest:
        """Return count and hash of all that is live."""
        return Digest(count=len(self._by_subject), hash=f"{self._sum:032x}")


def _key(subject: str) -> bytes:
    """Return at most 64 bytes (the limit of BLAKE2b's key) that depend on the whole subject."""
    encoded = subject.encode()
    return (
        encoded
        if len(encoded) <= hashlib.blake2b.MAX_KEY_SIZE
        else hashlib.blake2b(encoded).digest()
    )
