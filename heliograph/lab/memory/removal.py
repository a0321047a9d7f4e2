"""Deleting: preconditions, finalizers, and namespaces that take everything in them along. Pure.

Source: apiserver's registry/generic/registry/store.go and kube-apiserver's
registry/core/namespace, v1.36.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from heliograph.lab.memory.incoming import Caller
from heliograph.lab.memory.namespaces import (
    IMMORTAL,
    held_by_others,
    is_terminating,
    terminating,
)
from heliograph.lab.memory.objects import JsonObject, Key, copied, metadata
from heliograph.lab.memory.resources import Resource, Resources
from heliograph.lab.memory.status import conflict, forbidden_request
from heliograph.lab.memory.store import Item, Store, item_at

_UID = (
    "the UID in the precondition ({}) does not match the UID in record ({}). "
    "The object might have been deleted and then recreated"
)
_VERSION = (
    "the ResourceVersion in the precondition ({}) does not match the ResourceVersion in record "
    "({}). The object might have been modified"
)


class DeleteOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a deletion insists on; None insists on nothing."""

    uid: str | None = None
    resource_version: str | None = None


class Removals:
    """All deletions of one cluster.

    A namespace is emptied and removed within the request that deletes it, unless it is held or
    something in it has finalizers: tests that need it terminating hold it first.

    Args:
        store: Where objects are.
        resources: What is served; namespaces among it.
        now: Returns the time as a Kubernetes timestamp.
    """

    def __init__(self, store: Store, resources: Resources, now: Callable[[], str]) -> None:
        self._store, self._resources, self._now = store, resources, now
        self._held: set[str] = set()

    def delete(
        self, resource: Resource, key: Key, options: DeleteOptions, caller: Caller
    ) -> tuple[Item, bool]:
        """Delete an object; return its last state, and whether it is gone (or only marked)."""
        item = resource.require(key)
        _check_preconditions(resource, item, options)
        if resource.is_namespaces and key[1] in IMMORTAL:
            why = "this namespace may not be deleted"
            raise forbidden_request("namespaces", key[1], why)
        if resource.is_namespaces:
            return self._delete_namespace(resource, item, caller), False
        if metadata(item.obj).get("finalizers"):
            return self._mark(resource, item, caller), False
        return (item if caller.dry_run else self.remove(resource, key)), True

    def remove(self, resource: Resource, key: Key) -> Item:
        """Remove an object without asking; a namespace that waited for it goes as well."""
        removed = self._forget(resource, key)
        if resource.kind.namespaced:
            self.drain(key[0])
        return removed

    def hold(self, namespace: str) -> None:
        """Keep the namespace from disappearing, once it is deleted."""
        self._held.add(namespace)

    def release(self, namespace: str) -> None:
        """Let the namespace go, if it is terminating."""
        self._held.discard(namespace)
        self.drain(namespace)

    def drain(self, namespace: str) -> None:
        """Delete what is in a terminating namespace, and the namespace when nothing is left.

        A held namespace keeps its objects as well, so that tests see what clients do meanwhile.
        """
        namespaces = self._resources.of_kind("namespaces")
        found = namespaces.collection.items.get(("", namespace))
        if found is None or not is_terminating(found.obj) or namespace in self._held:
            return
        left = [self._delete_content(r, namespace) for r in self._resources if r.kind.namespaced]
        if not sum(left) and not held_by_others(found.obj):
            self._forget(namespaces, ("", namespace))

    def _delete_namespace(self, resource: Resource, item: Item, caller: Caller) -> Item:
        marked = self._mark(resource, item, caller)
        if not caller.dry_run:
            self.drain(item.key[1])
        return marked

    def _delete_content(self, resource: Resource, namespace: str) -> int:
        """Delete a namespace's objects of one kind; return how many are only marked."""
        keys = [k for k in resource.collection.items if k[0] == namespace]
        for key in keys:
            item = resource.collection.items.get(key)
            if item is not None and metadata(item.obj).get("finalizers"):
                self._mark(resource, item, Caller())
            elif item is not None:
                self._forget(resource, key)
        return sum(key in resource.collection.items for key in keys)

    def _mark(self, resource: Resource, item: Item, caller: Caller) -> Item:
        """Say that an object is to go, and wait for whoever keeps it."""
        if "deletionTimestamp" in metadata(item.obj):
            return item
        new = copied(item.obj)
        metadata(new)["deletionTimestamp"] = self._now()
        if resource.is_namespaces:
            terminating(new)
        else:
            metadata(new)["deletionGracePeriodSeconds"] = 0
        _count_generation(new)
        if caller.dry_run:
            return item_at(item.key, item.version, new)
        return self._store.put(resource.collection, item.key, new)

    def _forget(self, resource: Resource, key: Key) -> Item:
        removed = self._store.remove(resource.collection, key)
        resource.rules.settle(None, removed.obj)
        return removed


def _count_generation(new: JsonObject) -> None:
    if "generation" in metadata(new):
        metadata(new)["generation"] += 1


def _check_preconditions(resource: Resource, item: Item, options: DeleteOptions) -> None:
    uid, version = metadata(item.obj)["uid"], str(item.version)
    kind, name = resource.kind.qualified_name, item.key[1]
    if options.uid not in (None, uid):
        raise conflict(kind, name, _UID.format(options.uid, uid))
    if options.resource_version not in (None, version):
        raise conflict(kind, name, _VERSION.format(options.resource_version, version))
