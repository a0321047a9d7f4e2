"""The supervised connection: it may be down for a while, but it never stays down.

Only the first connection can fail; afterwards outages show as `Lost` and `Restored`, publishing
meanwhile fails at once, and subscriptions outlive every client but miss what comes meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Final

import structlog

from heliograph.bus.background import alongside
from heliograph.bus.client import SupervisedClient
from heliograph.bus.dialling import Dialler
from heliograph.bus.errors import Disconnected
from heliograph.bus.events import ConnectionEvent, Denied, Lost, Observer, Restored
from heliograph.bus.request import Message, Reply, Requests
from heliograph.bus.settings import ConnectionSettings

_DENIED: Final = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"')


class Subscription:
    """Interest in a subject, renewed with every new client until `unsubscribe`."""

    def __init__(
        self, connection: Connection, subject: str, callback: Callable[[Message], None]
    ) -> None:
        self._connection = connection
        self.subject, self.callback = subject, callback

    async def unsubscribe(self) -> None:
        """End the interest; messages already received may still reach the callback."""
        await self._connection.drop(self)


class Connection:
    """A connection that comes back. Made by `connect`; one process needs one per server.

    Attributes:
        generation: Rises with each connection made; 1 after the first.
    """

    def __init__(self, settings: ConnectionSettings, on_warning: Callable[[str], None]) -> None:
        self.generation = 0
        self._settings, self._warn = settings, on_warning
        self._dialler = Dialler(settings, self._on_error, on_warning)
        self._client: SupervisedClient | None = None
        self._up = asyncio.Event()
        self._subscriptions: dict[Subscription, None] = {}  # an ordered set
        self._observers: list[Observer] = []
        self._inbox = f"{settings.inbox_prefix}.{secrets.token_hex(8)}"
        self._inboxes = itertools.count(1)
        self._requests = Requests(self.new_inbox(), self.inboxes, self.publish)

    @property
    def connected(self) -> bool:
        """Whether publishing would reach a server now, as far as is known."""
        return self._up.is_set()

    @property
    def shown_url(self) -> str:
        """The first address of the server, without the credentials that it may carry."""
        return self._settings.shown_urls[0]

    @property
    def max_payload_bytes(self) -> int:
        """The server's limit for headers and payload together; 0 while not connected."""
        return self._client.max_payload if self._client else 0

    async def wait_connected(self) -> None:
        """Return as soon as there is a connection, now or after an outage."""
        await self._up.wait()

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Tell `observer` of every `ConnectionEvent` from now on; returns what ends that."""
        self._observers.append(observer)
        return lambda: self._observers.remove(observer)

    @property
    def inboxes(self) -> str:
        """What the server's permissions must let this user subscribe to."""
        return f"{self._settings.inbox_prefix}.>"

    def new_inbox(self) -> str:
        """Return a subject of this connection's own, to subscribe to."""
        return f"{self._inbox}.{next(self._inboxes)}"

    async def publish(
        self,
        subject: str,
        payload: bytes = b"",
        headers: dict[str, str] | None = None,
        reply: str = "",
    ) -> None:
        """Publish at most once; `Disconnected` at once while there is no connection."""
        if self._client is None or not self.connected:
            raise Disconnected(f"publishing to {subject}")
        await self._client.send(subject, payload, reply, headers)

    async def request(self, subject: str, payload: bytes = b"", *, timeout_s: float = 2.0) -> Reply:
        """Publish and return the first reply.

        Raises `RequestTimeout`, `NoResponders`, `PermissionDenied`, or `Disconnected` as soon as
        the connection is lost; the request may have been carried out all the same.
        """
        return await self._requests.request(subject, payload, timeout_s)

    async def subscribe(self, subject: str, callback: Callable[[Message], None]) -> Subscription:
        """Call `callback` for every message on `subject`, until `unsubscribe`.

        The callback must neither block nor raise; what it raises is only warned of.
        """
        subscription = Subscription(self, subject, callback)
        self._subscriptions[subscription] = None
        if self._client is not None:
            await self._client.listen(subscription)
        return subscription

    async def drop(self, subscription: Subscription) -> None:
        """End a subscription; better said as `Subscription.unsubscribe`."""
        self._subscriptions.pop(subscription, None)
        if self._client is not None:
            await self._client.unlisten(subscription)

    async def open(self, *, patient: bool) -> None:
        """Make the first connection, or raise `BusUnreachable` within the settings' bound.

        With `patient` that is left to `supervise`.
        """
        await self.subscribe(self._requests.replies, self._requests.settle)
        if not patient:
            await self._adopt(await self._dialler.first())

    async def supervise(self) -> None:
        """Make the first connection, if nobody has; then replace every client that ends."""
        if self._client is None:
            await self._adopt(await self._dialler.again())
        while self._client is not None:
            await self._client.ended.wait()
            await self._lose(self._client)
            await self._adopt(await self._dialler.again())

    async def close(self) -> None:
        """End the connection within a bound; what is published afterwards fails."""
        client, self._client = self._client, None
        self._down()
        if client is not None:
            await client.shut()

    async def _adopt(self, client: SupervisedClient) -> None:
        self._client = client
        self._requests.renew()
        for subscription in list(self._subscriptions):
            await client.listen(subscription)
        self.generation += 1
        self._up.set()
        if not client.has_jetstream:
            self._warn(f"NATS server {self._settings.shown_urls[0]} runs without JetStream")
        self._notify(Restored())

    async def _lose(self, client: SupervisedClient) -> None:
        self._client = None
        self._down()
        self._warn(f"connection to NATS lost ({client.last_error or 'closed by the server'})")
        self._notify(Lost())
        client.abort()  # a polite close could hang on a dead peer
        await client.shut()

    def _down(self) -> None:
        self._up.clear()
        self._requests.fail(Disconnected("waiting for a reply"))

    def _on_error(self, text: str) -> None:
        found = _DENIED.search(text)
        if found is None:
            self._warn(text)
            return
        operation, subject = found.groups()
        self._requests.deny(operation, subject)
        self._notify(Denied(operation=operation, subject=subject))

    def _notify(self, event: ConnectionEvent) -> None:
        for observer in list(self._observers):
            observer(event)


@contextlib.asynccontextmanager
async def connect(
    settings: ConnectionSettings,
    on_warning: Callable[[str], None] | None = None,
    *,
    patient: bool = False,
) -> AsyncIterator[Connection]:
    """Connect, or raise `BusUnreachable`; then keep the connection up until the body ends.

    With `patient` a bus that is away at the start is an outage like any later one. `on_warning`
    hears of outages and refusals in whole sentences; by default they are logged.
    """
    log = structlog.get_logger()
    warn = on_warning or (lambda text: log.warning("bus warning", reason=text))
    connection = Connection(settings, warn)
    try:
        await connection.open(patient=patient)
        async with alongside(connection.supervise()):
            yield connection
    finally:
        await connection.close()
