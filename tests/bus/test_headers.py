"""Header blocks are read, whatever is in them."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.bus import Connection, EmbeddedServer
from heliograph.bus.headers import parse
from tests.bus.support import eventually, reading, writing

BLOCKS: dict[str, tuple[bytes, dict[str, str]]] = {
    "plain": (b"NATS/1.0\r\nA: 1\r\nb-C:2\r\n\r\n", {"A": "1", "b-C": "2"}),
    "status": (b"NATS/1.0 503\r\n\r\n", {"Status": "503"}),
    "status and words": (
        b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 7\r\n\r\n",
        {"Status": "408", "Description": "Request Timeout", "Nats-Pending-Messages": "7"},
    ),
    "colons in the value": (b"NATS/1.0\r\nt: 12:30:00\r\n\r\n", {"t": "12:30:00"}),
    "twice": (b"NATS/1.0\r\na: 1\r\na: 2\r\n\r\n", {"a": "2"}),
    "no UTF-8": (b"NATS/1.0 5\xff\r\na: \xfe\r\n\r\n", {"Status": "5\ufffd", "a": "\ufffd"}),
    "no colon": (b"NATS/1.0\r\nnonsense\r\n\r\n", {}),
    "UTF-8": ("NATS/1.0\r\nname: Zürich\r\n\r\n".encode(), {"name": "Zürich"}),
}


@pytest.mark.parametrize(("block", "headers"), BLOCKS.values(), ids=BLOCKS)
def test_blocks(block: bytes, headers: dict[str, str]) -> None:
    """Names, values, status and description come out as they went in."""
    assert parse(block) == headers


@given(st.binary())
def test_any_bytes(block: bytes) -> None:
    """Nothing makes it raise."""
    assert isinstance(parse(block), dict)


@pytest.mark.nats
async def test_a_message_that_would_end_the_library(
    connection: Connection, server: EmbeddedServer
) -> None:
    """Subject and headers that are no UTF-8: read like any other, and no connection is lost."""
    block = b"NATS/1.0 503 \xff\r\nKey: \xfe\r\n\r\n"
    async with writing(connection) as writer, reading(connection) as reader:
        await eventually(lambda: reader.complete)
        tcp_reader, tcp_writer = await asyncio.open_connection("127.0.0.1", server.port)
        tcp_writer.write(
            b'CONNECT {"verbose":false,"headers":true}\r\n'
            b"PUB east.\xff\xfe 1\r\nx\r\n"
            b"HPUB east.odd %d %d\r\n%sx\r\nPING\r\n" % (len(block), len(block) + 1, block)
        )
        async with asyncio.timeout(5):
            while b"PONG" not in await tcp_reader.readline():
                pass
        tcp_writer.close()
        await tcp_writer.wait_closed()
        writer.offer("east.last", "x")
        await eventually(lambda: "east.last" in reader.table)
        reader.consumer.resync("to see the replay")
        await eventually(lambda: reader.complete and len(reader.created) == 2)
    assert set(reader.table) == {"east.\ufffd\ufffd", "east.odd", "east.last"}
    assert reader.interruptions == ["to see the replay"]
    assert connection.generation == 1
