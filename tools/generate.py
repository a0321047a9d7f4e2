"""Writes what is generated from the code: the public contract, and reference pages.

`python -m tools.generate` writes; with `--check`, it fails where a file is not what it would write.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tools import asyncapi, reference, reference_metrics, schemas

ROOT: Final = Path(__file__).parent.parent
FOLDERS: Final = ("docs/contract/schemas",)
"""Folders in which nothing but generated files is."""


def main() -> int:
    """Write or check; return the exit code."""
    files = generated()
    if "--check" not in sys.argv:
        write(ROOT, files)
        return 0
    wrong = outdated(ROOT, files)
    for name in wrong:
        print(f"{name} is not what the code says; run `make generate`", file=sys.stderr)  # noqa: T201
    return 1 if wrong else 0


def generated() -> dict[str, str]:
    """Return the text of every generated file, by its path in the repository."""
    return {
        **{f"docs/contract/schemas/{name}": text for name, text in schemas.files().items()},
        "docs/contract/asyncapi.yaml": asyncapi.text(),
        **{f"docs/reference/{name}": text for name, text in reference.files().items()},
        "docs/reference/metrics.md": reference_metrics.page(),
    }


def write(root: Path, files: Mapping[str, str]) -> None:
    """Make the files what they should be, and remove generated ones that should not be."""
    for name in _leftovers(root, files):
        (root / name).unlink()
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def outdated(root: Path, files: Mapping[str, str]) -> list[str]:
    """Return the files that are missing, or are not what they should be, or should not be."""
    wrong = [name for name, text in files.items() if _read(root / name) != text]
    return sorted([*wrong, *_leftovers(root, files)])


def _leftovers(root: Path, files: Mapping[str, str]) -> list[str]:
    found = (path for folder in FOLDERS for path in (root / folder).glob("*"))
    return [name for path in found if (name := str(path.relative_to(root))) not in files]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
