"""Requests to one Kubernetes API server: list, get, guarded writes, raw watch lines.

Every request has a timeout; every error answer is raised as one of `heliograph.kube.errors`. No
retries here but one after a 401, with the credentials read anew: callers know what a retry means.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from typing import Final, Generic, Self, TypeVar

import aiohttp
import msgspec

from heliograph.errors import InputError
from heliograph.kube.auth import Credentials
from heliograph.kube.errors import (
    ApiUnreachable,
    Gone,
    Status,
    Unauthorized,
    Unreadable,
    api_error,
)
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.kube.objects import FIELD_MANAGER, KubeObject, ObjectMeta, Resource, encode_patch
from heliograph.kube.packed import PackedList
from heliograph.kube.probing import probe

_PAGE: Final = 500
_REQUEST_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, sock_connect=5, sock_read=30)

T = TypeVar("T", bound=KubeObject)
_STATUS: Final = msgspec.json.Decoder(Status)


class ListMeta(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Metadata of a list; an answer without a version is no list."""

    resource_version: str
    continue_: str = msgspec.field(name="continue", default="")


class Listing(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """All objects of one kind, and the version from which to watch on.

    There may be tens of thousands, so they are packed until somebody goes through them.
    """

    metadata: ListMeta
    items: Sequence[T]


class _Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A part of a list as the API server answers it."""

    metadata: ListMeta
    items: tuple[T, ...] = ()


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which objects of a kind.

    Attributes:
        namespace: Only those in it; empty for all namespaces.
        labels: A label selector; empty for any labels.
        name: Only the object of this name; empty for all.
    """

    namespace: str = ""
    labels: str = ""
    name: str = ""

    def params(self) -> dict[str, str]:
        """Return the parameters of a list or watch request; the namespace is in its path."""
        fields = f"metadata.name={self.name}" if self.name else ""
        given = {"labelSelector": self.labels, "fieldSelector": fields}
        return {name: value for name, value in given.items() if value}


EVERYTHING: Final = Selection()


class KubeClient:
    """One cluster's API server, with the credentials of one kubeconfig context.

    Use as an async context manager. Safe for concurrent requests.

    Attributes:
        server_date: What the API server's clock showed at its last answer, as HTTP writes it (to
            the second); empty before the first one.
    """

    def __init__(
        self, cluster: str, kubeconfig: Kubeconfig, *, field_manager: str = FIELD_MANAGER
    ) -> None:
        """Prepare.

        Args:
            cluster: What messages call it; empty for the name of its kubeconfig context.
            kubeconfig: Where its credentials are.
            field_manager: Whom the API server keeps as the author of what is written.
        """
        self.cluster, self.kubeconfig = cluster, kubeconfig
        self._as_us = {"fieldManager": field_manager}
        self._credentials = Credentials(kubeconfig)
        self.server_date = ""

    async def __aenter__(self) -> Self:
        await self._credentials.open()
        self.cluster = self.cluster or self._credentials.context
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._credentials.close()

    @property
    def server(self) -> str:
        """Return the URL of the API server."""
        return self._credentials.server

    async def list(self, resource: Resource[T], selection: Selection = EVERYTHING) -> Listing[T]:
        """Return all objects, in pages of 500; begins anew when the snapshot expires between."""
        while True:
            try:
                return await self._list_pages(resource, selection)
            except Gone:
                continue

    async def get(
        self, resource: Resource[T], namespace: str, name: str, *, cached: bool = False
    ) -> T:
        """Return one object.

        Args:
            resource: Its kind.
            namespace: Its namespace; empty if it has none.
            name: Its name.
            cached: Whether the API server's memory will do, which may be some milliseconds behind
                ("resource versions" in the Kubernetes page "API concepts").

        Raises:
            NotFound: There is none.
        """
        path, params = resource.path(namespace, name), {"resourceVersion": "0"} if cached else {}
        return self._decode(resource, await self._call("GET", path, params=params))

    async def create(self, resource: Resource[T], obj: T) -> T:
        """Create the object; return it as stored.

        Raises:
            AlreadyExists, Invalid, NamespaceTerminating, NotFound (no such namespace).
        """
        path = resource.path(obj.metadata.namespace)
        body = await self._call("POST", path, params=self._as_us, body=resource.body(obj))
        return self._decode(resource, body)

    async def replace(self, resource: Resource[T], obj: T) -> T:
        """Replace the object if it still has the resource version that `obj` carries.

        Raises:
            Conflict: Somebody changed it meanwhile. Invalid, NotFound.
        """
        path = resource.path(obj.metadata.namespace, obj.metadata.name)
        body = await self._call("PUT", path, params=self._as_us, body=resource.body(obj))
        return self._decode(resource, body)

    async def merge_patch(
        self, resource: Resource[T], namespace: str, name: str, patch: Mapping[str, object]
    ) -> T:
        """Apply a JSON merge patch (RFC 7386); return the object as stored."""
        body = await self._call(
            "PATCH",
            resource.path(namespace, name),
            params=self._as_us,
            body=encode_patch(patch),
            content_type="application/merge-patch+json",
        )
        return self._decode(resource, body)

    async def delete(self, resource: Resource[T], metadata: ObjectMeta) -> None:
        """Delete exactly the object that `metadata` was read from.

        Raises:
            Conflict: Another object, or another version of it, stands there now. NotFound.
        """
        preconditions = {"uid": metadata.uid, "resourceVersion": metadata.resource_version}
        options = {"preconditions": {k: v for k, v in preconditions.items() if v}}
        path = resource.path(metadata.namespace, metadata.name)
        await self._call("DELETE", path, body=encode_patch(options))

    async def get_raw(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        """Return the body of a GET, for discovery and the like."""
        return await self._call("GET", path, params=params or {})

    async def post_raw(self, path: str, body: bytes) -> bytes:
        """Return the answer to a POST, for reviews and the like."""
        return await self._call("POST", path, body=body)

    @asynccontextmanager
    async def stream(
        self, path: str, params: Mapping[str, str], *, inactivity_s: float
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """Open a watch; raise ApiUnreachable when it fails or is silent for `inactivity_s`."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=inactivity_s)
        try:
            async with self._request("GET", path, params=params, timeout=timeout) as response:
                if response.status == HTTPStatus.UNAUTHORIZED:
                    await self._reload()  # the caller opens the next watch with what is there now
                await _raise_for_status(self._named("watch", path), response)
                probe(response)
                yield response.content
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise ApiUnreachable(self.cluster, self.server, _why(error)) from error

    async def _list_pages(self, resource: Resource[T], selection: Selection) -> Listing[T]:
        decoder = msgspec.json.Decoder(_Page[resource.struct])  # type: ignore[name-defined]
        items = PackedList(resource.struct)
        params = {"limit": str(_PAGE), **selection.params()}
        while True:
            body = await self._call("GET", resource.path(selection.namespace), params=params)
            with self._readable(resource):
                page: _Page[T] = decoder.decode(body)
            items.extend(page.items)
            if not page.metadata.continue_:
                return Listing(metadata=page.metadata, items=items)
            params["continue"] = page.metadata.continue_

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        request = self._named(method, path)
        arguments = {"params": params, "data": body, "headers": {"Content-Type": content_type}}
        try:
            return await self._attempt(request, method, path, arguments)
        except Unauthorized:
            await self._reload()
            return await self._attempt(request, method, path, arguments)

    async def _attempt(
        self, request: str, method: str, path: str, arguments: Mapping[str, object]
    ) -> bytes:
        try:
            async with self._request(method, path, **arguments) as response:
                self.server_date = response.headers.get("Date", "")
                await _raise_for_status(request, response)
                return await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise ApiUnreachable(self.cluster, self.server, _why(error)) from error

    async def _reload(self) -> None:
        """Read the credentials again; from a file half written, later."""
        with suppress(InputError):
            await self._credentials.reload()

    def _decode(self, resource: Resource[T], body: bytes) -> T:
        with self._readable(resource):
            return msgspec.json.decode(body, type=resource.struct)

    @contextmanager
    def _readable(self, resource: Resource[T]) -> Iterator[None]:
        try:
            yield
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Unreadable(self._named("read", resource.path()), str(error)) from error

    def _named(self, verb: str, path: str) -> str:
        return f"{verb} {path} in cluster {self.cluster}"

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, **arguments: object
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = await self._credentials.headers() | {"User-Agent": _USER_AGENT}
        given = dict(arguments)
        given["headers"] = headers | dict(given.get("headers") or {})  # type: ignore[call-overload]
        merged = {"timeout": _REQUEST_TIMEOUT} | self._credentials.tls | given
        url = self.server + path
        async with self._credentials.session.request(method, url, **merged) as response:
            yield response


_USER_AGENT: Final = "heliograph"


async def _raise_for_status(request: str, response: aiohttp.ClientResponse) -> None:
    if response.status < 400:  # noqa: PLR2004 - HTTP's own
        return
    status = _decode_status(response.status, await response.read())
    retry_after = response.headers.get("Retry-After", "")  # seconds, or a date, which is not read
    raise api_error(
        request, status, retry_after_s=float(retry_after) if retry_after.isdecimal() else 0
    )


def _decode_status(code: int, body: bytes) -> Status:
    try:
        status = _STATUS.decode(body)
    except msgspec.MsgspecError:
        status = Status(message=body[:200].decode(errors="replace").strip())
    return msgspec.structs.replace(status, code=code)


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, aiohttp.ClientConnectorError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
