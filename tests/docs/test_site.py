"""The site is built in strict mode: a link to nowhere ends it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BROKEN = {
    "a page": "[x](nope.md)",
    "a heading": "[x](tutorial.md#nope)",
    "a file outside docs/": "[x](../deploy/nope.yaml)",
    "a file that the site does not show": "[x](../Makefile)",
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what the site is made from."""
    folder = tmp_path_factory.mktemp("site")
    for name in ("docs", "deploy", "tools"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "properdocs.yml", folder)
    return folder


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "properdocs", "build", "--strict"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_site_is_whole(copy: Path) -> None:
    """All pages, and the files outside docs/ that they link to."""
    built = build(copy)
    assert built.returncode == 0, built.stderr
    pages = {str(path.relative_to(copy / "site")) for path in copy.glob("site/**/*.html")}
    written = {path.relative_to(copy / "docs") for path in copy.glob("docs/**/*.md")}
    for page in written:
        name = "index.html" if page.name == "README.md" else page.with_suffix(".html").name
        assert str(page.with_name(name)) in pages
    assert (copy / "site/deploy/kubernetes/nats/1-configuration.yaml").is_file()


@pytest.mark.parametrize("link", BROKEN.values(), ids=BROKEN)
def test_a_link_to_nowhere_ends_it(link: str, copy: Path) -> None:
    """And is named."""
    page = copy / "docs" / "index.md"
    whole = page.read_text(encoding="utf-8")
    page.write_text(f"{whole}\n{link}\n", encoding="utf-8")
    try:
        built = build(copy)
    finally:
        page.write_text(whole, encoding="utf-8")
    assert built.returncode == 1
    assert "index.md" in built.stderr
