"""Hooks of the site's builder: the navigation, and links out of docs/ into the repository.

A link to a file in deploy/ leads to a copy of it in the site; a link to nowhere is a warning, which
ends the build (`--strict`).
"""

from __future__ import annotations

import logging
import os
import posixpath
import re
from pathlib import Path
from typing import Any, Final

from properdocs.config.defaults import ProperDocsConfig
from properdocs.structure.files import File, Files
from properdocs.structure.pages import Page

ROOT: Final = Path(__file__).parent.parent
_SHOWN: Final = "deploy"
"""The folder outside docs/ that the site shows too."""

_LINK: Final = re.compile(r"(?<=\]\()(\.\./[^)#\s]*)")
_SECTIONS: Final = {
    "How to": ("how-to/*.md",),
    "Reference": ("reference/*.md", "contract/README.md"),
    "Explanation": ("how-it-works.md", "performance.md"),
}
_DECISIONS: Final = "adr/*.md"
"""They are many, so they fold away, below the explanation."""

_log = logging.getLogger(f"properdocs.hooks.{__name__}")


def on_config(config: ProperDocsConfig) -> ProperDocsConfig:
    """Set the navigation: pages that are added to a folder are found."""
    docs = Path(config.docs_dir)
    sections: dict[str, list[Any]] = {
        title: [page for one in found for page in _pages(docs, one)]
        for title, found in _SECTIONS.items()
    }
    sections["Explanation"].append({"Decisions": _pages(docs, _DECISIONS)})
    config.nav = ["index.md", "tutorial.md", *({title: sections[title]} for title in sections)]
    return config


def _pages(docs: Path, pattern: str) -> list[str]:
    return [str(path.relative_to(docs)) for path in sorted(docs.glob(pattern))]


def on_files(files: Files, *, config: ProperDocsConfig) -> Files:
    """Add what the site shows of the repository outside docs/."""
    for path in sorted((ROOT / _SHOWN).rglob("*")):
        if path.is_file() and path.suffix != ".md":
            name = str(path.relative_to(ROOT))
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: ProperDocsConfig, files: Files) -> str:
    """Let links out of docs/ lead to the copies."""
    del config
    return _LINK.sub(lambda match: _inside(match[1], page.file.src_uri, files), markdown)


def _inside(link: str, source: str, files: Files) -> str:
    """Return a link as it is in the site; one that does not leave docs/ as it is."""
    folder = posixpath.dirname(source)
    target = posixpath.normpath(posixpath.join("docs", folder, link))
    if target.startswith("docs/"):
        return link
    if not (ROOT / target).exists():
        _log.warning("%s links to %s, which is not in the repository", source, target)
    elif files.get_file_from_path(target) is None:
        _log.warning("%s links to %s, which is no file that the site shows", source, target)
    return os.path.relpath(target, folder or ".")
