"""Subjects of the bus: the only place where names become tokens and tokens become names. Pure.

`heliograph.v1.<cluster>.<kind>[.<namespace>].<name>`; a refusal that is about no namespaced thing
has `_` in the namespace's place. The publishing cluster is taken from the
subject, which the bus's permissions guard, and never from a payload.
"""

from __future__ import annotations

import enum
import re
import sys
from typing import Final

import msgspec
from typing_extensions import override

from heliograph.contract.names import ClusterId, is_dns_label, is_dns_subdomain
from heliograph.errors import TerminalError

VERSION: Final = "v1"
_ROOT: Final = f"heliograph.{VERSION}"
_FEEDBACK_ROOT: Final = f"heliograph.feedback.{VERSION}"
STREAM_PREFIX: Final = "HELIOGRAPH_"
_ABOUT: Final = 4
"""Where in a feedback subject begins what it is about: the exporting cluster, kind and name."""

_NO_NAMESPACE: Final = "_"  # no escaped name is this
_LONGEST_USUAL: Final = 200
"""No longer name is too long then; a longer subject is looked at token by token."""


class Kind(enum.StrEnum):
    """What a message is about; the fourth token of its subject."""

    CLUSTER = "cluster"
    NODE = "node"
    SERVICE = "service"
    ENDPOINTS = "endpoints"
    LINK = "link"
    REFUSAL = "refusal"

    @property
    def namespaced(self) -> bool:
        """Whether its subjects carry a namespace."""
        return self in _NAMESPACED


_NAMESPACED: Final = frozenset({Kind.SERVICE, Kind.ENDPOINTS, Kind.REFUSAL})
_KINDS: Final = {str(kind): kind for kind in Kind}

_LABEL: Final = "[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_PART: Final = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_USUAL: Final = re.compile(
    rf"heliograph\.v1\.({_LABEL})\.(?:(cluster|node|link)|(service|endpoints|refusal)\.({_LABEL}))"
    rf"\.({_PART}(?:_{_PART})*)"
)
"""Every subject but the refusals of what has no namespace; names may be too long in it."""


class MalformedSubject(TerminalError):
    """A subject that this version of the contract does not know."""

    def __init__(self, subject: str, why: str) -> None:
        super().__init__(f"subject {subject!r} is not of the contract {VERSION}: {why}")
        self.subject = subject


