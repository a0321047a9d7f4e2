"""The house rules that no linter knows: sizes, sentences, and what must never be committed."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = [*ROOT.glob("heliograph/**/*.py"), *ROOT.glob("services/**/*.py")]
TESTS = list(ROOT.glob("tests/**/test_*.py"))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function's body, its docstring apart."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_are_small() -> None:
    """Half of all functions have at most 8 lines, nine of ten at most 25, and none over 50."""
    sizes = {
        f"{p.relative_to(ROOT)}:{f.name}": body_lines(f) for p in SOURCES for f in functions(p)
    }
    ordered = sorted(sizes.values())

    assert statistics.median(ordered) <= 8
    assert ordered[len(ordered) * 9 // 10] <= 25
    assert {name: size for name, size in sizes.items() if size > 50} == {}


def test_modules_are_small() -> None:
    """No module has more than 400 lines."""
    sizes = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in SOURCES}

    assert {name: size for name, size in sizes.items() if size > 400} == {}


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_each_test_says_in_a_sentence_what_it_shows(path: Path) -> None:
    """Every test has a docstring whose first line is a sentence."""
    silent = [
        function.name
        for function in functions(path)
        if function.name.startswith("test_")
        and not (ast.get_docstring(function) or "").partition("\n\n")[0].rstrip().endswith(".")
    ]

    assert silent == []


def test_nothing_of_one_machine_is_committed() -> None:
    """No path of somebody's machine, and no address of a package registry, is in any file."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607 - any git
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    forbidden = re.compile(
        r"(?<![\w.-])/(?:root|work|home)/\w|"
        r"files\.pythonhosted|pypi\.(?:org|python)|proxy\.golang|registry\.npmjs|deb\.debian"
    )
    found = []
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = ROOT / name
        if path == Path(__file__) or not path.is_file():
            continue
        text = path.read_bytes().decode(errors="replace")
        found += [f"{name}: {match.group()}" for match in forbidden.finditer(text)]
    assert found == []
