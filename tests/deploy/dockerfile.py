"""Carries out the steps of deploy/Dockerfile without an engine: the same commands, other folders.

Only what that file uses is understood; anything else fails, so that the test and the file agree.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.deploy.manifests import DEPLOY

ROOT = DEPLOY.parent
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


class Instruction(msgspec.Struct, frozen=True):
    """One instruction of a Dockerfile, on one line."""

    word: str
    rest: str


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One FROM, and what follows it."""

    base: str
    name: str
    steps: list[Instruction]

    def all(self, word: str) -> list[str]:
        """Return what all instructions of one kind say."""
        return [step.rest for step in self.steps if step.word == word]

    def environment(self) -> dict[str, str]:
        """Return its ENV."""
        pairs = (pair for line in self.all("ENV") for pair in shlex.split(line))
        return dict(pair.split("=", 1) for pair in pairs)


def parse() -> tuple[Stage, Stage]:
    """Return the two stages of the Dockerfile."""
    stages: list[Stage] = []
    arguments: dict[str, str] = {}
    for instruction in _instructions((DEPLOY / "Dockerfile").read_text("utf-8")):
        if instruction.word == "ARG":
            name, _, value = instruction.rest.partition("=")
            arguments[name] = value
        elif instruction.word == "FROM":
            base, _, name = instruction.rest.partition(" AS ")
            base = _VARIABLE.sub(lambda found: arguments[found[1]], base)
            stages.append(Stage(base=base, name=name, steps=[]))
        else:
            stages[-1].steps.append(instruction)
    build, final = stages
    return build, final


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            word, rest = line.split(maxsplit=1)
            yield Instruction(word, " ".join(rest.split()))


def ignored(path: str) -> bool:
    """Tell whether the build does not get to see a path: the last rule that fits decides."""
    verdict = False
    for rule in (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines():
        pattern = rule.removeprefix("!").removeprefix("**/")
        fits = fnmatch.fnmatchcase(path, pattern) or path.startswith(f"{pattern}/")
        if rule and not rule.startswith("#") and fits:
            verdict = not rule.startswith("!")
    return verdict


class Builder:
    """Carries out a stage below a folder, in which the image's own paths then are.

    Args:
        root: Takes /src and /opt.
        python: Stands for the base image's interpreter.
    """

    def __init__(self, root: Path, python: Path) -> None:
        self._root = root
        programs = root / "base"
        programs.mkdir(parents=True)
        (programs / "python").symlink_to(python)
        self._path = f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin"
        self._folder = root

    def carry_out(self, stage: Stage) -> None:
        """Carry out all steps."""
        for step in stage.steps:
            match step.word:
                case "WORKDIR":
                    self._folder = Path(self.inside(step.rest))
                    self._folder.mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(*step.rest.split())
                case "RUN":
                    self._run(step.rest)
                case "ENV":
                    pass  # of the build, only pip's habits
                case _:
                    raise AssertionError(f"this test does not know {step}")

    def inside(self, text: str) -> str:
        """Return a command with the image's paths moved below the folder."""
        return re.sub(r"(?<![\w.])/(src|opt)\b", lambda found: f"{self._root}/{found[1]}", text)

    def _copy(self, *arguments: str) -> None:
        *sources, target = arguments
        for source in sources:
            assert not ignored(source), f"{source} is not given to the build"
            to = self._folder / target
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, to, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, to)

    def _run(self, command: str) -> None:
        ended = subprocess.run(
            ["/bin/sh", "-euc", self.inside(command)],
            cwd=self._folder,
            # pip's cache and index are the machine's own; the image's PATH is not.
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PATH": self._path},
            check=False,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert ended.returncode == 0, f"RUN {command}: {ended.stderr}"
