"""Userspace WireGuard: a device behind the socket of its program, and how that one is started.

The program is no child of ours: it goes on when we end, and we use it again when we start.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from typing_extensions import override

from heliograph.wireguard import uapi
from heliograph.wireguard.applier import Applier
from heliograph.wireguard.device import Device, DeviceBackend, DeviceChange
from heliograph.wireguard.errors import (
    NoWireGuard,
    TunnelBusy,
    TunnelError,
    TunnelForbidden,
    from_errno,
)
from heliograph.wireguard.keys import PrivateKey

SOCKETS: Final = Path("/var/run/wireguard")
"""Where programs put their sockets: wireguard-go has no option for it."""

_ANSWER_S: Final = 30.0
"""Longest wait for one answer: 5,000 peers take a second; a stopped program never answers."""

_START_S: Final = 15.0
"""Longest wait for a started program; it takes 20 ms on an idle machine."""

_LOOK_S: Final = 0.02
_CHUNK_BYTES: Final = 1 << 18
_END: Final = b"\n\n"


class UserspaceDevice(DeviceBackend):
    """A device behind a socket of the cross-platform interface."""

    def __init__(self, name: str, folder: Path = SOCKETS) -> None:
        self.name: Final = name
        self._path: Final = folder / f"{name}.sock"
        self._lock: Final = asyncio.Lock()
        self._applier: Final = Applier(self._send, self._read)

    @override
    async def read(self) -> Device:
        async with self._lock:
            return await self._read()

    @override
    async def configure(self, private_key: PrivateKey, listen_port: int) -> None:
        async with self._lock:
            standing = await self._read()
            # wireguard-go opens its socket anew even for the port that it has: packets would go.
            change = uapi.set_device(
                None if standing.public_key == private_key.public else private_key,
                None if standing.listen_port == listen_port else listen_port,
            )
            self._check((await self._ask(change)).error)

    @override
    async def apply(self, changes: Sequence[DeviceChange]) -> None:
        if not changes:
            return
        async with self._lock:
            self._check(await self._applier.apply(changes))

    async def _send(self, changes: Sequence[DeviceChange]) -> int:
        return (await self._ask(uapi.set_peers(changes))).error

    async def _read(self) -> Device:
        answer = await self._ask(uapi.GET)
        self._check(answer.error)
        return answer.device

    def _check(self, error: int) -> None:
        if error:
            raise from_errno(error, f"the program of tunnel {self.name} refused a request")

    async def _ask(self, text: str) -> uapi.Answer:
        try:
            async with asyncio.timeout(_ANSWER_S):
                raw = await _exchange(self._path, text.encode())
        except TimeoutError as exc:
            raise TunnelBusy(
                f"the program of tunnel {self.name} has not answered for {_ANSWER_S:g} s"
            ) from exc
        except PermissionError as exc:
            raise from_errno(errno.EACCES, f"opening {self._path}") from exc
        except OSError as exc:
            raise TunnelBusy(
                f"the program of tunnel {self.name} does not answer at {self._path}: {exc.strerror}"
            ) from exc
        return uapi.parse(raw.decode(errors="replace"))


async def _exchange(path: Path, request: bytes) -> bytes:
    """Send a request, and return the answer with its end.

    Raises:
        OSError: Nobody is there.
    """
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as connection:
        await loop.sock_connect(connection, str(path))
        with contextlib.suppress(BrokenPipeError):  # refused before its end: the answer says why
            await loop.sock_sendall(connection, request)
        answer = bytearray()
        while not answer.endswith(_END):
            part = await loop.sock_recv(connection, _CHUNK_BYTES)
            if not part:
                break
            answer += part
        return bytes(answer)


async def start_userspace(
    name: str, program: Sequence[str], *, log: Path, folder: Path = SOCKETS
) -> None:
    """Start the program of a tunnel, unless it runs, and wait until it answers.

    Args:
        name: Of the interface.
        program: The command before its arguments, such as ("wireguard-go",).
        log: Where the program writes what goes wrong; made if it is not there.
        folder: Where the program puts its socket.

    Raises:
        NoWireGuard: There is no such program, or the kernel has no TUN.
        TunnelForbidden: It may not make an interface.
        TunnelError: It ended, or does not answer.
    """
    path = folder / f"{name}.sock"
    if await _answers(path):
        return
    path.unlink(missing_ok=True)
    if not program or shutil.which(program[0]) is None:
        raise NoWireGuard(
            f"{' '.join(program) or 'wireguard-go'}: there is no such program. This machine's "
            "kernel has no WireGuard: load its module, or install wireguard-go."
        )
    pid = await _spawn((*program, name), log)
    await _wait(path, pid, log)


async def is_userspace(name: str, folder: Path = SOCKETS) -> bool:
    """Tell whether a tunnel of this name stands, and a living program is behind it.

    Raises:
        TunnelForbidden: It may not be asked.
        TunnelBusy: A program has the socket, and does not answer.
    """
    return await _answers(folder / f"{name}.sock")


async def _answers(path: Path) -> bool:
    """Tell whether a living program is behind a socket.

    Raises:
        TunnelForbidden: It may not be asked.
    """
    try:
        async with asyncio.timeout(_ANSWER_S):
            return uapi.parse((await _exchange(path, uapi.GET.encode())).decode()).error == 0
    except PermissionError as exc:
        raise from_errno(errno.EACCES, f"opening {path}") from exc
    except (FileNotFoundError, ConnectionError):
        return False
    except TimeoutError as exc:
        raise TunnelBusy(f"a program has the socket {path}, and does not answer") from exc


_DETACHED: Final = 'log=$1; shift; WG_PROCESS_FOREGROUND=1 "$@" </dev/null >>"$log" 2>&1 & echo $!'
"""The shell starts the program and ends: whose child is orphaned so belongs to nobody.

wireguard-go would detach itself otherwise, as another process than the one that is waited for.
"""


async def _spawn(command: Sequence[str], log: Path) -> int:
    """Start a program in a session of its own, as nobody's child; return its process id."""
    log.parent.mkdir(parents=True, exist_ok=True)
    started = await asyncio.to_thread(
        subprocess.run,
        ("/bin/sh", "-c", _DETACHED, "sh", str(log), *command),
        stdout=subprocess.PIPE,
        start_new_session=True,
        check=True,
    )
    return int(started.stdout)


async def _wait(path: Path, pid: int, log: Path) -> None:
    try:
        async with asyncio.timeout(_START_S):
            while not await _answers(path):
                if not _runs(pid):
                    raise _ended(log)
                await asyncio.sleep(_LOOK_S)
    except TimeoutError as exc:
        raise TunnelError(
            f"the tunnel's program (process {pid}) does not answer at {path}, {_START_S:g} s "
            f"after its start; its log is {log}"
        ) from exc


def _runs(pid: int) -> bool:
    """Tell whether a process runs: a dead one may stay in the table, if nobody reaps it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


def _ended(log: Path) -> TunnelError:
    lines = log.read_text(errors="replace").strip().splitlines()
    last = lines[-1].strip() if lines else "it said nothing"
    text = f"the tunnel's program ended at once: {last} (log: {log})"
    if "not permitted" in last or "permission denied" in last:
        return TunnelForbidden(f"{text}. It needs CAP_NET_ADMIN.")
    return NoWireGuard(text) if "/dev/net/tun" in last else TunnelError(text)
