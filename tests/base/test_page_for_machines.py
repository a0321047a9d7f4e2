"""/healthz, /readyz and /metrics, on an address that is free."""

from __future__ import annotations

import re

import aiohttp
import pytest

from heliograph.errors import InputError
from heliograph.health import Condition, when
from heliograph.metrics import Metrics
from heliograph.pulse import Pulse
from heliograph.web import Served, parse_listen, serve

ADDRESSES = {
    "IPv4": ("127.0.0.1:9402", ("127.0.0.1", 9402)),
    "a name": ("localhost:0", ("localhost", 0)),
    "IPv6": ("[::1]:9402", ("::1", 9402)),
    "all addresses": (":9402", ("", 9402)),
    "the last port": (":65535", ("", 65535)),
}
NO_ADDRESSES = ["", "9402", "127.0.0.1", "127.0.0.1:", ":http", ":65536", ":-1", ":²", ":٣"]


class Program:
    """A program that is ready or not."""

    def __init__(self) -> None:
        self.is_ready = False
        self.pulse = Pulse()
        self.metrics = Metrics("watcher", "east")

    @property
    def served(self) -> Served:
        """Return what its page shows."""
        return Served(
            program="watcher",
            conditions=self.conditions,
            pulse=self.pulse,
            metrics=self.metrics,
        )

    def conditions(self) -> tuple[Condition, ...]:
        """Return one that is met, and one that may be."""
        return when("bus", holds=True, otherwise=""), when("lease", self.is_ready, "it is out")


async def get(address: str, path: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as http, http.get(f"http://{address}{path}") as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()


@pytest.mark.parametrize(("listen", "address"), ADDRESSES.values(), ids=ADDRESSES)
def test_where_to_listen(listen: str, address: tuple[str, int]) -> None:
    """Hosts are optional, IPv6 stands in brackets."""
    assert parse_listen(listen) == address


@pytest.mark.parametrize("listen", NO_ADDRESSES)
def test_what_is_no_address(listen: str) -> None:
    """The message shows what was given, and an example."""
    with pytest.raises(InputError, match=re.escape(f"--listen {listen!r} is no address: give")):
        parse_listen(listen)


async def test_health_is_about_the_process() -> None:
    """A program that is not ready is healthy: restarting it would not help."""
    async with serve("127.0.0.1:0", Program().served) as address:
        assert await get(address, "/healthz") == (200, "text/plain; charset=utf-8", "ok\n")


async def test_readiness_follows_the_program() -> None:
    """Each request asks anew."""
    program = Program()
    async with serve("127.0.0.1:0", program.served) as address:
        assert (await get(address, "/readyz"))[0] == 503
        program.is_ready = True
        assert (await get(address, "/readyz"))[::2] == (200, "ok\n")


async def test_readiness_says_which_condition_fails() -> None:
    """Line by line, as kube-apiserver's does: always when one fails, else when asked."""
    program = Program()
    async with serve("127.0.0.1:0", program.served) as address:
        failing = "[+]bus ok\n[-]lease failed: it is out\nnot ready\n"
        assert (await get(address, "/readyz"))[::2] == (503, failing)
        program.is_ready = True
        verbose = "[+]bus ok\n[+]lease ok\nok\n"
        assert (await get(address, "/readyz?verbose"))[::2] == (200, verbose)


async def test_metrics_are_for_prometheus() -> None:
    """The content type is that of the exposition format."""
    program = Program()
    program.metrics.publications.labels("node").inc()
    async with serve("127.0.0.1:0", program.served) as address:
        status, kind, text = await get(address, "/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert 'heliograph_publications_total{kind="node"} 1.0' in text


async def test_nothing_else_is_served() -> None:
    """Other paths are not found."""
    async with serve("127.0.0.1:0", Program().served) as address:
        assert (await get(address, "/"))[0] == 404


async def test_an_address_can_be_used_as_shown() -> None:
    """IPv6 addresses come in brackets, as a URL needs them."""
    async with serve("[::1]:0", Program().served) as address:
        assert address.startswith("[::1]:")
        assert (await get(address, "/healthz"))[0] == 200


async def test_a_port_in_use_is_bad_input() -> None:
    """The message names program and address, and says what to do."""
    async with serve("127.0.0.1:0", Program().served) as address:
        with pytest.raises(InputError) as raised:
            async with serve(address, Program().served):
                pass
    message = str(raised.value)
    assert message.startswith(f"the watcher cannot listen on {address} (")
    assert message.endswith("is another program using the port? Choose another one with --listen")
