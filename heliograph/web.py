"""The page for machines: /healthz, /readyz, /metrics. Nothing else is served."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web

from heliograph.errors import InputError
from heliograph.metrics import Metrics

Handler = Callable[[web.Request], Awaitable[web.Response]]
_PORT = re.compile(r"[0-9]{1,5}")
_MAX_PORT = 65535
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """One program, as its page shows it.

    Attributes:
        program: Its name.
        ready: Whether it does its work right now.
        metrics: Its metrics.
    """

    program: str
    ready: Callable[[], bool]
    metrics: Metrics


@asynccontextmanager
async def serve(listen: str, served: Served) -> AsyncIterator[str]:
    """Serve on "HOST:PORT" (":PORT" for all addresses); yield the address in use.

    Raises:
        InputError: The address cannot be used, or the port is taken.
    """
    host, port = parse_listen(listen)
    app = web.Application()
    app.add_routes(
        [
            web.get("/healthz", _healthz),
            web.get("/readyz", _readyz(served)),
            web.get("/metrics", _metrics(served)),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host or None, port)
        try:
            await site.start()
        except OSError as error:
            message = (
                f"the {served.program} cannot listen on {listen} ({error.strerror}); is another "
                f"program using the port? Choose another one with --listen"
            )
            raise InputError(message) from error
        yield _shown(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


def parse_listen(listen: str) -> tuple[str, int]:
    """Return host and port of "HOST:PORT", "[IPv6]:PORT" or ":PORT"."""
    host, colon, port = listen.rpartition(":")
    if not colon or _PORT.fullmatch(port) is None or int(port) > _MAX_PORT:
        message = f"--listen {listen!r} is no address: give HOST:PORT, such as 127.0.0.1:9402"
        raise InputError(message)
    return host.strip("[]"), int(port)


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


def _readyz(served: Served) -> Handler:
    async def readyz(_: web.Request) -> web.Response:
        ready = served.ready()
        return web.Response(text="ok\n" if ready else "not ready\n", status=200 if ready else 503)

    return readyz


def _metrics(served: Served) -> Handler:
    async def metrics(_: web.Request) -> web.Response:
        body = served.metrics.exposition()
        return web.Response(body=body, headers={"Content-Type": _PROMETHEUS})

    return metrics
