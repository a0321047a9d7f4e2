"""Checks the links of all Markdown files of the repository: files, folders and headings."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT: Final = Path(__file__).parent.parent
_WHERE: Final = ("*.md", "docs/**/*.md", "deploy/**/*.md")
_ELSEWHERE: Final = re.compile(r"[a-z][a-z0-9+.-]*:")


def main() -> int:
    """Name the links that lead nowhere; return the exit code."""
    broken = list(broken_links(ROOT))
    for one in broken:
        print(one, file=sys.stderr)  # noqa: T201
    return 1 if broken else 0


def broken_links(root: Path) -> Iterator[str]:
    """Yield a sentence for each link that leads nowhere."""
    for path in sorted(path for pattern in _WHERE for path in root.glob(pattern)):
        for link in _links(path):
            name, _, heading = link.partition("#")
            target = path.parent / name if name else path
            if not target.exists():
                yield f"{path.relative_to(root)} links to {link}: there is no such file"
            elif heading and heading not in set(_headings(target)):
                yield f"{path.relative_to(root)} links to {link}: there is no such heading"


def _links(path: Path) -> Iterator[str]:
    """Yield the links into the repository."""
    for token in _inline(_parsed(path)):
        link = str(token.attrGet("href") or token.attrGet("src") or "")
        if link and not _ELSEWHERE.match(link):
            yield link


def _headings(path: Path) -> Iterator[str]:
    """Yield the anchors of a page's headings, as GitHub makes them."""
    tokens, seen = _parsed(path), dict[str, int]()
    for heading, words in itertools.pairwise(tokens):
        if heading.type == "heading_open":
            text = "".join(token.content for token in _inline([words]))
            anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            seen[anchor] = seen.get(anchor, -1) + 1
            yield f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor


def _parsed(path: Path) -> list[Token]:
    return MarkdownIt().enable("table").parse(path.read_text(encoding="utf-8"))


def _inline(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield from token.children or ()


if __name__ == "__main__":
    sys.exit(main())
