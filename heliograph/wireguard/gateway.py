"""The way back, set up: our nftables table, the chain FORWARD, and settings of the kernel.

All by the program nft, in whose transactions either everything happens or nothing.
"""

from __future__ import annotations

import asyncio
import errno
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from heliograph.wireguard import rules
from heliograph.wireguard.errors import NoNftables, TunnelBusy, TunnelError, from_errno

_SYSCTL: Final = Path("/proc/sys")
_FAMILIES: Final = ("ip", "ip6")
_PROGRAM_S: Final = 30.0
"""Longest run of nft: milliseconds, unless tens of thousands of rules of others are listed."""

_ABSENT: Final = "No such file or directory"


class Gateway:
    """Lets packets pass between one interface and the cluster behind this machine."""

    def __init__(self, interface: str) -> None:
        self._interface: Final = interface

    async def ensure(self, service_cidrs: Sequence[str], cidrs: Sequence[str]) -> list[str]:
        """Make what is missing; return what was done, a sentence for each.

        Args:
            service_cidrs: Of the own cluster, for which answers are led back; none in pods mode.
            cidrs: All ranges of the own cluster that others reach.

        Raises:
            NoNftables: There is no program nft.
            TunnelForbidden: This process may not do that.
            TunnelError: It failed otherwise.
        """
        done: list[str] = []
        wanted = rules.ruleset(self._interface, service_cidrs)
        standing = await self.standing()
        if standing is None or not rules.stands(standing, wanted):
            await self.apply(wanted)
            done.append(f"table inet {rules.TABLE} of nftables was written")
        for family in _FAMILIES:
            commands = rules.admit(await _forward(family), family, self._interface)
            if commands:
                await self.apply(commands)
                done.append(f"rules of ours in {family} filter FORWARD were changed")
        # Last, since the rules are of use also where /proc/sys is read-only, as in containers.
        settings = rules.settings(self._interface, cidrs)
        return [*done, *filter(None, map(_set, settings))]

    async def remove(self) -> None:
        """Take our table and our rules away; settings of the kernel stay, others may need them.

        Raises:
            NoNftables: There is no program nft.
            TunnelError: It failed otherwise.
        """
        await self.apply(rules.REMOVE)
        for family in _FAMILIES:
            commands = rules.retract(await _forward(family), family)
            if commands:
                await self.apply(commands)

    async def standing(self) -> bytes | None:
        """Return our table as nft lists it, in JSON; None if there is none."""
        return await _list("table", "inet", rules.TABLE)

    async def apply(self, commands: str) -> None:
        """Carry commands out, all or none."""
        code, _, said = await _nft("-f", "-", text=commands)
        if code:
            raise _failed(said)


_NOTHING: Final = b'{"nftables": []}'


async def _forward(family: str) -> bytes:
    return await _list("chain", family, "filter", "FORWARD") or _NOTHING


async def _list(*what: str) -> bytes | None:
    code, out, said = await _nft("-j", "list", *what)
    if code and _ABSENT in said:
        return None
    if code:
        raise _failed(said)
    return out


async def _nft(*args: str, text: str = "") -> tuple[int, bytes, str]:
    """Run nft; return its exit code, what it printed, and its complaint."""
    try:
        ran = await asyncio.to_thread(
            subprocess.run,
            ("nft", *args),
            input=text.encode(),
            capture_output=True,
            timeout=_PROGRAM_S,
            check=False,
        )
    except FileNotFoundError as exc:
        raise NoNftables("there is no program nft: install nftables (Debian's package)") from exc
    except subprocess.TimeoutExpired as exc:
        raise TunnelBusy(f"nft has not ended for {_PROGRAM_S:g} s") from exc
    return ran.returncode, ran.stdout, ran.stderr.decode(errors="replace")


def _failed(said: str) -> TunnelError:
    first = said.strip().partition("\n")[0]
    doing = f"changing nftables ({first})"
    if "not permitted" in said:
        return from_errno(errno.EPERM, doing)
    if "busy" in said or "temporarily" in said:
        return from_errno(errno.EBUSY, doing)
    return TunnelError(f"nft refused a change of ours: {first}")


def _set(setting: rules.Setting) -> str | None:
    """Set one setting unless it is well already; return what was done."""
    path = _SYSCTL / setting.key
    try:
        before = path.read_text(encoding="ascii").strip()
        if before in setting.enough:
            return None
        path.write_text(setting.value, encoding="ascii")
    except OSError as exc:
        doing = f"setting {setting.key} to {setting.value}, since {setting.reason}"
        number = errno.EACCES if exc.errno == errno.EROFS else exc.errno or errno.EIO
        raise from_errno(errno.ENODEV if number == errno.ENOENT else number, doing) from exc
    return f"{setting.key} was {before} and is {setting.value} now: {setting.reason}"
