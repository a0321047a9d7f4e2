"""Patches: JSON merge patch, JSON patch, and the way to the strategic one. Pure.

Source: RFC 7386 (merge patch), RFC 6902 (JSON patch), RFC 6901 (pointers).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from heliograph.lab.memory.kinds import Kind
from heliograph.lab.memory.objects import JsonObject
from heliograph.lab.memory.status import (
    StatusError,
    bad_request,
    unsupported_media_type,
)
from heliograph.lab.memory.strategic import strategic_merge

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON = "application/json-patch+json"
APPLY = ("application/apply-patch+yaml", "application/apply-patch+cbor")


def patcher(media_type: str, body: bytes, kind: Kind) -> Callable[[JsonObject], JsonObject]:
    """Return what a patch request does to an object; raises `StatusError` 400 or 415."""
    if media_type in APPLY:
        raise unsupported_media_type(
            "server-side apply is not served by the in-memory API server; use a merge patch, "
            "a strategic merge patch or PUT"
        )
    if media_type == STRATEGIC and kind.custom:
        raise _unsupported((JSON, MERGE))
    make = _PATCHERS.get(media_type)
    if make is None:
        raise _unsupported((JSON, MERGE, STRATEGIC))
    try:
        return make(body, kind)
    except msgspec.DecodeError as exc:
        raise bad_request(f"error decoding patch: {exc}") from exc


def merge_patch(target: Any, patch: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return `target` with an RFC 7386 merge patch applied; changes neither."""
    if not isinstance(patch, dict):
        return patch
    base = target if isinstance(target, dict) else {}
    merged = {k: v for k, v in base.items() if k not in patch}
    changed = {k: merge_patch(base.get(k), v) for k, v in patch.items() if v is not None}
    return merged | changed


def json_patch(target: Any, steps: list[JsonObject]) -> Any:  # noqa: ANN401 - any JSON value
    """Change `target` by RFC 6902 steps and return it; raises `StatusError` 422 when one fails."""
    document = {"": target}  # so that the whole document is a member like any other
    for step in steps:
        try:
            _STEPS[step["op"]](document, step)
        except (LookupError, TypeError, ValueError) as exc:
            message = "the server rejected our request due to an error in our request"
            raise StatusError(422, "Invalid", message) from exc
    return document[""]


def _merge(body: bytes, _: Kind) -> Callable[[JsonObject], JsonObject]:
    patch = msgspec.json.decode(body, type=dict[str, Any])
    return lambda obj: merge_patch(obj, patch)


def _steps(body: bytes, _: Kind) -> Callable[[JsonObject], JsonObject]:
    steps = msgspec.json.decode(body, type=list[dict[str, Any]])
    return lambda obj: json_patch(obj, steps)


def _strategic(body: bytes, kind: Kind) -> Callable[[JsonObject], JsonObject]:
    patch = msgspec.json.decode(body, type=dict[str, Any])
    keys = dict(kind.merge_keys)
    return lambda obj: strategic_merge(obj, patch, keys)


_PATCHERS: dict[str, Callable[[bytes, Kind], Callable[[JsonObject], JsonObject]]] = {
    MERGE: _merge,
    JSON: _steps,
    STRATEGIC: _strategic,
}


def _unsupported(accepted: tuple[str, ...]) -> StatusError:
    return unsupported_media_type(
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted)
    )


def _place(document: Any, pointer: str) -> tuple[Any, Any]:  # noqa: ANN401 - any JSON value
    """Return the container a pointer leads into, and the member or index in it."""
    parts = [p.replace("~1", "/").replace("~0", "~") for p in pointer.split("/")]
    for part in parts[:-1]:
        document = document[_index(document, part)]
    return document, _index(document, parts[-1])


def _index(container: Any, part: str) -> Any:  # noqa: ANN401 - a member or an index
    if not isinstance(container, list):
        return part
    return len(container) if part == "-" else int(part)


def _add(document: Any, step: JsonObject) -> None:  # noqa: ANN401
    container, index = _place(document, step["path"])
    if isinstance(container, list):
        container.insert(index, step["value"])
    else:
        container[index] = step["value"]


def _remove(document: Any, step: JsonObject) -> None:  # noqa: ANN401
    container, index = _place(document, step["path"])
    del container[index]


def _replace(document: Any, step: JsonObject) -> None:  # noqa: ANN401
    container, index = _place(document, step["path"])
    _ = container[index]  # it must exist
    container[index] = step["value"]


def _test(document: Any, step: JsonObject) -> None:  # noqa: ANN401
    container, index = _place(document, step["path"])
    if container[index] != step["value"]:
        raise ValueError(f"testing path {step['path']} failed")


def _move(document: Any, step: JsonObject) -> None:  # noqa: ANN401
    container, index = _place(document, step["from"])
    value = container[index]
    del container[index]
    _add(document, step | {"value": value})


def _copy(document: Any, step: JsonObject) -> None:  # noqa: ANN401
    container, index = _place(document, step["from"])
    value = msgspec.json.decode(msgspec.json.encode(container[index]))
    _add(document, step | {"value": value})


_STEPS: dict[str, Callable[[Any, JsonObject], None]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "test": _test,
    "move": _move,
    "copy": _copy,
}
