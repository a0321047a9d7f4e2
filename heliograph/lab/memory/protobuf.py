"""Kubernetes' protobuf form, read only, for the few kinds that kubectl sends in it. Pure.

`kubectl create namespace` and its like know no other form since 1.36; answers may be JSON.
Source: the generated.proto files of k8s.io/api and k8s.io/apimachinery, v0.36; apimachinery's
pkg/runtime/serializer/protobuf for the envelope.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from heliograph.lab.memory.objects import JsonObject
from heliograph.lab.memory.status import bad_request

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"

_MAGIC = b"k8s\x00"
_LENGTH_DELIMITED = 2

Read: TypeAlias = Callable[[Any], Any]  # a field's raw value (bytes or int) -> its JSON value
_Members: TypeAlias = dict[int, tuple[str, Read]]  # number -> name ([] list, {} map), reader


def decode_protobuf(body: bytes) -> JsonObject:
    """Return the object in an envelope; raises `StatusError` 400 for kinds that are not known."""
    if not body.startswith(_MAGIC):
        raise bad_request("the object provided is unrecognized: it is no Kubernetes protobuf")
    try:
        return _unwrapped(body.removeprefix(_MAGIC))
    except (LookupError, ValueError) as exc:
        raise bad_request(f"the object provided is unrecognized: {exc}") from exc


def _unwrapped(envelope: bytes) -> JsonObject:
    parts = dict(_fields(envelope))
    named: JsonObject = _message(_TYPE)(parts[1])
    read = _KINDS.get(named.get("kind", ""))
    if read is None:
        kind = named.get("kind")
        raise ValueError(f"{kind} is not read from protobuf here; send it as JSON or YAML")
    found: JsonObject = read(parts.get(2, b""))
    return named | found


def _fields(body: bytes) -> Iterator[tuple[int, Any]]:
    """Yield number and raw value of each field; only varints and bytes occur."""
    position = 0
    while position < len(body):
        tag, position = _varint(body, position)
        value, position = _varint(body, position)
        if tag & 7 == _LENGTH_DELIMITED:
            end = position + value
            if end > len(body):
                raise ValueError("a field is cut off")
            yield tag >> 3, body[position:end]
            position = end
        else:
            yield tag >> 3, value


def _varint(body: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the bit that says "more to come"
            return value, position


def _text(raw: bytes) -> str:
    return raw.decode()


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _message(members: _Members) -> Read:
    """Return how to read a message: known members, without what is empty."""

    def read(raw: bytes) -> JsonObject:
        found: JsonObject = {}
        for number, value in _fields(raw):
            if number in members:
                _add(found, *members[number], value)
        return {k: v for k, v in found.items() if v not in ("", 0, [], {}) or v is False}

    return read


def _add(found: JsonObject, name: str, read: Read, value: Any) -> None:  # noqa: ANN401 - raw
    if name.endswith("[]"):
        found.setdefault(name[:-2], []).append(read(value))
    elif name.endswith("{}"):
        entry = dict(_fields(value))
        found.setdefault(name[:-2], {})[_text(entry.get(1, b""))] = read(entry.get(2, b""))
    else:
        found[name] = read(value)


def _int_or_string(raw: bytes) -> int | str:
    parts = dict(_fields(raw))
    return _text(parts.get(3, b"")) if parts.get(1) else int(parts.get(2, 0))


_TYPE: _Members = {1: ("apiVersion", _text), 2: ("kind", _text)}
_OWNER: _Members = {
    1: ("kind", _text),
    3: ("name", _text),
    4: ("uid", _text),
    5: ("apiVersion", _text),
}
_METADATA: _Members = {
    1: ("name", _text),
    2: ("generateName", _text),
    3: ("namespace", _text),
    5: ("uid", _text),
    6: ("resourceVersion", _text),
    11: ("labels{}", _text),
    12: ("annotations{}", _text),
    13: ("ownerReferences[]", _message(_OWNER)),
    14: ("finalizers[]", _text),
}
_PORT: _Members = {
    1: ("name", _text),
    2: ("protocol", _text),
    3: ("port", int),
    4: ("targetPort", _int_or_string),
    5: ("nodePort", int),
    6: ("appProtocol", _text),
}
_AFFINITY: _Members = {1: ("clientIP", _message({1: ("timeoutSeconds", int)}))}
_SERVICE_SPEC: _Members = {
    1: ("ports[]", _message(_PORT)),
    2: ("selector{}", _text),
    3: ("clusterIP", _text),
    4: ("type", _text),
    5: ("externalIPs[]", _text),
    7: ("sessionAffinity", _text),
    10: ("externalName", _text),
    11: ("externalTrafficPolicy", _text),
    14: ("sessionAffinityConfig", _message(_AFFINITY)),
    17: ("ipFamilyPolicy", _text),
    18: ("clusterIPs[]", _text),
    19: ("ipFamilies[]", _text),
    20: ("allocateLoadBalancerNodePorts", bool),
    22: ("internalTrafficPolicy", _text),
    23: ("trafficDistribution", _text),
}
_ATTRIBUTES: _Members = {
    1: ("namespace", _text),
    2: ("verb", _text),
    3: ("group", _text),
    5: ("resource", _text),
    7: ("name", _text),
}
_ABOUT: _Members = {1: ("metadata", _message(_METADATA))}

_KINDS: dict[str, Read] = {
    "Namespace": _message(_ABOUT | {2: ("spec", _message({1: ("finalizers[]", _text)}))}),
    "Service": _message(_ABOUT | {2: ("spec", _message(_SERVICE_SPEC))}),
    "ConfigMap": _message(_ABOUT | {2: ("data{}", _text), 3: ("binaryData{}", _encoded)}),
    "Secret": _message(
        _ABOUT | {2: ("data{}", _encoded), 3: ("type", _text), 4: ("stringData{}", _text)}
    ),
    "ServiceAccount": _message(_ABOUT),
    "SelfSubjectAccessReview": _message(
        {2: ("spec", _message({1: ("resourceAttributes", _message(_ATTRIBUTES))}))}
    ),
    "DeleteOptions": _message({4: ("propagationPolicy", _text), 5: ("dryRun[]", _text)}),
}
