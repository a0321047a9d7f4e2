"""Tables: what `kubectl get` prints, as the server computes it. Pure but for the age of things.

Source: kube-apiserver's pkg/printers/internalversion, v1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from heliograph.lab.memory.columns import Column, columns_of
from heliograph.lab.memory.listing import Page
from heliograph.lab.memory.objects import ENCODER, JsonObject
from heliograph.lab.memory.resources import Resource
from heliograph.lab.memory.store import Change, Item

_META = "meta.k8s.io/v1"


def table_wanted(accept: str) -> bool:
    """Whether an Accept header prefers tables."""
    first = accept.partition(",")[0]
    return "as=Table" in first


def tabulated(resource: Resource, found: Page | Item, params: Mapping[str, str]) -> bytes:
    """Return a page or one object as a table."""
    if isinstance(found, Item):
        meta: JsonObject = {"resourceVersion": str(found.version)}
        return _table(resource, [found], meta, params)
    return _table(resource, found.items, found.list_metadata(), params)


def table_render(resource: Resource, params: Mapping[str, str]) -> Callable[[str, Change], bytes]:
    """Return how a watch renders changes as tables of one row."""

    def render(event: str, change: Change) -> bytes:
        table = tabulated(resource, change.item(event), params)
        return b'{"type":"%b","object":%b}\n' % (event.encode(), table)

    return render


def _table(
    resource: Resource, items: Sequence[Item], meta: JsonObject, params: Mapping[str, str]
) -> bytes:
    columns = columns_of(resource.kind)
    now = datetime.now(UTC)
    include = params.get("includeObject", "Metadata")
    return ENCODER.encode(
        {
            "kind": "Table",
            "apiVersion": _META,
            "metadata": meta,
            "columnDefinitions": [c.definition() for c in columns],
            "rows": [_row(resource, i, (columns, now), include) for i in items],
        }
    )


def _row(
    resource: Resource, item: Item, printing: tuple[Sequence[Column], datetime], include: str
) -> JsonObject:
    columns, now = printing
    row: JsonObject = {"cells": [c.cell(item.obj, now) for c in columns]}
    if include == "Object":
        row["object"] = msgspec.Raw(resource.encode(item))
    elif include == "Metadata":
        row["object"] = {
            "kind": "PartialObjectMetadata",
            "apiVersion": _META,
            "metadata": item.obj["metadata"],
        }
    return row
