"""List, then watch: a stream of what a cluster holds that survives whatever happens to it.

The caller sees a complete listing, then single changes; and a complete listing again whenever
changes may have been missed (410 Gone). Nothing is decided here.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Final, Generic, TypeVar

import aiohttp
import msgspec
import stamina
import structlog

from heliograph.backoff import Backoff
from heliograph.errors import HeliographError, RetryableError
from heliograph.kube.client import EVERYTHING, KubeClient, Selection
from heliograph.kube.errors import Busy, Gone, NotFound, Status, Unreadable, api_error
from heliograph.kube.objects import KubeObject, Resource

T = TypeVar("T", bound=KubeObject)

_SERVER_TIMEOUT_S: Final = 300
"""The server ends each watch after about this time; the next one goes on where it stopped."""

INACTIVITY_S: Final = 90.0
"""A watch is dead when it is silent for so long: bookmarks come about once a minute."""

ABSENT_KIND_S: Final = 300.0
"""How often to look again for a kind that may be absent, where nobody waits for it."""

_BACKOFF: Final = Backoff(initial_s=0.1, limit_s=5.0)
_SHORT_LIFE_S: Final = 1.0
"""A watch that ends sooner has failed, whatever the server called it: the next one waits."""

_log = structlog.get_logger()


class Listed(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """All there is, at one moment; what is not in it does not exist.

    Attributes:
        items: All objects.
        seen_at_ns: Wall clock when the answer was complete, nanoseconds since the Unix epoch.
    """

    items: Sequence[T]
    seen_at_ns: int


class Upserted(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """An object is new, or changed; or it matches the selector now."""

    object: T
    seen_at_ns: int


class Deleted(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """An object is gone; or it does not match the selector any more."""

    object: T
    seen_at_ns: int


WatchEvent = Listed[T] | Upserted[T] | Deleted[T]


class _Line(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One line of a watch, read at once: nodes are large, and each speaks twice a minute."""

    type: str
    object: T


class _StatusLine(msgspec.Struct, frozen=True, kw_only=True):
    """The line that ends a watch: "ERROR", and why."""

    type: str
    object: Status


_STATUS_LINE: Final = msgspec.json.Decoder(_StatusLine)


