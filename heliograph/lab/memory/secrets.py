"""Secrets: plain text comes in beside encoded data, and leaves as data. Pure."""

from __future__ import annotations

import base64

from heliograph.lab.memory.objects import JsonObject
from heliograph.lab.memory.rules import Rules
from heliograph.lab.memory.status import Cause


def admit_secret(new: JsonObject, old: JsonObject | None) -> list[Cause]:
    """Move `stringData` into `data`, and name the type."""
    del old
    texts = new.pop("stringData", None) or {}
    if texts:
        encoded = {k: base64.b64encode(v.encode()).decode() for k, v in texts.items()}
        new["data"] = new.get("data", {}) | encoded
    new.setdefault("type", "Opaque")
    return []


SECRET_RULES = Rules(admit=admit_secret)
