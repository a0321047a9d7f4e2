"""User credentials of a NATS operator set-up: a `.creds` file with a JWT and an Ed25519 seed.

The seed signs the server's nonce; it is read, used and forgotten, never kept or shown.

Source: the format of nkeys (github.com/nats-io/nkeys): base32 of two prefix bytes, 32 bytes of
seed and a CRC-16 (XMODEM), little endian.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from heliograph.errors import InputError

_SECTION = r"-----BEGIN {}-----\s*(\S+)\s*-+END {}-+"
_JWT = re.compile(_SECTION.format("NATS USER JWT", "NATS USER JWT"))
_SEED = re.compile(_SECTION.format("USER NKEY SEED", "USER NKEY SEED"))
_PREFIX_BYTES, _SEED_BYTES, _CRC_BYTES = 2, 32, 2
_FIRST_BYTE_OF_SEEDS = 18 << 3  # the letter S in base32


def user_jwt(path: Path) -> bytes:
    """Return the JWT of the file, as the server wants it."""
    return _section(_JWT, path, "user JWT").encode()


def sign(path: Path, nonce: str) -> bytes:
    """Sign the server's nonce with the file's seed; base64, as nats-py sends it on."""
    key = Ed25519PrivateKey.from_private_bytes(decode_seed(_section(_SEED, path, "seed"), path))
    return base64.b64encode(key.sign(nonce.encode()))


def decode_seed(text: str, path: Path) -> bytes:
    """Return the 32 bytes of an nkey seed; `path` names the file in the error."""
    try:
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
    except binascii.Error:
        raw = b""
    whole = len(raw) == _PREFIX_BYTES + _SEED_BYTES + _CRC_BYTES
    if not whole or raw[0] & 0xF8 != _FIRST_BYTE_OF_SEEDS or not _crc_fits(raw):
        raise _unusable(path, "its seed is damaged")
    return raw[_PREFIX_BYTES:-_CRC_BYTES]


def _crc_fits(raw: bytes) -> bool:
    return binascii.crc_hqx(raw[:-_CRC_BYTES], 0) == int.from_bytes(raw[-_CRC_BYTES:], "little")


def _section(pattern: re.Pattern[str], path: Path, what: str) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, "it cannot be read") from error
    found = pattern.search(text)
    if found is None:
        raise _unusable(path, f"it holds no {what}")
    return found.group(1)


def _unusable(path: Path, why: str) -> InputError:
    return InputError(
        f"credentials file {path} is of no use: {why}; "
        "make it anew with the tool that issues the users of your NATS operator."
    )
