"""Watches: who is told of which change, as what, and when nothing happens.

A watch sees changes through its selectors: an object that begins to match is ADDED, one that no
longer matches is DELETED. Lines are encoded once and shared by all watches of a kind.
Source: apiserver's pkg/storage/cacher (cache_watcher.go), v0.36.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec

from heliograph.lab.memory.kinds import Kind
from heliograph.lab.memory.objects import ENCODER, JsonObject
from heliograph.lab.memory.resources import Resource
from heliograph.lab.memory.selectors import Matches, everything
from heliograph.lab.memory.status import StatusError, expired
from heliograph.lab.memory.store import Change, TooOldError

_BEFORE_THE_END_S = 2.0  # the real server sends a last bookmark this long before a watch times out
_INITIAL_END = "k8s.io/initial-events-end"

Render = Callable[[str, Change], bytes]


class WatchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks of a watch.

    Attributes:
        namespace: Only this namespace; None for all.
        matches: The selectors.
        version: Changes after this version; 0 for "what there is now, then its changes".
        bookmarks: Whether to send bookmarks.
        initial_bookmark: Whether to mark the end of what there is now.
        timeout_s: Seconds until the server ends the watch.
        bookmark_interval_s: Seconds between bookmarks.
    """

    namespace: str | None = None
    matches: Matches = everything
    version: int = 0
    bookmarks: bool = False
    initial_bookmark: bool = False
    timeout_s: float
    bookmark_interval_s: float = 60.0


class Watch:
    """One client's view of a kind's changes: fill it by `offer`, empty it by `batch`."""

    def __init__(self, resource: Resource, query: WatchQuery, render: Render) -> None:
        self._resource, self._query, self._render = resource, query, render
        self._pending: deque[Change] = deque()
        self._first: list[bytes] = []
        self._wake = asyncio.Event()
        self._closed = False
        self._silent = False
        now = asyncio.get_running_loop().time()
        self._end = now + query.timeout_s
        self._next_bookmark = self._bookmark_after(now)

    def start(self, current: int) -> None:
        """Line up what the client has not seen yet, and listen from here on."""
        query, collection = self._query, self._resource.collection
        try:
            if query.version:
                self._pending.extend(collection.since(query.version))
            else:
                self._pending.extend(
                    collection.change(i.version, None, i) for i in collection.ordered()
                )
        except TooOldError as exc:
            self.refuse(expired(f"too old resource version: {query.version} ({exc.oldest})"))
            return
        if query.initial_bookmark:
            self._first = [self._event(c) for c in self._pending]
            self._first.append(bookmark_line(self._resource.kind, current, initial=True))
            self._pending.clear()
        self._wake.set()
        collection.listeners.add(self.offer)
        collection.enders.add(self.close)

    def offer(self, change: Change) -> None:
        """Take note of a change; called by the store on every one of this kind."""
        self._pending.append(change)
        self._wake.set()

    def refuse(self, error: StatusError) -> None:
        """End the watch with an ERROR event."""
        self._first.append(b'{"type":"ERROR","object":%b}\n' % ENCODER.encode(error.as_object()))
        self.close()

    def close(self) -> None:
        """End the watch after what is lined up."""
        self._closed = True
        self._resource.collection.listeners.discard(self.offer)
        self._resource.collection.enders.discard(self.close)
        self._wake.set()

    def silence(self) -> None:
        """Say nothing any more, bookmarks included, but stay open: a half-dead connection."""
        self._silent = True

    async def batch(self, current: Callable[[], int]) -> bytes | None:
        """Return the next lines, joined; None when the watch is over."""
        while True:
            lines = self._take(current)
            if lines and not self._silent:
                return lines
            if self._closed or self._time() >= self._end:
                return None
            await self._sleep()

    def _take(self, current: Callable[[], int]) -> bytes:
        self._wake.clear()
        lines = b"".join([*self._first, *map(self._event, self._pending)])
        self._first.clear()
        self._pending.clear()
        if self._query.bookmarks and self._time() >= self._next_bookmark:
            self._next_bookmark = self._bookmark_after(self._time())
            lines += bookmark_line(self._resource.kind, current())
        return lines

    async def _sleep(self) -> None:
        until = min(self._end, self._next_bookmark) if self._query.bookmarks else self._end
        try:
            async with asyncio.timeout_at(until):
                await self._wake.wait()
        except TimeoutError:  # time for a bookmark, or for the end
            pass

    def _event(self, change: Change) -> bytes:
        namespace = self._query.namespace
        if namespace is not None and change.key[0] != namespace:
            return b""
        if change.version <= self._query.version:  # the client knows more than this server has
            return b""
        event = event_type(change, self._query.matches)
        return self._render(event, change) if event else b""

    def _bookmark_after(self, now: float) -> float:
        """Return when the next bookmark is due; the last comes shortly before the end."""
        regular, last = now + self._query.bookmark_interval_s, self._end - _BEFORE_THE_END_S
        return min(regular, last) if now < last else regular

    @staticmethod
    def _time() -> float:
        return asyncio.get_running_loop().time()


def event_type(change: Change, matches: Matches) -> str:
    """Return what a change is to a watch with these selectors; empty when it is nothing."""
    before = change.before is not None and matches(change.before.obj)
    after = change.after is not None and matches(change.after.obj)
    if after:
        return "MODIFIED" if before else "ADDED"
    return "DELETED" if before else ""


def bookmark_line(kind: Kind, version: int, *, initial: bool = False) -> bytes:
    """Return a BOOKMARK event: all up to `version` has been sent."""
    meta: JsonObject = {"resourceVersion": str(version)}
    if initial:
        meta["annotations"] = {_INITIAL_END: "true"}
    event = {"kind": kind.name, "apiVersion": kind.api_version, "metadata": meta}
    return ENCODER.encode({"type": "BOOKMARK", "object": event}) + b"\n"
