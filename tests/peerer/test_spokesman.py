"""Of several programs that see the same refusals, one tells people."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph import telemetry
from heliograph.bus import Connection
from heliograph.bus.background import alongside
from heliograph.contract.messages import RefusalStated, decode
from heliograph.contract.subjects import Kind, kind_filter, parse_subject, stream_name
from heliograph.kube.client import KubeClient
from heliograph.metrics import Metrics
from services.peerer.refusal import Refusal
from services.peerer.refusals import RefusalBoard
from services.peerer.wireguard.spokesman import is_first
from tests.bus.support import connected, embedded, eventually, reading
from tests.support.announcing import make_stream
from tests.support.builders import EAST
from tests.support.clusters import client_of, memory_cluster

REFUSAL = Refusal(
    exporting=EAST, kind="node", name="n1", reason="KeyTaken", message="node n1 announces a key."
)


@pytest.mark.parametrize(
    ("heard_of", "speaks"),
    [(set(), False), ({"b"}, True), ({"b", "c"}, True), ({"a", "b"}, False), ({"a"}, False)],
)
def test_the_first_by_name_that_is_heard_of_speaks(heard_of: set[str], speaks: bool) -> None:  # noqa: FBT001
    """Nobody speaks who is not heard of, and nobody while one before it is."""
    assert is_first("b", heard_of) is speaks


def board_on(client: KubeClient, bus: Connection) -> RefusalBoard:
    """Return a board of refusals that is not running."""
    metrics, off = Metrics("agent", EAST), telemetry.disabled()
    return RefusalBoard(EAST, bus, client, telemetry=off, metrics=metrics, regarding="heliograph")


@pytest.mark.nats
async def test_a_board_tells_while_it_runs_what_was_put_before(tmp_path: Path) -> None:
    """Not before: neither Event nor message; then both; and whoever takes its place goes on."""
    async with (
        memory_cluster() as cluster,
        client_of(cluster.access, tmp_path) as client,
        embedded(tmp_path / "nats") as server,
        connected(server.url) as bus,
    ):
        await make_stream(bus)
        first, second = board_on(client, bus), board_on(client, bus)
        where = kind_filter(EAST, Kind.REFUSAL)
        async with reading(bus, where, stream=stream_name(EAST)) as reader:

            def said() -> list[str]:
                found = (decode(parse_subject(t), p) for t, p in reader.table.items())
                return [m.reason for m in found if isinstance(m, RefusalStated)]

            first.put(EAST, (REFUSAL,))
            second.put(EAST, (REFUSAL,))
            assert (said(), cluster.list("Event")) == ([], [])
            async with alongside(first.run()):
                await eventually(lambda: said() == ["KeyTaken"])
                await eventually(lambda: len(cluster.list("Event")) == 1)

            second.put(EAST, ())
            async with alongside(second.run()):
                second.looked_at_everything()
                await eventually(lambda: said() == [])
