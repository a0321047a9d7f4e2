"""Which names, labels and annotations Kubernetes accepts, and what it says of others. Pure.

Source: apimachinery's pkg/util/validation and pkg/api/validate/content, v0.36.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from heliograph.lab.memory.objects import JsonObject, metadata
from heliograph.lab.memory.status import Cause, forbidden, invalid, too_long

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_QUALIFIED})?"
_LABEL_LENGTH = 63
_PORT_NAME_LENGTH = 15
_SUBDOMAIN_LENGTH = 253
_ANNOTATIONS_BYTES = 256 * 1024

_EDGES = "and must start and end with an alphanumeric character"
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    f"{_EDGES} (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    f"'.', {_EDGES} (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_QUALIFIED_RULE = (
    f"name part must consist of alphanumeric characters, '-', '_' or '.', {_EDGES} (e.g. "
    f"'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_QUALIFIED}')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    f"'.', {_EDGES} (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'({_QUALIFIED})?')"
)
_PORT_NAME_RULES: tuple[tuple[str, str], ...] = (
    (
        r"[-a-z0-9]+",
        (
            "must contain only alpha-numeric"  # codespell:ignore - the server's own spelling
            " characters (a-z, 0-9), and hyphens (-)"
        ),
    ),
    (r".*[a-z].*", "must contain at least one letter (a-z)"),
    (r"(?!.*--).*", "must not contain consecutive hyphens"),
    (r"(?!-).*(?<!-)", "must not begin or end with a hyphen"),
)


def check_label(field: str, value: str) -> list[Cause]:
    """Say what keeps `value` from being an RFC 1123 label (a name of a Service, port or host)."""
    causes = _too_long(field, value, _LABEL_LENGTH)
    if re.fullmatch(_LABEL, value):
        return causes
    why = "must not contain dots" if re.fullmatch(_SUBDOMAIN, value) else _LABEL_RULE
    return [*causes, invalid(field, value, why)]


def check_subdomain(field: str, value: str) -> list[Cause]:
    """Say what keeps `value` from being an RFC 1123 subdomain (the name of most objects)."""
    causes = _too_long(field, value, _SUBDOMAIN_LENGTH)
    if re.fullmatch(_SUBDOMAIN, value):
        return causes
    return [*causes, invalid(field, value, _SUBDOMAIN_RULE)]


def check_qualified_name(field: str, value: str) -> list[Cause]:
    """Say what keeps `value` from being "name" or "prefix.example/name"."""
    prefix, slash, name = value.rpartition("/")
    if slash and not re.fullmatch(_SUBDOMAIN, prefix):
        return [invalid(field, value, f"prefix part {_SUBDOMAIN_RULE}")]
    if len(name) > _LABEL_LENGTH:
        why = f"name part must be no more than {_LABEL_LENGTH} characters"
        return [invalid(field, value, why)]
    return [] if re.fullmatch(_QUALIFIED, name) else [invalid(field, value, _QUALIFIED_RULE)]


def check_port_name(field: str, value: str) -> list[Cause]:
    """Say what keeps `value` from being an IANA service name, as a `targetPort` must be."""
    broken = [why for rule, why in _PORT_NAME_RULES if not re.fullmatch(rule, value)]
    causes = _too_long(field, value, _PORT_NAME_LENGTH)
    return [*causes, *(invalid(field, value, why) for why in broken)]


def check_labels(field: str, labels: JsonObject) -> list[Cause]:
    """Say what is wrong with labels or a selector."""
    return list(chain.from_iterable(_check_pair(field, k, v) for k, v in labels.items()))


def check_metadata(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    """Say what is wrong with labels, annotations, finalizers and owner references."""
    meta = metadata(new)
    return [
        *check_labels("metadata.labels", meta.get("labels", {})),
        *_check_annotations(meta.get("annotations", {})),
        *_check_finalizers(meta.get("finalizers", []), old),
        *_check_owners(meta.get("ownerReferences", [])),
    ]


def _too_long(field: str, value: str, most: int) -> list[Cause]:
    if len(value) <= most:
        return []
    return [invalid(field, value, f"must be no more than {most} characters")]


def _check_pair(field: str, key: str, value: str) -> Iterator[Cause]:
    yield from check_qualified_name(field, key)
    yield from _too_long(field, value, _LABEL_LENGTH)
    if not re.fullmatch(_VALUE, value):
        yield invalid(field, value, _VALUE_RULE)


def _check_annotations(annotations: JsonObject) -> Iterator[Cause]:
    for key in annotations:
        yield from check_qualified_name("metadata.annotations", key.lower())
    size = sum(len(k.encode()) + len(v.encode()) for k, v in annotations.items())
    if size > _ANNOTATIONS_BYTES:
        yield too_long("metadata.annotations", _ANNOTATIONS_BYTES)


def _check_finalizers(finalizers: list[str], old: JsonObject | None) -> Iterator[Cause]:
    for finalizer in finalizers:
        yield from check_qualified_name("metadata.finalizers", finalizer)
        if "/" not in finalizer and finalizer not in ("orphan", "foregroundDeletion"):
            why = "name is neither a standard finalizer name nor is it fully qualified"
            yield invalid("metadata.finalizers[0]", finalizer, why)
    before = metadata(old) if old is not None else {}
    added = sorted(set(finalizers) - set(before.get("finalizers", [])))
    if added and "deletionTimestamp" in before:
        why = "no new finalizers can be added if the object is being deleted, found"
        yield forbidden("metadata.finalizers", f"{why} {', '.join(added)}")


def _check_owners(owners: list[JsonObject]) -> Iterator[Cause]:
    for owner in owners:
        for member in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(member):
                why = "version must not be empty" if member == "apiVersion" else "must not be empty"
                yield invalid(f"metadata.ownerReferences.{member}", "", why)
