"""The page for machines: /healthz, /readyz, /metrics. Nothing else is served."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web

from heliograph.errors import InputError
from heliograph.health import Condition, all_hold, report
from heliograph.metrics import Metrics
from heliograph.pulse import Pulse

Handler = Callable[[web.Request], Awaitable[web.Response]]
_PORT = re.compile(r"[0-9]{1,5}")
_MAX_PORT = 65535
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """One program, as its page shows it.

    Attributes:
        program: Its name.
        conditions: Returns what it takes that it does its work right now.
        pulse: Whether it lives at all.
        metrics: Its metrics.
    """

    program: str
    conditions: Callable[[], Sequence[Condition]]
    pulse: Pulse
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
            web.get("/healthz", _healthz(served)),
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


def _healthz(served: Served) -> Handler:
    """Return what tells whether a restart would help; it would not when something else is away."""

    async def healthz(_: web.Request) -> web.Response:
        if fails := served.pulse.fails:
            return web.Response(text=f"the {served.program} is dead: {fails}\n", status=503)
        return web.Response(text="ok\n")

    return healthz


def _readyz(served: Served) -> Handler:
    """Return what tells whether all conditions are met, and with `?verbose` or else which not."""

    async def readyz(request: web.Request) -> web.Response:
        conditions = served.conditions()
        if all_hold(conditions):
            lines = report(conditions) if "verbose" in request.query else ""
            return web.Response(text=f"{lines}ok\n")
        return web.Response(text=f"{report(conditions)}not ready\n", status=503)

    return readyz


def _metrics(served: Served) -> Handler:
    async def metrics(_: web.Request) -> web.Response:
        body = served.metrics.exposition()
        return web.Response(body=body, headers={"Content-Type": _PROMETHEUS})

    return metrics
