"""Strategic merge patch: lists merge by key where the kind says so, and patches give directives.

Source: the Kubernetes page "Update API objects in place using kubectl patch", and the community's
strategic-merge-patch document (`$patch`, `$setElementOrder`, `$deleteFromPrimitiveList`,
`$retainKeys`). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heliograph.lab.memory.objects import JsonObject
from heliograph.lab.memory.status import internal

_ORDER = "$setElementOrder/"
_DELETE_FROM = "$deleteFromPrimitiveList/"
_RETAIN = "$retainKeys"
_PATCH = "$patch"

MergeKeys = Mapping[str, str]  # dotted path of a list -> its merge key; "" for a list of values


def strategic_merge(obj: JsonObject, patch: JsonObject, keys: MergeKeys) -> JsonObject:
    """Return `obj` with a strategic merge patch applied; raises `StatusError` 400."""
    return _merge_object(obj, patch, keys, "")


def _merge_object(target: JsonObject, patch: JsonObject, keys: MergeKeys, path: str) -> JsonObject:
    directive = patch.get(_PATCH)
    if directive == "replace":
        return {k: v for k, v in patch.items() if k != _PATCH}
    if directive == "delete":
        return {}
    kept = patch.get(_RETAIN)
    merged = {k: v for k, v in target.items() if kept is None or k in kept}
    for member, value in patch.items():
        if not member.startswith("$"):
            _merge_member(merged, member, value, (keys, path))
    _follow_directives(merged, target, patch, (keys, path))
    return merged


def _merge_member(
    merged: JsonObject,
    member: str,
    value: Any,  # noqa: ANN401 - any JSON value
    where: tuple[MergeKeys, str],
) -> None:
    keys, path = where[0], f"{where[1]}.{member}".lstrip(".")
    if value is None:
        merged.pop(member, None)
    elif isinstance(value, dict):
        before = merged.get(member)
        merged[member] = _merge_object(
            before if isinstance(before, dict) else {}, value, keys, path
        )
    elif isinstance(value, list) and path in keys:
        merged[member] = _merge_list(merged.get(member) or [], value, keys, path)
    else:
        merged[member] = value


def _merge_list(target: list[Any], patch: list[Any], keys: MergeKeys, path: str) -> list[Any]:
    key = keys[path]
    if not key:
        merged = [*target, *(v for v in patch if v not in target)]
        return _ordered(merged, target, patch, key)
    if any(e.get(_PATCH) == "replace" for e in patch):
        return [e for e in patch if _PATCH not in e]
    merged = list(target)
    for element in patch:
        _merge_element(merged, element, (keys, path, key))
    return _ordered(merged, target, patch, key)


def _merge_element(
    merged: list[JsonObject], element: JsonObject, where: tuple[MergeKeys, str, str]
) -> None:
    keys, path, key = where
    if key not in element:
        raise internal(f"map: {element} does not contain declared merge key: {key}")
    found = [i for i, e in enumerate(merged) if e.get(key) == element[key]]
    if element.get(_PATCH) == "delete":
        merged[:] = [e for e in merged if e.get(key) != element[key]]
    elif found:
        merged[found[0]] = _merge_object(merged[found[0]], element, keys, path)
    else:
        merged.append(_merge_object({}, element, keys, path))


def _follow_directives(
    merged: JsonObject, target: JsonObject, patch: JsonObject, where: tuple[MergeKeys, str]
) -> None:
    for directive, value in patch.items():
        member = directive.partition("/")[2]
        if directive.startswith(_DELETE_FROM):
            merged[member] = [v for v in merged.get(member) or [] if v not in value]
        elif directive.startswith(_ORDER) and member in merged:
            key = where[0].get(f"{where[1]}.{member}".lstrip("."), "")
            merged[member] = _ordered(merged[member], target.get(member) or [], value, key)


def _ordered(merged: list[Any], live: list[Any], order: list[Any], key: str) -> list[Any]:
    """Put elements into the patch's order, and those that it does not name where they belong.

    That is: before the first one named that comes later in the live list; otherwise at the end.
    """
    ranks = {_identity(e, key): i for i, e in enumerate(order)}
    places = {_identity(e, key): i for i, e in enumerate(live)}
    named = [e for e in merged if _identity(e, key) in ranks]
    named.sort(key=lambda e: ranks[_identity(e, key)])
    start = 0
    for element in (e for e in merged if _identity(e, key) not in ranks):
        place = places.get(_identity(element, key), len(live))
        later = (i for i, e in enumerate(named) if i >= start and _after(e, place, places, key))
        start = next(later, len(named))
        named.insert(start, element)
        start += 1
    return named


def _after(element: Any, place: int, places: dict[Any, int], key: str) -> bool:  # noqa: ANN401
    return places.get(_identity(element, key), -1) > place


def _identity(element: Any, key: str) -> Any:  # noqa: ANN401 - a merge key's value
    return element.get(key) if key and isinstance(element, dict) else element
