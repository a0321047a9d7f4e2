"""The store's history: whatever is written, every version of the past can be told and shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.lab.memory.kinds import CONFIG_MAP
from heliograph.lab.memory.store import Change, Collection, Item, Store, TooOldError

Names = st.sampled_from([("a", "x"), ("a", "y"), ("a-b", "x"), ("b", "z")])
Steps = st.lists(st.tuples(Names, st.sampled_from(["put", "remove"])), max_size=30)
HISTORY = 12


def write(store: Store, collection: Collection, steps: list[tuple[tuple[str, str], str]]) -> None:
    """Carry out steps; removing what is not there is no step."""
    for key, action in steps:
        if action == "put":
            store.put(collection, key, {"metadata": {"namespace": key[0], "name": key[1]}})
        elif key in collection.items:
            store.remove(collection, key)


def state(items: list[Item]) -> dict[tuple[str, str], int]:
    """Return versions by key."""
    return {item.key: item.version for item in items}


def replayed(start: list[Item], changes: list[Change]) -> dict[tuple[str, str], int]:
    """Return what a watcher knows who began with a list and saw these changes."""
    known = state(start)
    for change in changes:
        if change.after is None:
            del known[change.key]
        else:
            known[change.key] = change.after.version
    return known


@given(before=Steps, after=Steps)
def test_a_list_and_the_changes_since_make_the_present(
    before: list[tuple[tuple[str, str], str]], after: list[tuple[tuple[str, str], str]]
) -> None:
    """List, then watch from the list's version: nothing is missed, nothing comes twice."""
    store = Store(history_limit=100)
    collection = store.collection(CONFIG_MAP.wrap)
    write(store, collection, before)
    then, listed = store.version, list(collection.ordered())
    write(store, collection, after)

    assert replayed(listed, collection.since(then)) == state(collection.ordered())
    assert state(collection.ordered_at(then)) == state(listed)


@given(steps=Steps)
def test_the_history_is_as_long_as_its_limit(steps: list[tuple[tuple[str, str], str]]) -> None:
    """Within the limit every version is known, before it every version is too old."""
    store = Store(history_limit=HISTORY)
    collection = store.collection(CONFIG_MAP.wrap)
    seen: list[Change] = []
    collection.listeners.add(seen.append)
    write(store, collection, steps)
    floor = seen[-HISTORY - 1].version if len(seen) > HISTORY else 0

    for version in range(store.version + 1):
        if version < floor:
            with pytest.raises(TooOldError):
                collection.since(version)
        else:
            expected = [c for c in seen if c.version > version]
            assert collection.since(version) == expected


def test_a_watch_line_is_encoded_once() -> None:
    """All watches of a kind get the very same bytes."""
    store = Store(history_limit=1)
    collection = store.collection(CONFIG_MAP.wrap)
    changes: list[Change] = []
    collection.listeners.add(changes.append)
    store.put(collection, ("a", "x"), {"metadata": {"namespace": "a", "name": "x"}})

    assert changes[0].line("ADDED") is changes[0].line("ADDED")


def test_what_is_stored_is_never_changed() -> None:
    """A removal gives the last state a new version, and leaves the stored one as it was."""
    store = Store(history_limit=5)
    collection = store.collection(CONFIG_MAP.wrap)
    item = store.put(collection, ("a", "x"), {"metadata": {"name": "x"}})
    body = item.body
    removed = store.remove(collection, ("a", "x"))

    assert (item.body, item.obj["metadata"]["resourceVersion"]) == (body, str(item.version))
    assert removed.obj["metadata"]["resourceVersion"] == str(store.version)
