"""`heliograph leave`, `forget` and `confirm`: decisions about the ClusterSet, in one cluster."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Final

from heliograph.contract.names import ClusterId
from heliograph.errors import HeliographError
from heliograph.kube.client import KubeClient, Selection
from heliograph.kube.objects import EVENTS, SERVICES
from heliograph.marks import EXPORTING_ANNOTATION, MANAGED_SELECTOR, is_ours
from heliograph.membership.configmap import current, ensure_namespace, write
from heliograph.membership.record import CONFIRMED, FORGOTTEN, LEFT, NAME, entry_of

_LOOK_S: Final = 0.2
_WAIT_S: Final = 30.0


class NotCarriedOut(HeliographError):
    """What was decided stands, but no program has carried it out yet."""


async def leave(client: KubeClient, namespace: str) -> str:
    """Let a cluster leave the ClusterSet; returns once its programs have seen to it.

    Raises:
        NotCarriedOut: They have not within half a minute; the decision stands.
    """
    before = await current(client, namespace)
    if not before.left:
        await _decide(client, namespace, {LEFT: _now()})
    left_at = (await current(client, namespace)).left_at
    undone = await _wait_for(
        {
            "its watcher has not said that it withdrew everything": lambda: _has_withdrawn(
                client, namespace, left_at
            ),
            "its reflector has not removed all mirrors": lambda: _has_no_mirrors(client),
        }
    )
    if undone:
        message = (
            f"cluster {client.cluster} is to leave the ClusterSet, and that stands; but after "
            f"{_WAIT_S:.0f} s {' and '.join(undone)}. Start what does not run; nothing is lost."
        )
        raise NotCarriedOut(message)
    return (
        f"cluster {client.cluster} has left the ClusterSet: it exports nothing, and holds no "
        f"mirrors of others. 'heliograph leave --undo' brings it back"
    )


async def come_back(client: KubeClient, namespace: str) -> str:
    """Let a cluster take part in the ClusterSet again."""
    if not (await current(client, namespace)).left:
        return f"cluster {client.cluster} takes part in the ClusterSet already"
    await _decide(client, namespace, {LEFT: None})
    return f"cluster {client.cluster} takes part in the ClusterSet again"


async def forget(client: KubeClient, namespace: str, exporting: ClusterId) -> str:
    """Remove all mirrors of another cluster, and take nothing from it any more."""
    where = f"cluster {client.cluster}"
    if exporting in (await current(client, namespace)).forgotten:
        return f"{where} has forgotten cluster {exporting} already"
    await _decide(client, namespace, {entry_of(FORGOTTEN, exporting): _now()})
    return (
        f"{where} forgets cluster {exporting}: its reflector removes the mirrors that point there "
        f"and takes nothing from it, whatever its stream holds, until 'heliograph forget "
        f"{exporting} --undo'"
    )


async def remember(client: KubeClient, namespace: str, exporting: ClusterId) -> str:
    """Take from another cluster again."""
    where = f"cluster {client.cluster}"
    if exporting not in (await current(client, namespace)).forgotten:
        return f"{where} has not forgotten cluster {exporting}"
    await _decide(client, namespace, {entry_of(FORGOTTEN, exporting): None})
    return f"{where} mirrors what cluster {exporting} exports again"


async def confirm(client: KubeClient, namespace: str, exporting: ClusterId) -> str:
    """Let the removals of another cluster's mirrors go that are held back now."""
    await _decide(client, namespace, {entry_of(CONFIRMED, exporting): _now()})
    return (
        f"what cluster {client.cluster} holds back of cluster {exporting}'s removals goes, if "
        f"anything is held at this moment"
    )


async def _decide(client: KubeClient, namespace: str, entries: dict[str, str | None]) -> None:
    await ensure_namespace(client, namespace)
    await write(client, namespace, entries)


async def _wait_for(conditions: dict[str, Callable[[], Awaitable[bool]]]) -> list[str]:
    """Wait until all conditions hold; return those that do not in time."""
    left = dict(conditions)
    loop = asyncio.get_running_loop()
    until = loop.time() + _WAIT_S
    while left and loop.time() < until:
        for name, holds in tuple(left.items()):
            if await holds():
                del left[name]
        await asyncio.sleep(_LOOK_S if left else 0)
    return list(left)


async def _has_withdrawn(client: KubeClient, namespace: str, left_at: str) -> bool:
    """Tell whether the watcher has written that it withdrew everything, for this very leave."""
    events = (await client.list(EVENTS, Selection(namespace=namespace))).items
    return any(
        e.reason == "Left" and e.regarding.name == NAME and left_at in e.note for e in events
    )


async def _has_no_mirrors(client: KubeClient) -> bool:
    services = await client.list(SERVICES, Selection(labels=MANAGED_SELECTOR))
    return not any(
        is_ours(s) and s.metadata.annotations.get(EXPORTING_ANNOTATION) for s in services.items
    )


def _now() -> str:
    """Return the time, fine enough to tell two decisions apart."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
