"""Which members some objects may have, and of which type.

The real server decodes into typed structs: it answers 400 when a number stands where a text
belongs, and drops what it does not know, with a warning. Both happens here for the kinds that have
a shape. The names are Kubernetes' own, so the Structs are made from tables.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

from heliograph.lab.memory.objects import JsonObject
from heliograph.lab.memory.status import bad_request

_Members = dict[str, Any]  # member -> its type

_TEXTS = dict[str, str]
_ANY = dict[str, Any]


def shape(name: str, members: _Members) -> type[msgspec.Struct]:
    """Return a Struct of these members, all of which may be absent or null."""
    return msgspec.defstruct(name, [(m, t | None, None) for m, t in members.items()])


def _all(kind: Any, *names: str) -> _Members:  # noqa: ANN401 - a type expression
    return dict.fromkeys(names, kind)


METADATA = shape(
    "ObjectMeta",
    {
        **_all(str, "name", "namespace", "generateName", "uid", "resourceVersion", "selfLink"),
        **_all(str, "creationTimestamp", "deletionTimestamp"),
        **_all(int, "generation", "deletionGracePeriodSeconds"),
        **_all(_TEXTS, "labels", "annotations"),
        **_all(list[_ANY], "ownerReferences", "managedFields"),
        "finalizers": list[str],
    },
)

_TYPED: _Members = {**_all(str, "apiVersion", "kind"), "metadata": METADATA}
ANY_OBJECT = shape("AnyObject", _TYPED)

_SERVICE_PORT = shape(
    "ServicePort",
    {
        **_all(str, "name", "protocol", "appProtocol"),
        **_all(int, "port", "nodePort"),
        "targetPort": int | str,
    },
)
_SERVICE_SPEC = shape(
    "ServiceSpec",
    {
        **_all(str, "clusterIP", "type", "sessionAffinity", "loadBalancerIP", "externalName"),
        **_all(str, "externalTrafficPolicy", "internalTrafficPolicy", "trafficDistribution"),
        **_all(str, "ipFamilyPolicy", "loadBalancerClass"),
        **_all(list[str], "clusterIPs", "externalIPs", "loadBalancerSourceRanges", "ipFamilies"),
        **_all(bool, "publishNotReadyAddresses", "allocateLoadBalancerNodePorts"),
        "ports": list[_SERVICE_PORT],  # type: ignore[valid-type]
        "selector": _TEXTS,
        "healthCheckNodePort": int,
        "sessionAffinityConfig": _ANY,
    },
)
SERVICE = shape("Service", {**_TYPED, "spec": _SERVICE_SPEC, "status": _ANY})

_CONDITIONS = shape("EndpointConditions", _all(bool, "ready", "serving", "terminating"))
_ENDPOINT = shape(
    "Endpoint",
    {
        **_all(str, "hostname", "nodeName", "zone"),
        **_all(_ANY, "targetRef", "deprecatedTopology", "hints"),
        "addresses": list[str],
        "conditions": _CONDITIONS,
    },
)
_ENDPOINT_PORT = shape(
    "EndpointPort", {**_all(str, "name", "protocol", "appProtocol"), "port": int}
)
ENDPOINT_SLICE = shape(
    "EndpointSlice",
    {
        **_TYPED,
        "addressType": str,
        "endpoints": list[_ENDPOINT],  # type: ignore[valid-type]
        "ports": list[_ENDPOINT_PORT],  # type: ignore[valid-type]
    },
)
_VERSION = shape(
    "CustomResourceDefinitionVersion",
    {
        **_all(str, "name", "deprecationWarning"),
        **_all(bool, "served", "storage", "deprecated"),
        **_all(_ANY, "subresources"),
        **_all(list[_ANY], "additionalPrinterColumns", "selectableFields"),
        "schema": shape("CustomResourceValidation", {"openAPIV3Schema": _ANY}),
    },
)
_NAMES = shape(
    "CustomResourceDefinitionNames",
    {
        **_all(str, "plural", "singular", "kind", "listKind"),
        **_all(list[str], "shortNames", "categories"),
    },
)
_DEFINITION_SPEC = shape(
    "CustomResourceDefinitionSpec",
    {
        **_all(str, "group", "scope"),
        **_all(_ANY, "conversion"),
        "names": _NAMES,
        "versions": list[_VERSION],  # type: ignore[valid-type]
        "preserveUnknownFields": bool,
    },
)
CUSTOM_RESOURCE_DEFINITION = shape(
    "CustomResourceDefinition", {**_TYPED, "spec": _DEFINITION_SPEC, "status": _ANY}
)
CONFIG_MAP = shape("ConfigMap", {**_TYPED, **_all(_TEXTS, "data", "binaryData"), "immutable": bool})


def require_types(obj: JsonObject, known: type | None, kind: str) -> None:
    """Raise `StatusError` 400 when a member of `obj` has another type than its shape says."""
    try:
        msgspec.convert(obj, known or ANY_OBJECT)
    except msgspec.ValidationError as exc:
        message = f'{kind} in version "v1" cannot be handled as a {kind}: json: {exc}'
        raise bad_request(message) from exc


def drop_unknown(obj: JsonObject, known: type | None) -> list[str]:
    """Drop the members that a shape does not have; return their paths. No shape knows all."""
    return [] if known is None else _drop(obj, _tree(known), "")


_Tree = dict[str, Any]  # member -> the tree below it; None where anything goes


def _tree(known: type) -> _Tree:
    if known not in _TREES:
        described = inspect.type_info(known)
        _TREES[known] = _subtree(described)
    return _TREES[known]


_TREES: dict[type, _Tree] = {}


def _subtree(described: inspect.Type) -> Any:  # noqa: ANN401 - a tree or None
    if isinstance(described, inspect.UnionType):
        return next((t for t in map(_subtree, described.types) if t), None)
    if isinstance(described, inspect.ListType):
        return _subtree(described.item_type)
    if isinstance(described, inspect.StructType):
        return {f.name: _subtree(f.type) for f in described.fields}
    return None


def _drop(value: Any, tree: _Tree | None, path: str) -> list[str]:  # noqa: ANN401 - any JSON value
    if tree is None:
        return []
    if isinstance(value, list):
        return [p for i, v in enumerate(value) for p in _drop(v, tree, f"{path}[{i}]")]
    unknown = [m for m in value if m not in tree]
    for member in unknown:
        del value[member]
    below = [p for m, v in value.items() for p in _drop(v, tree[m], f"{path}.{m}")]
    return [f"{path}.{m}".lstrip(".") for m in unknown] + below
