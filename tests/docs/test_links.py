"""Links that lead nowhere are found, wherever the page is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.links import broken_links

ROOT = Path(__file__).parents[2]
GOOD = ("[a](docs/a.md)", "[a](docs/a.md#the-way-back-1)", "[a](docs)", "[e](https://e.example/x)")
BAD = ("[b](docs/b.md)", "[a](docs/a.md#the-way)", "[top](#nowhere)", "![p](docs/p.png)")


def test_all_links_of_the_repository_lead_somewhere() -> None:
    """Files and headings; what is elsewhere is not asked."""
    assert list(broken_links(ROOT)) == []


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    page = "# A\n\n## The way `back`\n\n## The way back\n"
    (tmp_path / "docs" / "a.md").write_text(page, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("link", GOOD)
def test_links_that_lead_somewhere(link: str, pages: Path) -> None:
    """To a file, a folder, the second heading of a name, another host."""
    (pages / "README.md").write_text(f"# Top\n\n{link}\n", encoding="utf-8")
    assert list(broken_links(pages)) == []


@pytest.mark.parametrize("link", BAD)
def test_links_that_lead_nowhere(link: str, pages: Path) -> None:
    """The page and the link are named; code is no link."""
    (pages / "README.md").write_text(f"# Top\n\n{link} `[c](c.md)`\n", encoding="utf-8")
    (found,) = broken_links(pages)
    assert found.startswith("README.md links to ")
