"""Label and field selectors: parse once, match often. Pure.

Source: apimachinery's pkg/labels and pkg/fields; the Kubernetes page "Labels and Selectors".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from heliograph.lab.memory.names import check_qualified_name
from heliograph.lab.memory.objects import JsonObject, field_of, labels_of
from heliograph.lab.memory.status import bad_request

Matches: TypeAlias = Callable[[JsonObject], bool]
_Requirement: TypeAlias = Callable[[Mapping[str, str]], bool]

# A comma separates requirements unless it stands inside the parentheses of a set.
_COMMA = re.compile(r",(?![^()]*\))")
_SET = re.compile(
    r"(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)"  # codespell:ignore notin
)
_EQUALITY = re.compile(r"(?P<key>[^=!<>\s]+)\s*(?P<operator>==|=|!=)\s*(?P<value>[^=!\s]*)")
_COMPARISON = re.compile(r"(?P<key>[^=!<>\s]+)\s*(?P<operator><|>)\s*(?P<value>-?\d+)")
_EXISTENCE = re.compile(r"(?P<absent>!?)\s*(?P<key>[^=!<>\s()]+)")


def everything(_: JsonObject) -> bool:
    """Match every object."""
    return True


def label_matcher(selector: str) -> Matches:
    """Return a predicate for a label selector; raises `StatusError` 400 when it has no meaning."""
    requirements = [_requirement(part.strip(), selector) for part in _parts(selector)]
    if not requirements:
        return everything
    if len(requirements) == 1:  # by far the most frequent, and the loop costs as much as the test
        only = requirements[0]
        return lambda obj: only(labels_of(obj))
    return lambda obj: all(r(labels_of(obj)) for r in requirements)


def field_matcher(selector: str, known: frozenset[str]) -> Matches:
    """Return a predicate for a field selector over the `known` paths of a kind.

    Raises `StatusError` 400 for another field, as the real server does.
    """
    tests = [_field_test(part.strip(), known) for part in _parts(selector)]
    if not tests:
        return everything
    return lambda obj: all(test(obj) for test in tests)


def both(left: Matches, right: Matches) -> Matches:
    """Return a predicate that asks both, without the cost of one that matches everything."""
    if left is everything:
        return right
    if right is everything:
        return left
    return lambda obj: left(obj) and right(obj)


def _parts(selector: str) -> list[str]:
    return _COMMA.split(selector) if selector.strip() else []


def _requirement(text: str, selector: str) -> _Requirement:
    for pattern, build in _FORMS:
        if (found := pattern.fullmatch(text)) and not check_qualified_name("", found["key"]):
            return build(found)
    raise bad_request(f"unable to parse requirement: {text!r} in the selector {selector!r}")


def _in_set(found: re.Match[str]) -> _Requirement:
    key, values = found["key"], {v.strip() for v in found["values"].split(",")}
    if found["operator"] == "in":
        return lambda labels: key in labels and labels[key] in values
    return lambda labels: key not in labels or labels[key] not in values


def _equal(found: re.Match[str]) -> _Requirement:
    key, value = found["key"], found["value"]
    if found["operator"] == "!=":
        return lambda labels: labels.get(key) != value
    return lambda labels: labels.get(key) == value


def _compared(found: re.Match[str]) -> _Requirement:
    key, bound, greater = found["key"], int(found["value"]), found["operator"] == ">"

    def holds(labels: Mapping[str, str]) -> bool:
        value = labels.get(key, "")
        if not value.lstrip("-").isdigit():
            return False
        return int(value) > bound if greater else int(value) < bound

    return holds


def _existing(found: re.Match[str]) -> _Requirement:
    key = found["key"]
    if found["absent"]:
        return lambda labels: key not in labels
    return lambda labels: key in labels


_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], _Requirement]], ...] = (
    (_SET, _in_set),
    (_EQUALITY, _equal),
    (_COMPARISON, _compared),
    (_EXISTENCE, _existing),
)


def _field_test(text: str, known: frozenset[str]) -> Matches:
    path, operator, value = re.fullmatch(r"([^=!]*)(==|=|!=|)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    if not operator:
        raise bad_request(f"invalid selector: {text!r}; can't understand {text!r}")
    if path not in known:
        raise bad_request(f"field label not supported: {path}")
    if operator == "!=":
        return lambda obj: _text(field_of(obj, path)) != value
    return lambda obj: _text(field_of(obj, path)) == value


def _text(value: object) -> str:
    return "" if value is None else str(value)
