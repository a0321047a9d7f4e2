"""HTTP: requests in, answers out. Everything decided is decided elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from aiohttp import ClientConnectionResetError, web

from heliograph.lab.memory.discovery import REVIEW, Discovery, review
from heliograph.lab.memory.faults import Faults
from heliograph.lab.memory.listing import list_page
from heliograph.lab.memory.operations import Operations
from heliograph.lab.memory.patch import patcher
from heliograph.lab.memory.removal import DeleteOptions
from heliograph.lab.memory.resources import Resources
from heliograph.lab.memory.settings import MemoryClusterSettings
from heliograph.lab.memory.status import StatusError
from heliograph.lab.memory.store import Item, Store
from heliograph.lab.memory.tables import table_render, table_wanted, tabulated
from heliograph.lab.memory.targets import Target, list_query, parse_target, watch_query
from heliograph.lab.memory.watch import Watch
from heliograph.lab.memory.wire import (
    caller_of,
    delete_options,
    deleted_status,
    json_answer,
    read_body,
    read_object,
    read_options,
    refusal,
    with_warnings,
)

_UNAUTHORIZED = StatusError(401, "Unauthorized", "Unauthorized")
_Answer = Callable[[web.BaseRequest, Target], Awaitable[web.StreamResponse]]


class Routes:
    """The request handler of one cluster."""

    def __init__(
        self,
        settings: MemoryClusterSettings,
        store: Store,
        resources: Resources,
        operations: Operations,
        faults: Faults,
    ) -> None:
        self._settings, self._store, self._resources = settings, store, resources
        self._operations, self._faults = operations, faults
        self._discovery = Discovery(settings, resources)
        self.watches: set[Watch] = set()
        self._verbs: dict[str, _Answer] = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; a refusal becomes a `Status`."""
        try:
            await self._faults.delay()
            self._authenticate(request)
            return await self._answer(request)
        except StatusError as error:
            return refusal(error)

    def _authenticate(self, request: web.BaseRequest) -> None:
        token = self._settings.token
        if token is not None and request.headers.get("Authorization") != f"Bearer {token}":
            raise _UNAUTHORIZED

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        target = parse_target(unquote(request.rel_url.raw_path), self._resources)
        if target is None:
            return await self._other(request)
        verb = target.verb(request.method, request.query)
        self._faults.note(verb, target.resource.kind.plural)
        return await self._verbs[verb](request, target)

    async def _other(self, request: web.BaseRequest) -> web.StreamResponse:
        if (request.method, request.path) == ("POST", REVIEW):
            page = review(await read_object(request))
        else:
            page = self._discovery.document(request.path, request.headers.get("Accept", ""))
        headers = {"Content-Type": page.media_type}
        return web.Response(body=page.body, headers=headers, status=page.status)

    async def _get(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        return _object(request, target, target.resource.require(target.key))

    async def _list(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        query = list_query(target, request.query)
        page = list_page(target.resource, query, self._store.version)
        if table_wanted(request.headers.get("Accept", "")):
            return json_answer(tabulated(target.resource, page, request.query))
        return json_answer(page.encode(target.resource))

    async def _watch(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        query = watch_query(target, request.query, self._settings.bookmark_interval_s)
        as_table = table_wanted(request.headers.get("Accept", ""))
        line = target.resource.line
        render = table_render(target.resource, request.query) if as_table else line
        watch = Watch(target.resource, query, render)
        self.watches.add(watch)
        try:
            watch.start(self._store.version)
            return await self._stream(request, watch)
        finally:
            watch.close()
            self.watches.discard(watch)

    async def _stream(self, request: web.BaseRequest, watch: Watch) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        try:
            await response.prepare(request)
            while (lines := await watch.batch(self._version)) is not None:
                await response.write(lines)
            await response.write_eof()
        except (ClientConnectionResetError, ConnectionResetError):
            pass  # the client has gone, which is how most watches end
        return response

    async def _create(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        obj, caller = await read_object(request), caller_of(request, target)
        item = self._operations.create(target.resource, target.namespace or "", obj, caller)
        return with_warnings(_object(request, target, item, 201), caller.warnings)

    async def _update(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        obj, caller = await read_object(request), caller_of(request, target)
        item, created = self._operations.update(target.resource, target.key, obj, caller)
        answer = _object(request, target, item, 201 if created else 200)
        return with_warnings(answer, caller.warnings)

    async def _patch(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        body, caller = await read_body(request), caller_of(request, target)
        change = patcher(request.content_type, body, target.resource.kind)
        item = self._operations.patch(target.resource, target.key, change, caller)
        return with_warnings(_object(request, target, item), caller.warnings)

    async def _delete(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        options = await read_options(request)
        caller, wanted = caller_of(request, target, options), delete_options(options)
        removals = self._operations.removals
        item, gone = removals.delete(target.resource, target.key, wanted, caller)
        if gone and not target.resource.kind.returns_deleted:
            return json_answer(deleted_status(target, item))
        return _object(request, target, item)

    async def _delete_collection(
        self, request: web.BaseRequest, target: Target
    ) -> web.StreamResponse:
        caller = caller_of(request, target, await read_options(request))
        page = list_page(target.resource, list_query(target, request.query), self._store.version)
        for item in page.items:
            self._operations.removals.delete(target.resource, item.key, DeleteOptions(), caller)
        return json_answer(page.encode(target.resource))

    def _version(self) -> int:
        return self._store.version


def _object(
    request: web.BaseRequest, target: Target, item: Item, status: int = 200
) -> web.Response:
    if table_wanted(request.headers.get("Accept", "")):
        return json_answer(tabulated(target.resource, item, request.query), status)
    return json_answer(target.resource.encode(item), status)
