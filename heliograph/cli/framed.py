"""What nobody may overlook, in a frame on standard error; the other output stays as it is."""

from __future__ import annotations

from typing import Final

from rich.box import ASCII, HEAVY
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

_WIDTH: Final = 100


def framed(title: str, *sentences: str, console: Console | None = None) -> None:
    """Print sentences, each from a line of its own, in a frame with a title.

    On a terminal the frame is red (unless NO_COLOR is set) and drawn with lines; elsewhere it is
    made of the characters that every log can hold. It goes to standard error unless a `console`
    is given.
    """
    console = console or Console(stderr=True, highlight=False)
    console.print(
        Panel(
            Text("\n".join(sentences)),
            title=Text(title),
            title_align="left",
            border_style="bold red",
            box=HEAVY if console.is_terminal else ASCII,
            width=min(console.width, _WIDTH),
        ),
        soft_wrap=False,
    )
