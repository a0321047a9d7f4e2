"""A proxy before one API server, real or in memory: it counts, and answers badly when told to."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Container
from contextlib import asynccontextmanager, suppress

import aiohttp
import msgspec
from aiohttp import web

from heliograph.lab.access import ClusterAccess

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
WRITES = frozenset(_VERBS.values())
_ONE_HOP = {"host", "connection", "transfer-encoding", "content-length", "content-encoding"}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request that came: what the programs asked for, and what they were told."""

    verb: str
    plural: str
    at_s: float
    status: int


class ApiProxy:
    """Stands between programs and their API server.

    Attributes:
        access: How programs reach it.
        requests: All requests so far that were answered, watches from their beginning.
        delay_s: Every answer takes so much longer.
    """

    access: ClusterAccess

    def __init__(self, behind: ClusterAccess) -> None:
        self.requests: list[Request] = []
        self.delay_s = 0.0
        self._behind = behind
        self._refusal: web.Response | Callable[[], web.Response] | None = None
        self._refused: Container[str] = ()
        self._about = b""
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._watches: dict[asyncio.Task[object], bool] = {}  # whether it may speak
        self._session: aiohttp.ClientSession | None = None

    def refuse(
        self,
        status: int,
        *,
        verbs: Container[str] | None = None,
        retry_after_s: int = 0,
        about: str = "",
        message: str = "by a test",
    ) -> None:
        """Answer requests of these verbs (all, if none is named) with an error, till `heal`.

        With `about`, only those whose path or body has that text.
        """
        headers = {"Retry-After": str(retry_after_s)} if retry_after_s else {}
        body = {"kind": "Status", "code": status, "reason": "Test", "message": message}
        self._refusal = lambda: web.json_response(body, status=status, headers=headers)
        self._refused = _Everything() if verbs is None else verbs
        self._about = about.encode()

    def heal(self) -> None:
        """Pass everything on again."""
        self.delay_s, self._refusal = 0.0, None
        self._flowing.set()

    def hold_watches(self) -> None:
        """Let watches say nothing till `heal`; then they say all that they held back."""
        self._flowing.clear()

    def silence_watches(self) -> None:
        """Let the watches that are open now say nothing more, without closing them."""
        self._watches = dict.fromkeys(self._watches, False)

    def cut_watches(self) -> None:
        """End the watches that are open now."""
        for task in self._watches:
            task.cancel()

    def count(self, *, since_s: float = 0, verbs: Container[str] | None = None) -> Counter[str]:
        """Return how often each verb and plural ("list services") was asked for since a moment."""
        wanted = _Everything() if verbs is None else verbs
        return Counter(
            f"{r.verb} {r.plural}" for r in self.requests if r.at_s >= since_s and r.verb in wanted
        )

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        verb, plural = _named(request)
        at_s = time.monotonic()
        await asyncio.sleep(self.delay_s)
        try:
            response = await self._answer(request, verb, plural, at_s)
        except aiohttp.ClientConnectionError:
            response = web.Response(status=502)
        if verb != "watch" or response.status >= 400:
            self._note(verb, plural, at_s, response.status)
        return response

    async def _answer(
        self, request: web.Request, verb: str, plural: str, at_s: float
    ) -> web.StreamResponse:
        body = await request.read()
        concerned = self._about in request.path.encode() + body
        if self._refusal is not None and verb in self._refused and concerned:
            return self._refusal()
        assert self._session is not None
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _ONE_HOP}
        url = f"{self._behind.server}{request.rel_url}"
        async with self._session.request(request.method, url, headers=headers, data=body) as found:
            kept = {k: v for k, v in found.headers.items() if k.lower() not in _ONE_HOP}
            if verb != "watch" or found.status >= 400:
                return web.Response(status=found.status, headers=kept, body=await found.read())
            self._note(verb, plural, at_s, found.status)
            response = web.StreamResponse(status=found.status, headers=kept)
            await response.prepare(request)
            await self._copy(found.content, response)
            return response

    async def _copy(self, content: aiohttp.StreamReader, response: web.StreamResponse) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._watches[task] = True
        try:
            with suppress(aiohttp.ClientError):
                async for chunk in content.iter_any():
                    await self._flowing.wait()
                    if self._watches[task]:
                        await response.write(chunk)
        finally:
            del self._watches[task]

    def _note(self, verb: str, plural: str, at_s: float, status: int) -> None:
        self.requests.append(Request(verb=verb, plural=plural, at_s=at_s, status=status))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ApiProxy]:
        """Listen on a port of its own until the body ends."""
        trusted = ssl.create_default_context(cadata=self._behind.ca_pem)
        connector = aiohttp.TCPConnector(ssl=trusted, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as self._session:
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                url = f"http://127.0.0.1:{runner.addresses[0][1]}"
                self.access = msgspec.structs.replace(self._behind, server=url, ca_pem=None)
                yield self
            finally:
                self.heal()
                self.cut_watches()
                await runner.cleanup()


class _Everything:
    def __contains__(self, _: object) -> bool:
        return True


def _named(request: web.Request) -> tuple[str, str]:
    """Return verb and plural, as Kubernetes names them."""
    parts = request.path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    if len(parts) > 2 and parts[0] == "namespaces":
        parts = parts[2:]
    plural, named = (parts[0] if parts else ""), len(parts) > 1
    if request.method in _VERBS:
        return _VERBS[request.method], plural
    if "watch" in request.query:
        return "watch", plural
    return ("get" if named else "list"), plural