class ListWatch(Generic[T]):
    """The objects of one kind in one cluster, as they are and as they change.

    Attributes:
        alive: Whether a watch is open, after a complete listing.
        absent: Whether the API server did not know the kind when it was asked last.
        heard_at_s: When the open watch brought anything last (time.monotonic()).
    """

    def __init__(
        self,
        client: KubeClient,
        resource: Resource[T],
        *,
        selection: Selection = EVERYTHING,
        inactivity_s: float = INACTIVITY_S,
        look_again_s: float | None = None,
    ) -> None:
        """Prepare.

        Args:
            client: The cluster.
            resource: The kind.
            selection: Which objects of it.
            inactivity_s: A watch that says nothing for so long is dead.
            look_again_s: The kind may be unknown here: then there are no objects, and it is looked
                for again after so many seconds. None for a kind that every cluster has.
        """
        self._client = client
        self._resource = resource
        self._selection = selection
        self._inactivity_s = inactivity_s
        self._look_again_s = look_again_s
        self._line: msgspec.json.Decoder[_Line[T]] = msgspec.json.Decoder(
            _Line[resource.struct]  # type: ignore[name-defined]
        )
        self._version = ""
        self.alive, self.absent = False, False
        self.heard_at_s = -INACTIVITY_S
        self._listed_at_s: float | None = None

    @property
    def plural(self) -> str:
        """Plural name of the kind."""
        return self._resource.plural

    @property
    def spoke_at_s(self) -> float | None:
        """When a listing or the watch brought anything last (time.monotonic()); None if never."""
        return None if self._listed_at_s is None else max(self._listed_at_s, self.heard_at_s)

    async def events(self) -> AsyncIterator[WatchEvent[T]]:
        """Yield a listing, then changes, for ever.

        While a kind is absent, nothing follows its empty listing; when it comes, it is listed.

        Raises:
            Unauthorized, Forbidden: The first listing was refused. Later refusals are waited out:
                a cluster beside which this runs for months may change its mind.
        """
        patient, expired = False, 0
        while True:
            yield await self._list(patient=patient)  # no name keeps it: it is large
            patient, listed_at = True, time.monotonic()
            if self.absent:
                await self._appeared()
                continue
            try:
                async for event in self._watch():
                    yield event
            except Gone:
                _log.info("watch expired, listing again", **self._labels())
            expired = expired + 1 if time.monotonic() - listed_at < _SHORT_LIFE_S else 0
            await asyncio.sleep(_BACKOFF.delay_s(expired) if expired else 0)

    async def _list(self, *, patient: bool) -> Listed[T]:
        """Return everything; retries what may pass, with back-off."""
        self.alive = False
        listing = Listed[T](items=(), seen_at_ns=0)  # replaced: attempts do not end before
        worth_another = HeliographError if patient else RetryableError
        async for attempt in stamina.retry_context(
            on=lambda error: isinstance(error, worth_another) and (_asked_for_s(error) or True),
            attempts=None,
            timeout=None,
            wait_initial=0.1,
            wait_max=5.0,
            wait_jitter=0.2,
        ):
            with attempt:
                listing = await self._list_once()
        return listing

    async def _list_once(self) -> Listed[T]:
        try:
            listing = await self._client.list(self._resource, self._selection)
        except NotFound:
            if self._look_again_s is None:
                raise
            self._become(absent=True)
            return Listed(items=(), seen_at_ns=time.time_ns())
        self._become(absent=False)
        self._version = listing.metadata.resource_version
        self._listed_at_s = time.monotonic()
        return Listed(items=listing.items, seen_at_ns=time.time_ns())

    def _become(self, *, absent: bool) -> None:
        if absent != self.absent:
            _log.info("kind is absent" if absent else "kind has come", **self._labels())
        self.absent = absent

    async def _appeared(self) -> None:
        """Wait until the API server does not say any more that there is no such kind."""
        path = self._resource.path(self._selection.namespace)
        with suppress(HeliographError):  # anything but a 404 is the next listing's matter
            while True:
                await asyncio.sleep(self._look_again_s or 0)
                with suppress(NotFound):
                    await self._client.get_raw(path, {"limit": "1"})
                    return

    async def _watch(self) -> AsyncIterator[Upserted[T] | Deleted[T]]:
        """Yield changes; opens the next watch whenever one ends.

        Returns when the kind has vanished; raises Gone when a change is missed.
        """
        failures = 0
        while True:
            opened_at, delay_s = time.monotonic(), 0.0
            try:
                async for event in self._watch_once():
                    failures = 0
                    yield event
            except Gone:
                raise
            except HeliographError as error:
                if isinstance(error, NotFound) and self._look_again_s is not None:
                    return
                _log.warning("watch failed", error=str(error), **self._labels())
                delay_s = _asked_for_s(error)
            self.alive = False
            failures = failures + 1 if time.monotonic() - opened_at < _SHORT_LIFE_S else 0
            await asyncio.sleep(max(delay_s, _BACKOFF.delay_s(failures) if failures else 0))

    async def _watch_once(self) -> AsyncIterator[Upserted[T] | Deleted[T]]:
        params = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(_SERVER_TIMEOUT_S + random.randrange(60)),  # noqa: S311
            **self._selection.params(),
        }
        path = self._resource.path(self._selection.namespace)
        async with self._client.stream(path, params, inactivity_s=self._inactivity_s) as content:
            self.alive = True
            async for line in lines(content):
                self.heard_at_s = time.monotonic()
                event = self._decode(line)
                if event is not None:
                    yield event

    def _decode(self, line: bytes) -> Upserted[T] | Deleted[T] | None:
        """Return what a line says, or None for a bookmark; remember the version to go on from."""
        try:
            return self._read(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Unreadable(f"watch of {self._resource.plural}", str(error)) from error

    def _read(self, line: bytes) -> Upserted[T] | Deleted[T] | None:
        try:
            said = self._line.decode(line)
        except msgspec.MsgspecError:
            self._raise_error(line)  # a status need not read as an object of this kind
            raise
        if said.type == "ERROR":
            self._raise_error(line)
        self._version = said.object.metadata.resource_version
        if said.type == "BOOKMARK":
            return None
        event = Deleted if said.type == "DELETED" else Upserted
        return event(object=said.object, seen_at_ns=time.time_ns())

    def _raise_error(self, line: bytes) -> None:
        """Raise what the line says, if it is the one that ends a watch."""
        said = _STATUS_LINE.decode(line)
        if said.type == "ERROR":
            raise api_error(f"watch of {self._resource.plural}", said.object)

    def _labels(self) -> dict[str, str]:
        return {"cluster": self._client.cluster, "resource": self._resource.plural}


def _asked_for_s(error: Exception) -> float:
    """Return for how long the server wants to be left alone; 0 if it did not say."""
    return error.retry_after_s if isinstance(error, Busy) else 0


async def lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield the lines of a watch as they come; faster than readline, and without its limit."""
    rest = b""
    async for chunk in content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line:
                yield line
