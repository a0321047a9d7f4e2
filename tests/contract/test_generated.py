"""What is generated from the code is noticed when it is not what the code says any more."""

from __future__ import annotations

from pathlib import Path

from tools import generate

ROOT = Path(__file__).parents[2]


def test_everything_generated_is_up_to_date() -> None:
    """`make generate` would change nothing."""
    assert generate.outdated(ROOT, generate.generated()) == []


def test_drift_is_noticed(tmp_path: Path) -> None:
    """A file that is missing, that was changed by hand, or that nothing generates any more."""
    files = {"docs/contract/schemas/a.json": "{}\n", "docs/contract/b.yaml": "b\n"}
    assert generate.outdated(tmp_path, files) == sorted(files)

    generate.write(tmp_path, files)
    assert generate.outdated(tmp_path, files) == []

    (tmp_path / "docs/contract/b.yaml").write_text("c\n", encoding="utf-8")
    (tmp_path / "docs/contract/schemas/old.json").write_text("{}\n", encoding="utf-8")
    wrong = ["docs/contract/b.yaml", "docs/contract/schemas/old.json"]
    assert generate.outdated(tmp_path, files) == wrong

    generate.write(tmp_path, files)
    assert generate.outdated(tmp_path, files) == []
