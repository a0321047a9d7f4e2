"""A server that answers as a test says: what no API server should, but some proxy does."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from heliograph.lab.access import ClusterAccess

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def scripted(handler: Handler) -> AsyncIterator[ClusterAccess]:
    """Serve every request with `handler`."""
    runner = web.ServerRunner(web.Server(handler, access_log=None), shutdown_timeout=0.05)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield ClusterAccess(name="east", server=url, token="stale")  # noqa: S106 - no secret
    finally:
        await runner.cleanup()


def answers(*responses: web.Response) -> Handler:
    """Return a handler that gives one response after another, the last one for ever."""
    left = list(responses)

    async def handle(_: web.BaseRequest) -> web.StreamResponse:
        given = left.pop(0) if len(left) > 1 else left[0]
        return web.Response(body=given.body, status=given.status, headers=given.headers)

    return handle


def json_answer(text: str, status: int = 200, **headers: str) -> web.Response:
    """Return a response with a JSON body."""
    return web.Response(text=text, status=status, headers=headers)
