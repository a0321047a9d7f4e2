"""Lists: selection, pages, and the version that all pages of one list share. Pure.

Source: the Kubernetes page "API concepts" (resource versions, retrieving large results in chunks).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import msgspec

from heliograph.lab.memory.objects import ENCODER, JsonObject
from heliograph.lab.memory.resources import Resource
from heliograph.lab.memory.selectors import Matches, everything
from heliograph.lab.memory.status import (
    StatusError,
    bad_request,
    expired,
    forbidden,
    invalid_object,
    not_supported,
)
from heliograph.lab.memory.store import Item, TooOldError

_CONTINUE_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can "
    "start a new list without the continue parameter, or use the continue token in this response "
    "to retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)
_ANY_VERSION = 0  # in a token: go on with what there is now
_MATCH_EXACT, _MATCH_NOT_OLDER = "Exact", "NotOlderThan"


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks of a list.

    Attributes:
        namespace: Only this namespace; None for all.
        matches: The selectors.
        limit: Most items of a page; 0 for all.
        token: Continue token of the page before.
        resource_version: Version the client names; empty when it names none.
        version_match: How it is meant: "Exact", "NotOlderThan" or empty.
    """

    namespace: str | None = None
    matches: Matches = everything
    limit: int = 0
    token: str = ""
    resource_version: str = ""
    version_match: str = ""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list, at one version."""

    items: Sequence[Item]
    version: int
    token: str = ""
    remaining: int = 0

    def list_metadata(self) -> JsonObject:
        """Return the list's metadata."""
        meta: JsonObject = {"resourceVersion": str(self.version)}
        if self.token:
            meta["continue"] = self.token
        if self.remaining:
            meta["remainingItemCount"] = self.remaining
        return meta

    def encode(self, resource: Resource) -> bytes:
        """Return the list as JSON, put together from the stored bytes."""
        kind = resource.kind
        encode = resource.encode if kind.custom else resource.body
        return b'{"kind":"%bList","apiVersion":"%b","metadata":%b,"items":[%b]}' % (
            kind.name.encode(),
            kind.api_version.encode(),
            ENCODER.encode(self.list_metadata()),
            b",".join(encode(item) for item in self.items),
        )


class _Token(msgspec.Struct, frozen=True, kw_only=True):
    """Where a page ended: at which version, after which key."""

    rv: int
    start: str

    def encode(self) -> str:
        """Return the token as clients get it: opaque."""
        return base64.urlsafe_b64encode(ENCODER.encode(self)).decode()


def list_page(resource: Resource, query: ListQuery, current: int) -> Page:
    """Return one page; raises `StatusError` 400, 410, 422 or 504 (`current`: the last version)."""
    if query.token:
        return _continued(resource, query, current)
    _check_match(query)
    version = parse_version(query.resource_version) if query.resource_version else 0
    if version > current:
        raise too_new(version, current)
    exact = query.version_match == _MATCH_EXACT or (
        version and query.limit and not query.version_match
    )
    return _cut(resource, query, version if exact else current, start="")


def parse_version(text: str) -> int:
    """Return a resource version as the number it is in here; raises 400."""
    if not text.isdigit():
        why = f'strconv.ParseUint: parsing "{text}": invalid syntax'
        cause = f'resourceVersion: Invalid value: "{text}": {why}'
        raise bad_request(f"invalid resource version: {cause}")
    return int(text)


def too_new(version: int, current: int) -> StatusError:
    """A version that is not reached yet: a client that talked to another server before."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Timeout: Too large resource version: {version}, current: {current}"
    details = {"causes": [cause]}
    return StatusError(504, "Timeout", message, details=details, retry_after_s=1)


def _continued(resource: Resource, query: ListQuery, current: int) -> Page:
    if query.resource_version not in ("", "0"):
        raise bad_request("specifying resource version is not allowed when using continue")
    try:
        raw = base64.urlsafe_b64decode(query.token)
        token = msgspec.json.decode(raw, type=_Token)
    except (binascii.Error, msgspec.DecodeError, ValueError) as exc:
        raise bad_request(f"continue key is not valid: {exc}") from exc
    return _cut(resource, query, token.rv or current, start=token.start)


def _cut(resource: Resource, query: ListQuery, version: int, start: str) -> Page:
    try:
        items = resource.collection.ordered_at(version)
    except TooOldError as exc:
        raise _expired(start) from exc
    chosen = [item for item in items if _wanted(item, query) and _path(item) > start]
    if not query.limit or len(chosen) <= query.limit:
        return Page(items=chosen, version=version)
    page = chosen[: query.limit]
    token = _Token(rv=version, start=_path(page[-1]))
    remaining = len(chosen) - len(page) if query.matches is everything else 0
    return Page(items=page, version=version, token=token.encode(), remaining=remaining)


def _expired(start: str) -> StatusError:
    """Refuse a forgotten version; who was in the middle of a list may go on without it."""
    if not start:
        return expired("The resourceVersion for the provided list is too old.")
    return expired(_CONTINUE_TOO_OLD, _Token(rv=_ANY_VERSION, start=start).encode())


def _wanted(item: Item, query: ListQuery) -> bool:
    if query.namespace is not None and item.key[0] != query.namespace:
        return False
    return query.matches is everything or query.matches(item.obj)


def _path(item: Item) -> str:
    return f"{item.key[0]}/{item.key[1]}"


def _check_match(query: ListQuery) -> None:
    match, version = query.version_match, query.resource_version
    if not match:
        return
    field, causes = "resourceVersionMatch", []
    if not version:
        why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        causes.append(forbidden(field, why))
    elif match not in (_MATCH_EXACT, _MATCH_NOT_OLDER):
        causes.append(not_supported(field, match, (_MATCH_EXACT, _MATCH_NOT_OLDER, "")))
    elif match == _MATCH_EXACT and version == "0":
        why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        causes.append(forbidden(field, why))
    if causes:
        raise invalid_object("ListOptions.meta.k8s.io", "", causes)
