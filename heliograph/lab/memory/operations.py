"""Create, update, patch: what every write of an object goes through. Pure but for its clock.

The order of checks is the real server's, because clients see it: a Service that asks for a taken
address and a taken name is refused for the address.
Source: apiserver's registry/generic/registry/store.go, v0.36.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from heliograph.lab.memory.authorship import note_author
from heliograph.lab.memory.incoming import (
    Caller,
    carry_over,
    check_general,
    check_uid,
    check_version,
    furnish,
    received,
    refuse,
    require_name,
)
from heliograph.lab.memory.namespaces import require_open
from heliograph.lab.memory.objects import JsonObject, Key, metadata, name_of
from heliograph.lab.memory.removal import Removals
from heliograph.lab.memory.resources import Resource, Resources
from heliograph.lab.memory.status import already_exists, internal, invalid, not_found
from heliograph.lab.memory.store import Item, Store, item_at

_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST_BASE = 58  # of a generated name, so that it is a label still


class Operations:
    """All writes of one cluster; deletions are in `removals`.

    Args:
        store: Where objects go.
        resources: What is served; namespaces among it.
        clock: Returns the time, aware of its zone.
        new_uid: Returns a fresh uid.
    """

    def __init__(
        self,
        store: Store,
        resources: Resources,
        clock: Callable[[], datetime],
        new_uid: Callable[[], UUID],
    ) -> None:
        self.removals = Removals(store, resources, self._now)
        self._store, self._resources = store, resources
        self._clock, self._new_uid = clock, new_uid
        self._random = random.Random(0)  # noqa: S311 - names, not secrets; repeatable runs

    def create(self, resource: Resource, namespace: str, obj: JsonObject, caller: Caller) -> Item:
        """Store a new object, which now belongs to the store; raises `StatusError`."""
        return self._create(resource, namespace, received(resource, namespace, obj, caller), caller)

    def update(
        self, resource: Resource, key: Key, obj: JsonObject, caller: Caller
    ) -> tuple[Item, bool]:
        """Store an object over the one of that key; return it, and whether it is a new one."""
        new = received(resource, key[0], obj, caller)
        require_name(new, key[1])
        uid = metadata(new).get("uid", "")
        item = resource.collection.items.get(key)
        if item is not None:
            check_uid(resource, key[1], uid, metadata(item.obj)["uid"])
            return self._replace(resource, item, new, caller), False
        if not resource.kind.create_on_update or caller.subresource:
            raise not_found(resource.kind.resource, key[1])
        check_uid(resource, key[1], uid, "")
        metadata(new).pop("resourceVersion", None)
        return self._create(resource, key[0], new, caller), True

    def patch(
        self,
        resource: Resource,
        key: Key,
        change: Callable[[JsonObject], JsonObject],
        caller: Caller,
    ) -> Item:
        """Store what `change` makes of a copy of the object of that key."""
        item = resource.require(key)
        new = received(resource, key[0], change(resource.shown(item)), caller)
        require_name(new, key[1])
        uid, actual = metadata(new).get("uid"), metadata(item.obj)["uid"]
        if uid != actual:
            refuse(resource, key[1], [invalid("metadata.uid", uid, "field is immutable")])
        return self._replace(resource, item, new, caller)

    def _create(self, resource: Resource, namespace: str, new: JsonObject, caller: Caller) -> Item:
        self._name(metadata(new))
        if resource.kind.namespaced:
            namespaces = self._resources.of_kind("namespaces")
            require_open(namespaces, namespace, resource.kind.resource, name_of(new))
        if metadata(new).get("resourceVersion"):
            raise internal("resourceVersion should not be set on objects to be created")
        furnish(resource, new, str(self._new_uid()), self._now())
        causes = [*resource.rules.admit(new, None), *check_general(resource, new, None)]
        refuse(resource, name_of(new), causes)
        key = resource.key(namespace, name_of(new))
        if key in resource.collection.items:
            raise already_exists(resource.kind.resource, key[1])
        return self._commit(resource, key, new, caller)

    def _replace(self, resource: Resource, item: Item, new: JsonObject, caller: Caller) -> Item:
        check_version(resource, item, new)
        carry_over(resource, item.obj, new, caller.subresource)
        causes = [] if caller.subresource else resource.rules.admit(new, item.obj)
        refuse(resource, item.key[1], [*causes, *check_general(resource, new, item.obj)])
        if new == item.obj:
            return item  # nothing changed, nothing written: the version stays
        differs = resource.kind.generation
        if differs is not None and differs(new, item.obj):
            metadata(new)["generation"] = metadata(item.obj).get("generation", 0) + 1
        if "deletionTimestamp" in metadata(new) and not metadata(new).get("finalizers"):
            return self._let_go(resource, item, new, caller)
        return self._commit(resource, item.key, new, caller)

    def _let_go(self, resource: Resource, item: Item, new: JsonObject, caller: Caller) -> Item:
        """Finish a deletion that waited for the last finalizer, which `new` has no longer."""
        if resource.is_namespaces:
            stored = self._commit(resource, item.key, new, caller)
            self.removals.drain(item.key[1])
            return stored
        if caller.dry_run:
            return item_at(item.key, item.version, new)
        removed = self.removals.remove(resource, item.key)
        return item_at(item.key, removed.version, new)

    def _commit(self, resource: Resource, key: Key, new: JsonObject, caller: Caller) -> Item:
        author = (caller.manager, caller.subresource)
        note_author(new, resource.kind.api_version, author, self._now())
        before = resource.collection.items.get(key)
        if caller.dry_run:
            return item_at(key, before.version if before else 0, new)
        item = self._store.put(resource.collection, key, new)
        resource.rules.settle(new, before.obj if before else None)
        return item

    def _name(self, meta: JsonObject) -> None:
        if not meta.get("name") and meta.get("generateName"):
            suffix = "".join(self._random.choices(_SUFFIX_LETTERS, k=5))
            meta["name"] = f"{meta['generateName'][:_LONGEST_BASE]}{suffix}"

    def _now(self) -> str:
        return self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