class Subject(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Whose, what, and which one.

    Attributes:
        cluster: The publishing cluster.
        kind: What the message is about.
        namespace: Kubernetes namespace; empty for the kinds without, and for refusals of
            something that has none (a cluster, a node).
        name: Kubernetes name, dots included.
    """

    cluster: ClusterId
    kind: Kind
    namespace: str = ""
    name: str

    @override
    def __str__(self) -> str:
        """Return the NATS form."""
        return ".".join((_ROOT, self.cluster, self.kind, *_tokens(self)))


def escape(name: str) -> str:
    """Return a Kubernetes name as one token: its dots, which separate tokens, become '_'.

    Reversible, since no Kubernetes name that we carry holds an underscore (RFC 1123 subdomains).
    """
    if not is_dns_subdomain(name):
        raise MalformedSubject(name, "a name is an RFC 1123 subdomain")
    return name.replace(".", "_")


def unescape(token: str) -> str:
    """Return the name that `escape` made a token of."""
    return token.replace("_", ".")


def parse_subject(text: str) -> Subject:
    """Return the parts of a NATS subject.

    Raises:
        MalformedSubject: Another version, an unknown kind, a wrong count of tokens, a bad name.
    """
    if len(text) <= _LONGEST_USUAL and (usual := _USUAL.fullmatch(text)) is not None:
        cluster, plain, namespaced, namespace, token = usual.groups()
        return Subject(
            cluster=ClusterId(cluster),
            kind=_KINDS[plain or namespaced],
            namespace=sys.intern(namespace) if namespace else "",  # tables keep it, many times
            name=unescape(token),
        )
    return _parse_unusual(text)


def _parse_unusual(text: str) -> Subject:
    """Return the parts of any subject, token by token; or say what is wrong with it."""
    tokens = text.split(".")
    if len(tokens) < 5 or ".".join(tokens[:2]) != _ROOT:  # noqa: PLR2004 - root, cluster, kind, name
        raise MalformedSubject(text, f"it does not begin with {_ROOT}.<cluster>.<kind>.")
    cluster, kind = tokens[2], _kind(text, tokens[3])
    names = _names(kind, tokens[4:])
    if not is_dns_label(cluster):
        raise MalformedSubject(text, "its cluster is no DNS label")
    if len(names) != (2 if kind.namespaced else 1):
        raise MalformedSubject(text, f"a {kind} has another count of tokens")
    unnamed = tokens[4] == _NO_NAMESPACE and kind is Kind.REFUSAL
    if not all(map(is_dns_subdomain, names[1:] if unnamed else names)):
        raise MalformedSubject(text, "it holds a token that is no Kubernetes name")
    namespace = sys.intern(names[0]) if kind.namespaced else ""  # tables keep it, many times
    if namespace and not is_dns_label(namespace):
        raise MalformedSubject(text, "its namespace is no DNS label")
    return Subject(cluster=ClusterId(cluster), kind=kind, namespace=namespace, name=names[-1])


def kind_of(text: str) -> Kind:
    """Return the kind of a subject that is known to be one of the contract; quick."""
    return Kind(text.split(".", 4)[3])


def stream_name(cluster: ClusterId) -> str:
    """Return the name of the stream that holds everything this cluster publishes."""
    return STREAM_PREFIX + cluster


def stream_subjects(cluster: ClusterId) -> tuple[str, ...]:
    """Return the subjects that belong into the cluster's stream."""
    return (f"{_ROOT}.{cluster}.>",)


def kind_filter(cluster: ClusterId, kind: Kind) -> str:
    """Return the subject filter for all messages of one kind of one cluster."""
    return f"{_ROOT}.{cluster}.{kind}.>"


def general_refusals_filter(cluster: ClusterId) -> str:
    """Return the subject filter for a cluster's refusals of what has no namespace."""
    return f"{_ROOT}.{cluster}.{Kind.REFUSAL}.{_NO_NAMESPACE}.*"


def all_clusters_filter(kind: Kind) -> str:
    """Return the subject filter for all messages of one kind, whoever publishes them."""
    return f"{_ROOT}.*.{kind}.>"


def feedback_subject(importing: ClusterId, exported: Subject) -> str:
    """Return where the importing cluster tells that it carried `exported` out (never stored)."""
    tail = ".".join((exported.kind, *_tokens(exported)))
    return f"{_FEEDBACK_ROOT}.{importing}.{exported.cluster}.{tail}"


def parse_feedback(text: str) -> tuple[ClusterId, Subject]:
    """Return who tells, and about what, of a feedback subject.

    Raises:
        MalformedSubject: It is none.
    """
    tokens = text.split(".")
    importing = tokens[3] if len(tokens) > _ABOUT else ""
    if ".".join(tokens[:3]) != _FEEDBACK_ROOT or not is_dns_label(importing):
        raise MalformedSubject(text, f"it does not begin with {_FEEDBACK_ROOT}.<cluster>.")
    return ClusterId(importing), parse_subject(".".join((_ROOT, *tokens[_ABOUT:])))


def feedback_filter(exporting: ClusterId) -> str:
    """Return the filter for all feedback to what `exporting` published."""
    return f"{_FEEDBACK_ROOT}.*.{exporting}.>"


def _tokens(subject: Subject) -> tuple[str, ...]:
    """Return what follows the kind."""
    if not subject.kind.namespaced:
        return (escape(subject.name),)
    if subject.kind is Kind.REFUSAL and not subject.namespace:
        return (_NO_NAMESPACE, escape(subject.name))
    return (escape(subject.namespace), escape(subject.name))


def _names(kind: Kind, tokens: list[str]) -> list[str]:
    """Return the names that the tokens after the kind stand for."""
    if kind is Kind.REFUSAL and tokens[0] == _NO_NAMESPACE:
        return ["", *map(unescape, tokens[1:])]
    return [unescape(token) for token in tokens]


def _kind(subject: str, token: str) -> Kind:
    try:
        return Kind(token)
    except ValueError:
        raise MalformedSubject(subject, f"{token!r} is no kind of it") from None
