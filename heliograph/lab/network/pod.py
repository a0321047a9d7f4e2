"""A pod: a host on its node's link, what it serves and what it asks."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

import msgspec

from heliograph.lab.network import objects
from heliograph.lab.network.api import Api
from heliograph.lab.network.host import Host, Outcome
from heliograph.lab.network.namespaces import Namespaces
from heliograph.lab.network.program import Program

HTTP_PORT: Final = 8080

_PROGRAMS: Final = Path(__file__).parent / "programs"
_POLL_S: Final = 0.02
_LISTENS_S: Final = 30.0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one request.

    Attributes:
        at: When it began, in seconds of the epoch.
        took_ms: How long it took, with the resolving of the name.
        ok: Whether it was answered with 200.
        said: The answer (a backend's says its pod's name), or what went wrong.
    """

    at: float
    took_ms: float
    ok: bool
    said: str


class Asker:
    """An HTTP client in a pod that keeps asking."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def answers(self) -> list[Answer]:
        """Return what became of all requests so far, in their order."""
        lines = self.program.settings.log.read_bytes().split(b"\n")[:-1]  # the last may be half
        return [msgspec.json.decode(line, type=Answer) for line in lines]

    async def until(
        self, condition: Callable[[Sequence[Answer]], bool], within_s: float = 30.0
    ) -> list[Answer]:
        """Wait until the answers so far fulfil a condition, and return them.

        Raises:
            TimeoutError: They did not in time; quotes the last ones.
        """
        deadline_s = time.monotonic() + within_s
        while not condition(answers := self.answers()):
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{self.program.settings.name} has only seen {answers[-5:]}")
            await asyncio.sleep(_POLL_S)
        return answers

    async def next_ok(self, within_s: float = 30.0) -> Answer:
        """Wait for a request that begins after now and is answered."""
        since = time.time()
        answers = await self.until(lambda seen: any(a.ok and a.at > since for a in seen), within_s)
        return next(answer for answer in answers if answer.ok and answer.at > since)

    def stop(self) -> list[Answer]:
        """End it, and return all that became of its requests."""
        self.program.stop()
        return self.answers()


class PodPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a pod is.

    Attributes:
        name, namespace: Its own.
        node: Its node's name.
        address: Its own.
    """

    name: str
    namespace: str
    node: str
    address: IPv4Address

    @property
    def path(self) -> str:
        """The pod's path on the API server."""
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"


class Pod(Host):
    """A pod; made by `Cluster.add_pod`.

    Attributes:
        place: Where it is.
        address: Its own.
    """

    def __init__(
        self, place: PodPlace, *, cluster: str, namespaces: Namespaces, folder: Path, api: Api
    ) -> None:
        super().__init__(f"{cluster}/{place.namespace}/{place.name}", namespaces, folder)
        self.place, self.address, self._api = place, place.address, api
        self._numbers = itertools.count(1)

    async def report(self, *, ready: bool) -> None:
        """Say in the pod's status whether it is ready, as its kubelet would."""
        body = objects.pod_status(self.address, ready=ready)
        await self._api.merge(f"{self.place.path}/status", body)

    async def serve(self, port: int = HTTP_PORT) -> Program:
        """Start an HTTP server that says this pod's name; return once it listens.

        `GET /bytes/N` answers N bytes, and `POST` how many bytes it was sent.
        """
        script = _PROGRAMS / "backend.py"
        arguments = (sys.executable, "-I", script, self.place.name, str(port))
        server = self.spawn(arguments, name=f"backend-{port}")
        await self.listens(server, port)
        return server

    async def listens(self, program: Program, port: int) -> None:
        """Wait until a program in this pod listens on a TCP port of it."""
        address = (str(self.address), port)
        await program.until(lambda: self.reaches(address), within_s=_LISTENS_S)

    def ask(self, url: str, *, every_s: float = 0.05, timeout_s: float = 2.0) -> Asker:
        """Keep asking a URL, one request after another, each with a connection of its own.

        Args:
            url: Such as "http://web.default.svc.cluster.local/"; resolved for every request.
            every_s: From the start of one request to that of the next; 0 for at once.
            timeout_s: A request has failed when nothing comes for so long.
        """
        script = _PROGRAMS / "asker.py"
        arguments = (sys.executable, "-I", script, url, str(every_s), str(timeout_s))
        return Asker(self.spawn(arguments, name=f"asker-{next(self._numbers)}"))

    async def transfer(self, url: str, count: int, *, timeout_s: float = 10.0) -> Outcome:
        """Fetch so many bytes from a pod that serves, and send it as many.

        Args:
            url: Of the server, such as "http://web.default.svc.cluster.local/".
            count: How many bytes, each way.
            timeout_s: It has failed when nothing moves for so long; `Outcome.text` then raises.
        """
        script = _PROGRAMS / "transfer.py"
        return await self.run((sys.executable, "-I", script, url, str(count), str(timeout_s)))
