"""A connection over which nothing comes for long is probed by the kernel."""

from __future__ import annotations

import socket

from aiohttp import ClientSession, web

from heliograph.kube.probing import probe


async def endless(request: web.Request) -> web.StreamResponse:
    """Answer with the head alone, like a watch of something that never changes."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    return response


async def test_a_connection_is_dead_when_probes_are_not_answered_for_half_a_minute() -> None:
    """The options that say so are those of the socket itself."""
    application = web.Application()
    application.router.add_get("/", endless)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    async with ClientSession() as session:
        response = await session.get(f"http://127.0.0.1:{port}/", allow_redirects=False)
        probe(response)
        connection = response.connection
        assert connection is not None
        assert connection.transport is not None
        connected = connection.transport.get_extra_info("socket")
        idle, every, count = (
            connected.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        probed = connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        response.close()
    await runner.cleanup()

    assert (probed, idle + every * count) == (1, 30)
