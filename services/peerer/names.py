"""Names of the Peers that we make. Pure.

A Peer is named after the exporting cluster and the part of its mesh: readable, deterministic, and
of nobody else, since a cluster's id holds no dot.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from heliograph.contract.names import ClusterId, is_dns_subdomain

_LIMIT: Final = 253  # RFC 1123 subdomain, as Kubernetes has it
_STRANGE: Final = re.compile(r"[^a-z0-9.-]+|(?<![a-z0-9])[.-]+|[.-]+(?![a-z0-9])")


def peer_name(exporting: ClusterId, segment: str, suffix: str = "") -> str:
    """Return the name of the Peer of a segment ("node:NAME" or "location:NAME").

    What no name may hold (locations are free text) or is too long is replaced by a hash; so is
    what `suffix` stands for, when the plain name is taken.
    """
    kind, _, name = segment.partition(":")
    plain = f"{exporting}.{kind}.{name}"
    if not suffix and len(plain) <= _LIMIT and is_dns_subdomain(plain):
        return plain
    hashed = hashlib.blake2b(f"{segment}\0{suffix}".encode(), digest_size=8).hexdigest()
    room = _LIMIT - len(f"{exporting}.{kind}..{hashed}")
    readable = _STRANGE.sub("-", name.lower())[:room].strip("-.")
    return ".".join(filter(None, (exporting, kind, readable, hashed)))
