"""`MemoryCluster`: the API server in memory, as one object to start, use, break and stop."""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Self

from aiohttp import web

from heliograph.lab.access import ClusterAccess
from heliograph.lab.memory.cluster import ClusterState
from heliograph.lab.memory.faults import Faults, WriteFailure
from heliograph.lab.memory.kinds import Kind
from heliograph.lab.memory.objects import JsonObject
from heliograph.lab.memory.routes import Routes
from heliograph.lab.memory.rules import Rules
from heliograph.lab.memory.settings import MemoryClusterSettings
from heliograph.lab.memory.wire import make_request

_HOST = "127.0.0.1"
_SHUTDOWN_S = 0.05  # handlers that are left then are watches or paused, and are cut off


class MemoryCluster:
    """An API server in this process, on a port of 127.0.0.1.

    Use it as an async context manager, or by `start` and `stop`. The objects live as long as this
    one: `stop` and `start` is a restart of the server, on the same port.

    Attributes:
        access: How to reach it; known once it has started.
    """

    access: ClusterAccess

    def __init__(self, settings: MemoryClusterSettings) -> None:
        self._settings = settings
        self._state = ClusterState(settings)
        self._faults = Faults()
        state = self._state
        self._routes = Routes(
            settings, state.store, state.resources, state.operations, self._faults
        )
        self._port = settings.port
        self._runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen: on the port of the settings at first, on the same one after a `stop`."""
        server = web.Server(
            self._routes.handle,
            request_factory=make_request,
            handler_cancellation=True,
            access_log=None,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, _HOST, self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.access = ClusterAccess(
            name=self._settings.name,
            server=f"http://{_HOST}:{self._port}",
            token=self._settings.token or "",
        )

    async def stop(self) -> None:
        """Stop listening and cut all connections; the objects stay."""
        runner, self._runner = self._runner, None
        if runner is not None:
            self.drop_watches()
            await runner.cleanup()

    # The objects, without HTTP but through the same code.

    def apply(self, obj: JsonObject) -> JsonObject:
        """Create the object, or replace the one of its name; return what is stored.

        Uid and resource version in `obj` are ignored, so that what was read can be applied
        anywhere. Namespaced objects without a namespace go to "default". Raises `StatusError`.
        """
        return self._state.apply(obj)

    def get(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        """Return a copy of an object ("Service" or "services"), None when there is none."""
        return self._state.get(kind, namespace, name)

    def list(self, kind: str, namespace: str | None = None) -> list[JsonObject]:
        """Return copies of all objects of a kind, or of those in one namespace."""
        return self._state.list(kind, namespace)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object; raises `StatusError` 404 when there is none."""
        self._state.delete(kind, namespace, name)

    def register(self, kind: Kind, rules: Rules | None = None) -> None:
        """Serve another kind from now on, by rules that no CustomResourceDefinition gives."""
        self._state.resources.add(kind, rules)

    # What tests do to it.

    @property
    def requests(self) -> Counter[tuple[str, str]]:
        """Return the requests so far by verb and plural, such as ("create", "services").

        Refused ones count as well; `requests.clear()` begins anew.
        """
        return self._faults.requests

    @property
    def writes(self) -> int:
        """Return how many writes were asked for by HTTP, refused ones included."""
        return self._faults.writes

    @property
    def resource_version(self) -> int:
        """Return the version of the last change."""
        return self._state.store.version

    def compact_history(self) -> None:
        """Forget all history: watches and paged lists of older versions get 410."""
        self._state.store.compact()

    def drop_watches(self) -> None:
        """End every watch that is open, as a server does that goes away."""
        for watch in list(self._routes.watches):
            watch.close()

    def silence_watches(self) -> None:
        """Let the watches open now say nothing more, without closing them."""
        for watch in self._routes.watches:
            watch.silence()

    def fail_writes(
        self, count: int, *, status: int = 503, retry_after_s: int | None = None
    ) -> None:
        """Refuse the next `count` writes with a status, and with Retry-After if given."""
        self._faults.fail_writes(count, WriteFailure(status=status, retry_after_s=retry_after_s))

    def set_latency(self, latency_s: float) -> None:
        """Let every request take this much longer; 0 for none."""
        self._faults.latency_s = latency_s

    def pause(self) -> None:
        """Accept connections and requests, but answer none until `resume`."""
        self._faults.pause()

    def resume(self) -> None:
        """Answer again, beginning with what waited."""
        self._faults.resume()

    def hold_namespace(self, name: str) -> None:
        """Keep a namespace terminating once it is deleted, with all that is in it."""
        self._state.operations.removals.hold(name)

    def release_namespace(self, name: str) -> None:
        """Let a held namespace go, if it is terminating."""
        self._state.operations.removals.release(name)
