"""One connection's life in nats-py, from dialling to its first fault; the only importer of it.

nats-py's own reconnection is switched off. Whatever ends a client (reset, silence, refusal,
expired credentials, a fault in its reader) sets `ended`; it is then thrown away and replaced:
one path for every fault, and no client that is half dead. `flush()` and `rtt()` are never called:
a PONG that comes after their timeout would kill the reader. No library exception leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from typing_extensions import override

from heliograph.bus import credentials
from heliograph.bus.background import cancellable
from heliograph.bus.diagnosis import diagnose
from heliograph.bus.errors import Disconnected, InvalidPublication
from heliograph.bus.headers import parse
from heliograph.bus.request import Message
from heliograph.bus.settings import ConnectionSettings, shown, tls_context
from heliograph.bus.websockets import left_out, refuse

with left_out():
    import nats.errors
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription as NativeSubscription

_STEP_S: Final = 2  # for TCP, greeting and TLS each: longer than any sane round trip
_CLOSE_S: Final = 1.0  # nats-py's close() may hang on a dead peer
_PING_S: Final = 1  # with two unanswered: a silent server is noticed after 3 s
_HEADER_FRAME_BYTES, _HEADER_LINE_BYTES = 12, 4
_NO_HEADERS: Final[Mapping[str, str]] = {}


class Subscription(Protocol):
    """What is listened to; its identity is the key."""

    @property
    def subject(self) -> str:
        """The subject, wildcards allowed."""

    @property
    def callback(self) -> Callable[[Message], None]:
        """Called for each message; must not block."""


class SupervisedClient(Client):
    """nats-py's client with one sign of its end: the event `ended`."""

    def __init__(self, settings: ConnectionSettings, report: Callable[[str], None]) -> None:
        super().__init__()
        self.ended = asyncio.Event()
        self._settings, self._report, self._greeted = settings, report, False
        self._native: dict[Subscription, NativeSubscription] = {}

    async def dial(self, url: str) -> None:
        """Connect, or raise `BusUnreachable` (`InputError` for settings that cannot be used)."""
        try:
            with cancellable():
                await self._connect_once(url)
        except (OSError, nats.errors.Error, ValueError) as error:
            raise diagnose(error, shown(url), accepted=bool(self._transport)) from error
        finally:
            if not self._greeted:
                self.abort()

    async def _connect_once(self, url: str) -> None:
        refuse(url)
        given, path = self._settings, self._settings.credentials
        if path is not None:
            credentials.user_jwt(path)  # nats-py would not look before a server asks
        await self.connect(
            url,
            name=given.name,
            error_cb=self._on_error,
            allow_reconnect=False,
            connect_timeout=_STEP_S,
            ping_interval=_PING_S,
            max_outstanding_pings=2,
            pending_size=0,
            tls=tls_context(given),
            user=given.user,
            password=given.password,
            token=given.token,
            user_jwt_cb=(lambda: credentials.user_jwt(path)) if path else None,
            signature_cb=(lambda nonce: credentials.sign(path, nonce)) if path else None,
        )
        self._greeted = True

    async def _on_error(self, error: Exception) -> None:
        if not self._greeted:
            raise error  # ends the attempt; nats-py alone would try for ever
        if not self.ended.is_set():
            self._report(str(error))

    async def send(
        self, subject: str, payload: bytes, reply: str, headers: dict[str, str] | None
    ) -> None:
        """Publish; `Disconnected` when the client has ended, `InvalidPublication` for bad input."""
        size = len(payload) + _size_of(headers)
        if size > self.max_payload:
            why = f"{size} bytes are more than the server's limit of {self.max_payload}"
            raise InvalidPublication(subject, why)
        try:
            await self.publish(subject, payload, reply=reply, headers=headers)
        except (nats.errors.BadSubjectError, nats.errors.BadHeaderError) as error:
            raise InvalidPublication(subject, str(error)) from error
        except (OSError, nats.errors.Error) as error:
            raise Disconnected(f"publishing to {subject}") from error

    async def listen(self, subscription: Subscription) -> None:
        """Subscribe, unless the client has ended meanwhile: its successor will.

        nats-py's limits are off: callbacks never wait, so its queue holds one read at most.
        """

        async def deliver(msg: Msg) -> None:  # nats-py wants a coroutine
            headers = msg.headers or _NO_HEADERS
            subscription.callback(
                Message(subject=msg.subject, payload=msg.data, reply=msg.reply, headers=headers)
            )

        with contextlib.suppress(OSError, nats.errors.Error):
            self._native[subscription] = await self.subscribe(
                subscription.subject, cb=deliver, pending_msgs_limit=0, pending_bytes_limit=0
            )

    async def unlisten(self, subscription: Subscription) -> None:
        """Unsubscribe; nothing to do when the client has ended."""
        native = self._native.pop(subscription, None)
        if native is not None:
            with contextlib.suppress(OSError, nats.errors.Error):
                await native.unsubscribe()

    async def shut(self) -> None:
        """Close within a bound, whatever state the peer is in."""
        try:
            with cancellable(), contextlib.suppress(OSError, nats.errors.Error):
                async with asyncio.timeout(_CLOSE_S):
                    await self.close()
        finally:
            self.abort()

    def abort(self) -> None:
        """Give the socket back at once."""
        writer: asyncio.StreamWriter | None = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    @property
    def has_jetstream(self) -> bool:
        """Whether the server said in its greeting that JetStream is on."""
        return bool(self._server_info.get("jetstream"))

    @override
    async def _read_loop(self) -> None:
        try:
            await super()._read_loop()
        finally:
            self.ended.set()  # no reader, no connection: whatever nats-py thinks

    @override
    async def _close(self, status: int, do_cbs: bool = True) -> None:
        self.ended.set()  # what follows may hang
        await super()._close(status, do_cbs)

    @override
    def _connect_command(self) -> bytes:
        if self._settings.wants_tls and not self._server_info.get("tls_required"):
            raise nats.errors.SecureConnWantedError  # nats-py would go on in clear text
        return super()._connect_command()

    @override
    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        return parse(headers) if headers else None

    @override
    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        """Take any subject: one that is no UTF-8 would end nats-py's reader."""
        return Msg(
            self,
            subject=subject.decode("utf-8", "replace"),
            reply=reply.decode("utf-8", "replace"),
            data=data,
            headers=headers,
            _sid=sid,
        )


def _size_of(headers: dict[str, str] | None) -> int:
    if not headers:
        return 0
    lines = sum(len(key) + len(value) + _HEADER_LINE_BYTES for key, value in headers.items())
    return lines + _HEADER_FRAME_BYTES
