"""The store: objects, one version counter for all of them, and a bounded history. Pure.

Objects are kept without `kind` and `apiVersion` and encoded exactly once; a list, a single object
and every watch line are put together from the same bytes. Nothing stored is ever changed in place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeAlias, cast

import msgspec

from heliograph.lab.memory.objects import ENCODER, JsonObject, Key, copied, metadata

Listener: TypeAlias = Callable[["Change"], None]


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One version of one object.

    Attributes:
        key: Namespace and name.
        version: Value of the store's counter when it was written.
        obj: The object; never changed.
        body: The same as JSON, beginning with "{" and without `kind` and `apiVersion`.
    """

    key: Key
    version: int
    obj: JsonObject
    body: bytes


class Change:
    """One step of a collection: what stood there before it, and what after."""

    __slots__ = ("_last", "_lines", "_wrap", "after", "before", "key", "version")

    def __init__(
        self, version: int, before: Item | None, after: Item | None, wrap: Callable[[bytes], bytes]
    ) -> None:
        self._last = cast("Item", before or after)  # a change is of something
        self.version, self.before, self.after = version, before, after
        self.key = self._last.key
        self._wrap = wrap
        self._lines: dict[str, bytes] = {}

    def line(self, event: str) -> bytes:
        """Return the watch line for "ADDED", "MODIFIED" or "DELETED"; encoded once for all."""
        line = self._lines.get(event)
        if line is None:
            wrapped = self._wrap(self.item(event).body)
            line = b'{"type":"%b","object":%b}\n' % (event.encode(), wrapped)
            self._lines[event] = line
        return line

    def item(self, event: str) -> Item:
        """Return the object of an event; of a deletion, the last state with this version."""
        if event != "DELETED" and self.after is not None:
            return self.after
        return item_at(self.key, self.version, copied(self._last.obj))


class TooOldError(Exception):
    """The version asked for has left the history (the caller words the refusal)."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"history begins at {oldest}")
        self.oldest = oldest


class Collection:
    """All objects of one kind, with their recent history."""

    def __init__(self, wrap: Callable[[bytes], bytes], history_limit: int) -> None:
        self.items: dict[Key, Item] = {}
        self.listeners: set[Listener] = set()
        self.enders: set[Callable[[], None]] = set()
        self.history: deque[Change] = deque(maxlen=history_limit)
        self._wrap = wrap
        self._floor = 0
        self._sorted: list[Item] | None = None

    def ordered(self) -> list[Item]:
        """Return all items by namespace and name, as etcd would; not to be changed."""
        if self._sorted is None:
            self._sorted = sorted(self.items.values(), key=_key_of)
        return self._sorted

    def ordered_at(self, version: int) -> list[Item]:
        """Return the items as they were at `version`; raises `TooOldError`."""
        if not self.history or self.history[-1].version <= version:
            self._require(version)
            return self.ordered()
        items = dict(self.items)
        for change in reversed(self.since(version)):
            _undo(items, change)
        return sorted(items.values(), key=_key_of)

    def since(self, version: int) -> list[Change]:
        """Return the changes after `version`, oldest first; raises `TooOldError`."""
        self._require(version)
        return list(self._newest_until(version))[::-1]

    def record(self, change: Change) -> None:
        """Take a change in, and tell the listeners."""
        if change.after is None:
            self.items.pop(change.key, None)
        else:
            self.items[change.key] = change.after
        self._sorted = None
        if self.history and len(self.history) == self.history.maxlen:
            self._floor = self.history[0].version
        self.history.append(change)
        for listener in self.listeners:
            listener(change)

    def compact(self, version: int) -> None:
        """Forget the history up to `version`: older reads and watches get 410."""
        self.history.clear()
        self._floor = version

    def end(self) -> None:
        """Tell whoever wants to know that nothing will ever change here any more."""
        for ender in list(self.enders):
            ender()

    def change(self, version: int, before: Item | None, after: Item | None) -> Change:
        """Return a change whose watch lines name this collection's kind."""
        return Change(version, before, after, self._wrap)

    def _require(self, version: int) -> None:
        if version < self._floor:
            raise TooOldError(self._floor)

    def _newest_until(self, version: int) -> Iterator[Change]:
        for change in reversed(self.history):
            if change.version <= version:
                return
            yield change


class Store:
    """Collections under one version counter, as in etcd."""

    def __init__(self, history_limit: int) -> None:
        self.version = 1
        self._history_limit = history_limit
        self._collections: list[Collection] = []

    def collection(self, wrap: Callable[[bytes], bytes]) -> Collection:
        """Return a new, empty collection; `wrap` adds `kind` and `apiVersion` to a body."""
        made = Collection(wrap, self._history_limit)
        self._collections.append(made)
        return made

    def forget(self, collection: Collection) -> None:
        """Let a collection go."""
        self._collections.remove(collection)
        collection.end()

    def put(self, collection: Collection, key: Key, obj: JsonObject) -> Item:
        """Store `obj` (which now belongs to the store) under the next version."""
        self.version += 1
        after = item_at(key, self.version, obj)
        collection.record(collection.change(self.version, collection.items.get(key), after))
        return after

    def remove(self, collection: Collection, key: Key) -> Item:
        """Remove the object under the next version; return its last state at that version."""
        self.version += 1
        change = collection.change(self.version, collection.items[key], None)
        collection.record(change)
        return change.item("DELETED")

    def compact(self) -> None:
        """Forget all history, as etcd's compaction does."""
        for collection in self._collections:
            collection.compact(self.version)


def item_at(key: Key, version: int, obj: JsonObject) -> Item:
    """Return an item of `obj`, which gets `version` as its resource version."""
    metadata(obj)["resourceVersion"] = str(version)
    return Item(key=key, version=version, obj=obj, body=ENCODER.encode(obj))


def _undo(items: dict[Key, Item], change: Change) -> None:
    if change.before is None:
        items.pop(change.key, None)
    else:
        items[change.key] = change.before


def _key_of(item: Item) -> str:
    return f"{item.key[0]}/{item.key[1]}"
