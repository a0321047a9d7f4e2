"""WireGuard's keys: made, kept in a file, and never shown.

Curve25519 (RFC 7748), as wg(8) writes it: base64 of 32 bytes.
"""

from __future__ import annotations

import base64
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from typing_extensions import override

from heliograph.errors import InputError

KEY_BYTES: Final = 32


class PrivateKey:
    """A private key that no log, no error and no debugger's print shows."""

    __slots__ = ("_raw", "public")

    def __init__(self, raw: bytes) -> None:
        """Take the 32 bytes of a key.

        Raises:
            InputError: They are not 32, or all zero, which takes a device's key away.
        """
        if not any(raw):
            raise InputError("a WireGuard key of zeros is none")
        if len(raw) != KEY_BYTES:
            raise InputError(f"a WireGuard key has {KEY_BYTES} bytes, and this one has {len(raw)}")
        self._raw = raw
        public = X25519PrivateKey.from_private_bytes(raw).public_key()
        self.public: Final = base64.b64encode(public.public_bytes_raw()).decode()

    @classmethod
    def generate(cls) -> PrivateKey:
        """Make a new key from the system's random numbers."""
        return cls(X25519PrivateKey.generate().private_bytes_raw())

    def reveal(self) -> bytes:
        """Return the 32 bytes, for the device and for the key's own file alone."""
        return self._raw

    @override
    def __repr__(self) -> str:
        return f"<private key of {self.public}>"

    @override
    def __reduce__(self) -> str:
        raise TypeError("a private key is not copied into anything")
