"""Writes objects through a cluster's API server, from outside of its network."""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from heliograph.errors import HeliographError
from heliograph.lab.access import ClusterAccess
from heliograph.lab.controlplane.dialling import DialledConnection
from heliograph.lab.controlplane.place import Connect

Object = Mapping[str, object]

_ANSWER_S: Final = 30.0  # a loaded machine's API server takes seconds
_YOUNG_S: Final = 60.0
_POLL_S: Final = 0.05
_MERGE: Final = "application/merge-patch+json"
_JSON: Final = "application/json"
_FIRST_REFUSAL: Final = 300


class ApiRefused(HeliographError):
    """An API server did not take an object.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, method: str, path: str, *, status: int, text: str) -> None:
        self.status = status
        super().__init__(f"the laboratory's {method} {path} was answered with {status}: {text}")


class Api:
    """Requests to one API server, each over a connection of its own."""

    def __init__(self, access: ClusterAccess, connect: Connect) -> None:
        self._access, self._connect = access, connect

    async def create(self, path: str, body: Object) -> None:
        """Create an object; waits for the account `default` of a namespace that is still young."""
        deadline_s = time.monotonic() + _YOUNG_S
        while True:
            try:
                return await self._send("POST", path, _JSON, body)
            except ApiRefused as error:
                young = error.status == http.client.FORBIDDEN and "serviceaccount" in str(error)
                if not young or time.monotonic() > deadline_s:
                    raise
            await asyncio.sleep(_POLL_S)

    async def merge(self, path: str, body: Object) -> None:
        """Change parts of an object by a merge patch (RFC 7386)."""
        await self._send("PATCH", path, _MERGE, body)

    async def delete(self, path: str, *, grace_s: int) -> None:
        """Delete an object; a pod of a node is only marked until it is with `grace_s` 0."""
        await self._send("DELETE", path, _JSON, {"gracePeriodSeconds": grace_s})

    async def _send(self, method: str, path: str, media: str, body: Object) -> None:
        await asyncio.to_thread(self._request, method, path, media, msgspec.json.encode(body))

    def _request(self, method: str, path: str, media: str, body: bytes) -> None:
        connection = DialledConnection(self._access, self._connect, _ANSWER_S)
        headers = {"Authorization": f"Bearer {self._access.token}", "Content-Type": media}
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        finally:
            connection.close()
        if response.status >= _FIRST_REFUSAL:
            raise ApiRefused(method, path, status=response.status, text=text)
