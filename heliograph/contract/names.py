"""Names that the contract allows: cluster ids and Kubernetes names. Pure."""

from __future__ import annotations

import re
from typing import NewType

from heliograph.errors import InputError

ClusterId = NewType("ClusterId", str)
"""The id of a cluster: one DNS label, at most 63 characters, unique in its ClusterSet."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SUBDOMAIN_LIMIT = 253


def is_dns_label(text: str) -> bool:
    """Tell whether `text` is an RFC 1123 label: the form of cluster ids and namespaces."""
    return _LABEL.fullmatch(text) is not None


def is_dns_subdomain(text: str) -> bool:
    """Tell whether `text` is an RFC 1123 subdomain: the form of most names in Kubernetes."""
    return len(text) <= _SUBDOMAIN_LIMIT and _SUBDOMAIN.fullmatch(text) is not None


def parse_cluster_id(text: str) -> ClusterId:
    """Return `text` as a cluster id.

    Raises:
        InputError: It is no DNS label, so it could stand neither in a subject nor in a label.
    """
    if not is_dns_label(text):
        message = (
            f"{text!r} is no cluster id: an id is one DNS label (lower-case letters, digits and "
            f"'-', at most 63 characters, such as 'east' or 'eu-west-1'); choose another one."
        )
        raise InputError(message)
    return ClusterId(text)
