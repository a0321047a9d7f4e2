"""What the contract suite speaks: raw HTTP to an API server, and builders of small objects."""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import aiohttp
import msgspec

from heliograph.lab.access import ClusterAccess

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
JSON_PATCH = "application/json-patch+json"

_PATIENCE_S = 30  # for one event or one condition; a control plane on a loaded machine is slow
_POLL_S = 0.1

Json: TypeAlias = Any  # any JSON value: what is sent may well be wrong
Object: TypeAlias = dict[str, Any]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of the server."""

    status: int
    body: Json
    headers: Json

    @property
    def reason(self) -> str | None:
        """Return a Status' reason."""
        return self.body.get("reason")

    @property
    def causes(self) -> set[str]:
        """Return a Status' causes: what is wrong, and with which field ("Required spec.ports")."""
        causes = self.body["details"]["causes"]
        return {f"{c['reason'].removeprefix('FieldValue')} {c['field']}" for c in causes}

    @property
    def version(self) -> str:
        """Return the resource version of the object, or of the list."""
        return self.body["metadata"]["resourceVersion"]

    @property
    def names(self) -> list[str]:
        """Return the names in a list, in its order."""
        return [item["metadata"]["name"] for item in self.body["items"]]


class Events:
    """The events of one watch, as they come."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def next(self) -> tuple[str, Object]:
        """Return the next event's type and object."""
        async with asyncio.timeout(_PATIENCE_S):
            line = await self._response.content.readline()
        assert line, "the watch ended"
        event = msgspec.json.decode(line)
        return event["type"], event["object"]

    async def take(self, count: int) -> list[tuple[str, str]]:
        """Return types and names of the next events."""
        events = [await self.next() for _ in range(count)]
        return [(kind, obj["metadata"]["name"]) for kind, obj in events]

    async def rest(self) -> list[tuple[str, Object]]:
        """Return all events until the server ends the watch."""
        async with asyncio.timeout(_PATIENCE_S):
            lines = (await self._response.read()).splitlines()
        events = [msgspec.json.decode(line) for line in lines]
        return [(event["type"], event["object"]) for event in events]


class Api:
    """A client without opinions, with the paths of one namespace."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        namespace: str,
        forget_history: Callable[[], Awaitable[None]],
    ) -> None:
        self._session = session
        self.namespace = namespace
        self.forget_history = forget_history
        inside = f"/api/v1/namespaces/{namespace}"
        self.services, self.configmaps = f"{inside}/services", f"{inside}/configmaps"
        self.endpoints, self.events = f"{inside}/endpoints", f"{inside}/events"
        self.slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        self.leases = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self.new_events = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"

    async def call(
        self, method: str, path: str, body: Json = None, media_type: str = JSON, **params: str
    ) -> Answer:
        """Send a request; bytes go as they are, anything else as JSON."""
        data = body if isinstance(body, bytes | io.BytesIO | None) else msgspec.json.encode(body)
        headers = {} if data is None else {"Content-Type": media_type}
        async with self._session.request(
            method, path, data=data, headers=headers, params=params
        ) as response:
            return await _answer(response)

    async def get(self, path: str, accept: str = JSON, **params: str) -> Answer:
        """Get an object or a list."""
        headers = {"Accept": accept}
        async with self._session.get(path, params=params, headers=headers) as response:
            return await _answer(response)

    async def post(self, path: str, obj: Json, **params: str) -> Answer:
        """Create an object."""
        return await self.call("POST", path, obj, **params)

    async def put(self, path: str, obj: Json, **params: str) -> Answer:
        """Replace an object."""
        return await self.call("PUT", path, obj, **params)

    async def patch(self, path: str, patch: Json, media_type: str = MERGE_PATCH) -> Answer:
        """Patch an object."""
        return await self.call("PATCH", path, patch, media_type)

    async def delete(self, path: str, options: Object | None = None, **params: str) -> Answer:
        """Delete an object, or a collection."""
        return await self.call("DELETE", path, options, **params)

    async def table(self, path: str, **params: str) -> Object:
        """Get a list or an object as kubectl does."""
        return (await self.get(path, TABLE, **params)).body

    @asynccontextmanager
    async def watch(self, path: str, accept: str = JSON, **params: str) -> AsyncIterator[Events]:
        """Watch a collection."""
        async with self._session.get(
            path, params={"watch": "true", **params}, headers={"Accept": accept}
        ) as response:
            assert response.status == 200, await response.text()
            yield Events(response)

    async def until(self, path: str, holds: Callable[[Answer], bool], **params: str) -> Answer:
        """Get again and again until the answer is as wanted; fail when it never is."""
        async with asyncio.timeout(_PATIENCE_S):
            while not holds(answer := await self.get(path, **params)):  # noqa: ASYNC110 - a server
                await asyncio.sleep(_POLL_S)
            return answer


async def _answer(response: aiohttp.ClientResponse) -> Answer:
    text = await response.read()
    body = msgspec.json.decode(text) if text.startswith(b"{") else text.decode()
    return Answer(status=response.status, body=body, headers=response.headers)


def service(name: str, /, labels: dict[str, str] | None = None, **spec: Json) -> Object:
    """Return a Service with one port, unless `spec` says otherwise."""
    meta = {"name": name} | ({"labels": labels} if labels else {})
    return {"metadata": meta, "spec": {"ports": [{"port": 80}], **spec}}


def configmap(name: str, /, labels: dict[str, str] | None = None, **data: str) -> Object:
    """Return a ConfigMap."""
    meta = {"name": name} | ({"labels": labels} if labels else {})
    return {"metadata": meta, "data": data}


def endpoint_slice(name: str, /, *addresses: str, **members: Json) -> Object:
    """Return an EndpointSlice for IPv4 with these addresses, unless `members` say otherwise."""
    endpoints = [{"addresses": [address]} for address in addresses]
    obj: Object = {"metadata": {"name": name}, "addressType": "IPv4", "endpoints": endpoints}
    return obj | {"ports": [{"port": 80}]} | members


def open_session(access: ClusterAccess) -> aiohttp.ClientSession:
    """Return an HTTP session with the administrator's credentials."""
    context = ssl.create_default_context(cadata=access.ca_pem) if access.ca_pem else True
    return aiohttp.ClientSession(
        access.server,
        connector=aiohttp.TCPConnector(ssl=context),
        headers={"Authorization": f"Bearer {access.token}", "User-Agent": "contract/1.0"},
        read_bufsize=1 << 22,
    )
