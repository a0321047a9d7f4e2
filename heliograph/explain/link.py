"""The links of the chain from an export to its mirror, and what was found of each. Pure."""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from heliograph.contract.names import ClusterId

Name = Literal[
    "service",
    "label",
    "backend",
    "message",
    "lease",
    "admission",
    "namespace",
    "mirror",
    "slice",
    "claim",
    "tunnel",
]
"""In the order of the chain: three in the exporting cluster, two on the bus, the rest importing."""

State = Literal["ok", "broken", "unknown", "not concerned"]
"""Unknown: it could not be looked at. Not concerned: nothing depends on it here."""

_LAST_SENTENCE: Final = re.compile(r"(.*[.?!)]) (['\"A-Z].*)", re.DOTALL)
_LAST_CLAUSE: Final = re.compile(r"(.*); (.*)", re.DOTALL)


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One link.

    Attributes:
        name: Which one.
        state: What became of it.
        what: What was found, in a sentence.
        reason: One CamelCase word for programs; empty where all is ordinary.
        cure: What to do; empty unless it is broken.
    """

    name: Name
    state: State
    what: str
    reason: str = ""
    cure: str = ""


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """All links between two clusters, for one Service.

    Attributes:
        exporting: Where the Service is.
        importing: Where its mirror is, or should be.
        links: In the order of `Name`.
        broken: The first one that is broken; None if none is.
    """

    exporting: ClusterId
    importing: ClusterId
    links: tuple[Link, ...]
    broken: Link | None


def chain_of(exporting: ClusterId, importing: ClusterId, links: tuple[Link, ...]) -> Chain:
    """Return the chain, with its verdict: the first broken link."""
    broken = next((link for link in links if link.state == "broken"), None)
    return Chain(exporting=exporting, importing=importing, links=links, broken=broken)


def ok(name: Name, what: str, reason: str = "") -> Link:
    """Return a link that holds."""
    return Link(name=name, state="ok", what=what, reason=reason)


def broken(name: Name, reason: str, what: str, cure: str) -> Link:
    """Return a link that does not."""
    return Link(name=name, state="broken", what=what, reason=reason, cure=cure)


def unknown(name: Name, what: str, reason: str = "") -> Link:
    """Return a link that could not be looked at."""
    return Link(name=name, state="unknown", what=what, reason=reason)


def not_concerned(name: Name, what: str) -> Link:
    """Return a link that nothing depends on."""
    return Link(name=name, state="not concerned", what=what)


def refused(name: Name, reason: str, message: str) -> Link:
    """Return a link that a program refuses: its message ends with what to do."""
    what, cure = divide(message)
    return broken(name, reason, what, cure)


def divide(message: str) -> tuple[str, str]:
    """Return what a refusal says, and its cure: the last sentence, or the end of the only one."""
    found = _LAST_SENTENCE.fullmatch(message) or _LAST_CLAUSE.fullmatch(message)
    if found is None:
        return message, "see what the program that says so logs"
    what, cure = found.groups()
    return what.rstrip("."), cure.rstrip(".")
