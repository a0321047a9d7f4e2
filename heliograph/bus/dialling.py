"""Making clients: the first within a bound, every later one for as long as it takes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Final

from heliograph.backoff import Backoff
from heliograph.bus.client import SupervisedClient
from heliograph.bus.diagnosis import diagnose
from heliograph.bus.errors import BusUnreachable
from heliograph.bus.settings import ConnectionSettings
from heliograph.errors import InputError

_RETRY: Final = Backoff(initial_s=0.25, limit_s=0.25)  # never longer: back within moments
_REFUSED: Final = Backoff(initial_s=2.0, limit_s=2.0)  # who refuses us is not asked so often
_SHORT_LIFE_S: Final = 1.0  # a server may accept us and cut us off, again and again


class Dialler:
    """Dials the servers of one connection in turn."""

    def __init__(
        self,
        settings: ConnectionSettings,
        on_error: Callable[[str], None],
        on_warning: Callable[[str], None],
    ) -> None:
        self._settings, self._on_error, self._warn = settings, on_error, on_warning
        self._urls = itertools.cycle(settings.urls)
        self._dialled_at_s = 0.0

    async def first(self) -> SupervisedClient:
        """Return a client, or raise `BusUnreachable`: at once when refused, else in time."""
        failure = diagnose(TimeoutError(), self._settings.shown_urls[0])
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                while True:
                    try:
                        return await self._dial()
                    except BusUnreachable as error:
                        failure = error
                    if failure.final:
                        raise failure
                    await asyncio.sleep(_RETRY.delay_s(1))
        except TimeoutError:
            raise failure from failure.__cause__

    async def again(self) -> SupervisedClient:
        """Return a client, however long that takes; each new reason is warned of."""
        told = ""
        if asyncio.get_running_loop().time() < self._dialled_at_s + _SHORT_LIFE_S:
            await asyncio.sleep(_RETRY.delay_s(1))
        while True:
            try:
                return await self._dial()
            except (BusUnreachable, InputError) as error:
                if str(error) != told:
                    told = str(error)
                    self._warn(told)
                refused = isinstance(error, InputError) or error.final
                await asyncio.sleep((_REFUSED if refused else _RETRY).delay_s(1))

    async def _dial(self) -> SupervisedClient:
        client = SupervisedClient(self._settings, self._on_error)
        await client.dial(next(self._urls))
        self._dialled_at_s = asyncio.get_running_loop().time()
        return client
