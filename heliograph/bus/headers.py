"""Reads the header block of a message. Pure; whatever a publisher may have sent, it is read.

nats-py's own reader raises on bytes that are no UTF-8, which ends the connection, again at every
replay of such a message; and half of a replay's time went into it.

Source: ADR-4 of nats-io/nats-architecture-and-design: "NATS/1.0[ status[ description]]", then
"name: value" lines, separated by CRLF.
"""

from __future__ import annotations

from typing import Final

_VERSION: Final = "NATS/1.0"


def parse(block: bytes) -> dict[str, str]:
    """Return the headers; an inline status becomes "Status" and "Description".

    Bytes that are no UTF-8 become U+FFFD; of a name given twice the last value counts.
    """
    first, *lines = block.decode("utf-8", "replace").split("\r\n")
    status, _, description = first.removeprefix(_VERSION).strip().partition(" ")
    found = {"Status": status} if status else {}
    if description:
        found["Description"] = description
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            found[name.strip()] = value.strip()
    return found
