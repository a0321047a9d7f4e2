"""The resources of one cluster: each kind with its rules and its objects. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from heliograph.lab.memory.kinds import Kind
from heliograph.lab.memory.objects import ENCODER, JsonObject, Key, copied, decoded
from heliograph.lab.memory.rules import Rules
from heliograph.lab.memory.status import bad_request, not_found
from heliograph.lab.memory.store import Change, Collection, Item, Store


class View(msgspec.Struct, frozen=True, kw_only=True):
    """How a kind shows objects that are stored as another kind: each way returns a new object."""

    show: Callable[[JsonObject], JsonObject]
    store: Callable[[JsonObject], JsonObject]


class Resource:
    """One kind as this cluster serves it."""

    def __init__(
        self, kind: Kind, rules: Rules, collection: Collection, view: View | None = None
    ) -> None:
        self.kind = kind
        self.rules = rules
        self.collection = collection
        self.is_namespaces = kind.resource == "namespaces"
        self._view = view

    def require(self, key: Key) -> Item:
        """Return the object of that key; raises `StatusError` 404."""
        item = self.collection.items.get(key)
        if item is None:
            raise not_found(self.kind.resource, key[1])
        return item

    def key(self, namespace: str, name: str) -> Key:
        """Return the key of an object; the namespace of a cluster-scoped kind is left out."""
        return (namespace if self.kind.namespaced else "", name)

    def body(self, item: Item) -> bytes:
        """Return an object as this kind shows it, without `kind` and `apiVersion`."""
        return item.body if self._view is None else ENCODER.encode(self._view.show(item.obj))

    def encode(self, item: Item) -> bytes:
        """Return an object as it goes over the wire."""
        return self.kind.wrap(self.body(item))

    def line(self, event: str, change: Change) -> bytes:
        """Return a change as a watch line."""
        if self._view is None:
            return change.line(event)
        return b'{"type":"%b","object":%b}\n' % (event.encode(), self.encode(change.item(event)))

    def shown(self, item: Item) -> JsonObject:
        """Return a copy of an object, with `kind` and `apiVersion`."""
        return decoded(self.encode(item))

    def stored_form(self, obj: JsonObject) -> JsonObject:
        """Return an object that came in as this kind, as it is stored."""
        return obj if self._view is None else self._view.store(copied(obj))


class Resources:
    """All resources of a cluster, found by path or by kind."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_path: dict[tuple[str, str, str], Resource] = {}

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._by_path.values())

    def add(self, kind: Kind, rules: Rules | None = None) -> Resource:
        """Serve another kind from now on."""
        collection = self._store.collection(kind.wrap)
        return self._enter(Resource(kind, rules or Rules(), collection))

    def add_view(self, kind: Kind, stored_as: Resource, view: View) -> Resource:
        """Serve the objects of another kind as this one as well."""
        return self._enter(Resource(kind, stored_as.rules, stored_as.collection, view))

    def remove(self, resource: Resource) -> None:
        """Serve a kind no longer."""
        kind = resource.kind
        del self._by_path[kind.group, kind.version, kind.plural]

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """Return the resource at a path, if it is served."""
        return self._by_path.get((group, version, plural))

    def of_kind(self, name: str) -> Resource:
        """Return the resource of a kind, by "Service" or by "services"; raises 400 otherwise."""
        for resource in self:
            if name in (resource.kind.name, resource.kind.plural, resource.kind.resource):
                return resource
        raise bad_request(f"no kind {name!r} is served here; register it first")

    def of(self, obj: JsonObject) -> Resource:
        """Return the resource that an object's `apiVersion` and `kind` name; raises 400."""
        named = (obj.get("apiVersion"), obj.get("kind"))
        for resource in self:
            if (resource.kind.api_version, resource.kind.name) == named:
                return resource
        raise bad_request(f"no matches for kind {named[1]!r} in version {named[0]!r}")

    def _enter(self, resource: Resource) -> Resource:
        kind = resource.kind
        self._by_path[kind.group, kind.version, kind.plural] = resource
        return resource
