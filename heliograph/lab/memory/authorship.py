"""`metadata.managedFields`: who wrote last, kept simply. Pure.

One entry per manager and subresource, with the time of its last change; which fields it wrote is
left out (`fieldsV1` is empty), since server-side apply is not served.
"""

from __future__ import annotations

from heliograph.lab.memory.objects import JsonObject, metadata


def note_author(new: JsonObject, api_version: str, author: tuple[str, str], now: str) -> None:
    """Enter a change by `author` (manager, subresource) at `now` into the object's metadata."""
    manager, subresource = author
    meta = metadata(new)
    others = [e for e in meta.get("managedFields", []) if not _is_by(e, manager, subresource)]
    entry: JsonObject = {
        "manager": manager,
        "operation": "Update",
        "apiVersion": api_version,
        "time": now,
    }
    entry |= {"fieldsType": "FieldsV1", "fieldsV1": {}}
    meta["managedFields"] = [*others, entry | ({"subresource": subresource} if subresource else {})]


def _is_by(entry: JsonObject, manager: str, subresource: str) -> bool:
    return (entry["manager"], entry.get("subresource", "")) == (manager, subresource)
