"""Removes the namespaces that we created and that nobody needs any more, if nothing is in them.

The API server deletes whatever a namespace holds, so this asks for every kind of object it knows,
right before. Any doubt (a kind that cannot be listed, a namespace that changed since) keeps the
namespace; it is looked at again later. What is created between the last look and the deletion is
lost: Kubernetes has no deletion "if empty". So this runs only where namespaces are created at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final

import msgspec
import structlog

from heliograph.errors import HeliographError
from heliograph.kube.client import KubeClient
from heliograph.kube.objects import NAMESPACES, KubeObject, Namespace
from heliograph.metrics import Metrics

_PERIOD_S: Final = 60.0
"""How often namespaces that are not empty are looked at: nothing tells of what others remove."""

_REST_S: Final = 0.5
"""Between two looks, so that the end of many mirrors is one look."""

_UNCOUNTED: Final = {"configmaps": "kube-root-ca.crt", "serviceaccounts": "default"}
"""What Kubernetes itself puts into every namespace, by core resource."""

_UNCOUNTED_KIND: Final = "events"
_AT_MOST: Final = "2"
"""How many objects of a kind to ask for: one of them may not count."""

_log = structlog.get_logger()


class ApiResource(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a discovery page: a kind, or a subresource ("pods/status")."""

    name: str
    namespaced: bool = False
    verbs: tuple[str, ...] = ()


class ApiResourceList(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A discovery page: the kinds of one group in one version."""

    group_version: str
    resources: tuple[ApiResource, ...] = ()


class _Version(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    group_version: str


class _Group(msgspec.Struct, frozen=True, kw_only=True):
    versions: tuple[_Version, ...] = ()


class _Groups(msgspec.Struct, frozen=True, kw_only=True):
    groups: tuple[_Group, ...] = ()


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[KubeObject, ...] = ()


class NamespaceSweeper:
    """Keeps looking at the namespaces that are not needed."""

    def __init__(
        self,
        client: KubeClient,
        unneeded: Callable[[], Iterable[Namespace]],
        metrics: Metrics,
    ) -> None:
        """Prepare; `unneeded` returns those of our namespaces in which no mirror should be."""
        self._client = client
        self._unneeded = unneeded
        self._metrics = metrics
        self._wake = asyncio.Event()
        self._told: dict[str, str] = {}

    def look(self) -> None:
        """Look soon: a mirror is gone."""
        self._wake.set()

    async def run(self) -> None:
        """Look whenever a mirror is gone, and from time to time; for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PERIOD_S):
                    await self._wake.wait()
            self._wake.clear()
            for namespace in tuple(self._unneeded()):
                await self._consider(namespace)
            await asyncio.sleep(_REST_S)

    async def _consider(self, namespace: Namespace) -> None:
        """Remove a namespace, unless anything is in it or in doubt."""
        name = namespace.metadata.name
        try:
            if await self._is_empty(name):
                await self._remove(namespace)
        except (HeliographError, msgspec.MsgspecError) as error:
            if self._told.get(name) != str(error):
                self._told[name] = str(error)
                _log.warning("namespace kept", namespace=name, error=str(error))

    async def _is_empty(self, namespace: str) -> bool:
        async for kinds in self._kinds():
            for path, uncounted in countable(kinds, namespace):
                body = await self._client.get_raw(path, {"limit": _AT_MOST})
                page = msgspec.json.decode(body, type=_Page)
                if any(item.metadata.name != uncounted for item in page.items):
                    return False
        return True

    async def _kinds(self) -> AsyncIterator[ApiResourceList]:
        """Yield what the server serves, group by group; all versions of each, lest one is missed.

        The core group comes first: most of what people make is in it.
        """
        yield await self._discover("/api/v1")
        groups = msgspec.json.decode(await self._client.get_raw("/apis"), type=_Groups)
        for group in groups.groups:
            for version in group.versions:
                yield await self._discover(f"/apis/{version.group_version}")

    async def _discover(self, path: str) -> ApiResourceList:
        return msgspec.json.decode(await self._client.get_raw(path), type=ApiResourceList)

    async def _remove(self, namespace: Namespace) -> None:
        outcome = "ok"
        try:
            await self._client.delete(NAMESPACES, namespace.metadata)
        except HeliographError as error:
            outcome = type(error).__name__
            raise
        finally:
            self._metrics.writes.labels("delete", "namespaces", outcome).inc()
        self._told.pop(namespace.metadata.name, None)
        _log.info("namespace removed", namespace=namespace.metadata.name)


def countable(kinds: ApiResourceList, namespace: str) -> Iterator[tuple[str, str]]:
    """Yield where to list what counts as content, and the one name there that does not count.

    Events do not count; neither do kinds that cannot be listed, since nothing is stored of them.
    """
    core = kinds.group_version == "v1"
    api = "/api/v1" if core else f"/apis/{kinds.group_version}"
    for kind in kinds.resources:
        counts = kind.namespaced and "list" in kind.verbs and "/" not in kind.name
        if counts and not _is_events(kinds.group_version, kind.name):
            uncounted = _UNCOUNTED.get(kind.name, "") if core else ""
            yield f"{api}/namespaces/{namespace}/{kind.name}", uncounted


def _is_events(group_version: str, name: str) -> bool:
    return name == _UNCOUNTED_KIND and group_version.partition("/")[0] in {"v1", "events.k8s.io"}
