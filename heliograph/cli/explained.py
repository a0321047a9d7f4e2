"""Chains, as people and programs read them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from rich.console import Console
from rich.text import Text

from heliograph.explain.link import Chain, Link, State

_STYLES: Final[dict[State, str]] = {
    "ok": "green",
    "broken": "bold red",
    "unknown": "yellow",
    "not concerned": "dim",
}
_SIGNS: Final[dict[State, str]] = {
    "ok": "ok",
    "broken": "BROKEN",
    "unknown": "unknown",
    "not concerned": "-",
}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints.

    Attributes:
        service: The Service, as NAMESPACE/NAME.
        ok: Whether no link is broken; some may be unknown.
        chains: Broken ones first.
    """

    service: str
    ok: bool
    chains: tuple[Chain, ...]


def show(service: str, chains: Sequence[Chain], *, as_json: bool) -> None:
    """Print chains on standard output, in colours on a terminal (and not with NO_COLOR).

    Of several, those that hold have one line each.
    """
    ordered = sorted(chains, key=lambda chain: chain.broken is None)
    if as_json:
        sound = all(chain.broken is None for chain in chains)
        report = Report(service=service, ok=sound, chains=tuple(ordered))
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
        return
    console = Console(highlight=False, soft_wrap=True)
    for chain in ordered:
        for line in lines_of(service, chain, whole=len(chains) == 1 or chain.broken is not None):
            console.print(line)


def lines_of(service: str, chain: Chain, *, whole: bool) -> Iterator[Text]:
    """Yield what is printed of a chain: the verdict, and (if `whole`) each link."""
    way = f"{service} from {chain.exporting} to {chain.importing}"
    if chain.broken is None:
        yield Text.assemble(("ok", _STYLES["ok"]), f"  {way}: {_sound(chain)}")
    else:
        yield from _verdict(way, chain.broken)
    if whole:
        yield from (_line(link) for link in chain.links)


def _verdict(way: str, link: Link) -> Iterator[Text]:
    style = _STYLES["broken"]
    yield Text.assemble(("BROKEN", style), f"  {way}, at the {link.name}: {link.reason}")
    yield Text(f"  what  {link.what}")
    yield Text(f"  cure  {link.cure}", style="bold")


def _sound(chain: Chain) -> str:
    unknown = [link.name for link in chain.links if link.state == "unknown"]
    if not unknown:
        return "every link holds"
    return f"nothing is broken that can be seen; not seen: {', '.join(unknown)}"


def _line(link: Link) -> Text:
    reason = f" [{link.reason}]" if link.reason else ""
    sign = f"  {_SIGNS[link.state]:<8}"
    return Text.assemble((sign, _STYLES[link.state]), f"{link.name:<10} {link.what}{reason}")
