"""A netlink socket on any event loop: requests by the hundred, dumps, and what the kernel tells.

pyroute2's own sockets are not used: they are datagram endpoints, which uvloop makes for the
internet only ("cannot open a UDP handle, invalid family 16").
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Final

from heliograph.wireguard import nlmsg
from heliograph.wireguard.errors import TunnelBusy, from_errno
from heliograph.wireguard.nlmsg import Message, Refusal, Request

_SOL_NETLINK: Final = 270
_ADD_MEMBERSHIP: Final = 1
_CAP_ACK: Final = 10
_EXT_ACK: Final = 11
_GET_STRICT_CHK: Final = 12

_RECEIVE_BYTES: Final = 1 << 16
"""The kernel fills no larger datagram: dumps have 32 KiB at most."""

_SEND_BYTES: Final = 1 << 14
"""So few refusals come back for one datagram that they fit into the socket's buffer."""

_BUFFER_BYTES: Final = 1 << 20
_ANSWER_S: Final = 10.0
"""The kernel answers while it is asked: this only ends a wait for an answer that was lost."""

_DUMPS: Final = 5
"""How often a dump is begun anew that changes came into."""


class _Overrun(TunnelBusy):
    """ENOBUFS: answers were lost, since they did not fit into the socket's buffer."""


class Netlink:
    """One socket, whose callers wait for each other.

    A call that fails, or is cancelled, leaves nothing behind that a later one could take for its
    own answer: sequence numbers tell.
    """

    def __init__(self, protocol: int, groups: Sequence[int] = ()) -> None:
        """Open a socket in the network namespace of this thread.

        Raises:
            TunnelError: That was refused.
        """
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        try:
            self._socket: Final = socket.socket(socket.AF_NETLINK, kind, protocol)
        except OSError as exc:
            raise from_errno(exc.errno or errno.EIO, "opening a netlink socket") from exc
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        for option in (_CAP_ACK, _EXT_ACK, _GET_STRICT_CHK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._socket.bind((0, 0))
        for group in groups:
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        self._sequences: Final = itertools.count(1)
        self._lock: Final = asyncio.Lock()

    def close(self) -> None:
        """Close the socket; what still waits on it fails."""
        self._socket.close()

    async def send(self, requests: Sequence[Request]) -> list[Refusal]:
        """Send requests, in their order, all of them; return those that the kernel refused.

        Raises:
            TunnelError: The socket itself failed: what was done then is not known.
        """
        async with self._lock:
            refused: list[Refusal] = []
            for part in nlmsg.datagrams(requests, _SEND_BYTES):
                refused += await self._send_datagram(requests, part)
            return refused

    async def _send_datagram(self, requests: Sequence[Request], part: range) -> list[Refusal]:
        indexes = {next(self._sequences) & 0xFFFFFFFF: index for index in part}
        last = max(indexes, key=lambda sequence: indexes[sequence])
        data = bytearray()
        for sequence, index in indexes.items():
            # Without this flag only refusals are answered; the last one says that all are through.
            data += nlmsg.pack(requests[index], sequence, nlmsg.ACK if sequence == last else 0)
        self._write(bytes(data))
        refused = []
        async for message in self._answers(set(indexes)):
            error, text = nlmsg.failure(message)
            if message.kind == nlmsg.ERROR and error:
                refused.append(Refusal(indexes[message.sequence], error, text))
            if message.sequence == last:
                break
        return refused

    async def ask(self, request: Request) -> Message:
        """Return the one answer to a request.

        Raises:
            OSError: The kernel refused it.
            TunnelError: The socket itself failed.
        """
        async with self._lock:
            sequence = next(self._sequences) & 0xFFFFFFFF
            self._write(nlmsg.pack(request, sequence))
            async for message in self._answers({sequence}):
                _raise_refusal(message)
                return message
            raise AssertionError("answers do not end")

    async def dump(self, request: Request) -> list[Message]:
        """Return all messages that answer a request, as of one moment.

        Raises:
            OSError: The kernel refused it.
            TunnelBusy: Changes came into it again and again.
            TunnelError: The socket itself failed.
        """
        async with self._lock:
            for _ in range(_DUMPS):
                with contextlib.suppress(_Overrun):
                    whole, found = await self._dump(request)
                    if whole:
                        return found
        raise TunnelBusy("the kernel's tables changed each time they were read")

    async def _dump(self, request: Request) -> tuple[bool, list[Message]]:
        sequence = next(self._sequences) & 0xFFFFFFFF
        self._write(nlmsg.pack(request, sequence, nlmsg.DUMP))
        found: list[Message] = []
        whole = True
        async for message in self._answers({sequence}):
            whole = whole and not message.flags & nlmsg.DUMP_INTERRUPTED
            _raise_refusal(message)
            if message.kind == nlmsg.DONE:
                break
            found.append(message)
        return whole, found

    async def heard(self) -> None:
        """Wait until the kernel says something to the groups of this socket; all of it is read.

        ENOBUFS ends the wait too: something was said, and lost, and later words come as before.

        Raises:
            TunnelError: The socket itself failed.
        """
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_recv(self._socket, _RECEIVE_BYTES)
            self._drain()
        except OSError as exc:
            if exc.errno != errno.ENOBUFS:
                raise from_errno(exc.errno or errno.EIO, "listening to the kernel") from exc

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(_RECEIVE_BYTES)

    def _write(self, data: bytes) -> None:
        try:
            self._socket.send(data)
        except OSError as exc:
            raise from_errno(exc.errno or errno.EIO, "asking the kernel by netlink") from exc

    async def _answers(self, sequences: set[int]) -> AsyncIterator[Message]:
        """Yield answers to requests of these sequence numbers, and no others, without end."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(_ANSWER_S):
                    datagram = await loop.sock_recv(self._socket, _RECEIVE_BYTES)
            except TimeoutError as exc:
                raise TunnelBusy(f"the kernel has not answered for {_ANSWER_S:g} s") from exc
            except OSError as exc:
                if exc.errno == errno.ENOBUFS:
                    raise _Overrun("the kernel's answers were lost: no buffer space") from exc
                raise from_errno(exc.errno or errno.EIO, "reading the kernel's answer") from exc
            for message in nlmsg.unpack(datagram):
                if message.sequence in sequences:
                    yield message


def _raise_refusal(message: Message) -> None:
    error, text = nlmsg.failure(message) if message.kind in {nlmsg.ERROR, nlmsg.DONE} else (0, "")
    if error:
        raise OSError(error, text)
