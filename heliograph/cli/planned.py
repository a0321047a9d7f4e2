"""Plans, as people and programs read them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from rich.console import Console
from rich.text import Text

from heliograph.admission.explain import REASON
from heliograph.cli.clusters import parse_clusters
from heliograph.cli.framed import framed
from heliograph.errors import InputError
from heliograph.run.changes import Action, Change
from heliograph.run.planning import Clusters, plan_mirrors

_SIGNS: Final[dict[Action, tuple[str, str]]] = {
    "create": ("+", "green"),
    "change": ("~", "yellow"),
    "recreate": ("±", "magenta"),
    "remove": ("-", "red"),
    "refuse": ("!", "bold red"),
}
"""Sign and style of each line."""

_COUNTED: Final[dict[Action, str]] = {
    "create": "to create",
    "change": "to change",
    "recreate": "to recreate",
    "remove": "to remove",
    "refuse": "refused",
}
_DIFF_STYLES: Final = {"+": "green", "-": "red", "@": "cyan"}


class Showing(msgspec.Struct, frozen=True, kw_only=True):
    """How a plan is shown.

    Attributes:
        json: As a JSON list, one object for each change.
        exit_code: Whether the exit code tells that there is something to do, or an overlap.
    """

    json: bool = False
    exit_code: bool = False


def between(exporting: Sequence[str], importing: str) -> Clusters:
    """Return the clusters that "--from" and "--to" name.

    Raises:
        InputError: One of them is of another form, or is on both sides.
    """
    sources = parse_clusters(exporting, flag="--from")
    ((target, access),) = parse_clusters([importing], flag="--to").items()
    if target in sources:
        message = (
            f"cluster {target} is in --from and in --to: a cluster needs no mirrors of its own "
            f"Services; leave out one of them, or give one another id"
        )
        raise InputError(message)
    return Clusters(exporting=sources, importing=target, access=access)


async def mirrors(clusters: Clusters, showing: Showing, *, create_namespaces: bool) -> int:
    """Show a plan of mirrors; return the exit code."""
    changes = await plan_mirrors(clusters, create_namespaces=create_namespaces)
    overlaps = [change for change in changes if change.reason == REASON]
    for change in overlaps:
        framed(f"{change.name} is refused ({change.reason})", change.message)
    show(changes, as_json=showing.json)
    to_do = any(change.action != "refuse" for change in changes)
    return 1 if showing.exit_code and (to_do or overlaps) else 0


def show(changes: Sequence[Change], *, as_json: bool) -> None:
    """Print a plan on standard output, in colours on a terminal (and not with NO_COLOR)."""
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(changes)).decode() + "\n")
        return
    console = Console(highlight=False, soft_wrap=True)
    for change in changes:
        for line in lines_of(change):
            console.print(line)
    console.print(summary(changes))


def lines_of(change: Change) -> Iterator[Text]:
    """Yield what is printed of one change: a line, and its diff without the two names."""
    sign, style = _SIGNS[change.action]
    where = f"{change.namespace}/{change.name}" if change.namespace else change.name
    said = change.message or f"{change.kind} {where}"
    yield Text(f"{sign} {change.action:<8} {said}", style=style)
    for line in change.diff.splitlines()[2:]:
        yield Text(f"    {line}", style=_DIFF_STYLES.get(line[:1], ""))


def summary(changes: Sequence[Change]) -> str:
    """Return the last line: how many of which, or that there is nothing to do."""
    counts = Counter(change.action for change in changes)
    said = [f"{counts[action]} {words}" for action, words in _COUNTED.items() if counts[action]]
    to_do = any(action != "refuse" for action in counts)
    return ", ".join(said if to_do else ["nothing to do", *said])
