"""The demo with real packets: what is said where it cannot be, and when something is not seen."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from heliograph import program
from heliograph.cli import demo_network as command
from heliograph.cli.app import app
from heliograph.demo.network.scene import NotSeen, Scene, Shown, Told
from heliograph.errors import InputError
from heliograph.lab.network import NetworkUnavailable
from heliograph.lab.network.machine import require_tun

LOGGED = "what a program logged\n"


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one sentence that was said, on one line."""
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def test_it_needs_real_control_planes(capsys: pytest.CaptureFixture[str]) -> None:
    """`--network` alone is refused with the command that was meant, and exit code 2."""
    assert app(["demo", "--network"], result_action="return_value") == 2
    assert "run 'heliograph demo --real --network'" in refusal(capsys)


@pytest.mark.parametrize("missing", ["root", "nft", "tun"])
def test_what_is_missing_is_said_before_anything_is_done(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence that says what to do, and exit code 2."""

    def require() -> None:
        require_tun(Path("/dev/null/tun"))

    monkeypatch.setattr(command, "ensure_built", None)  # comes after
    monkeypatch.setattr(os, "geteuid", lambda: 1000 if missing == "root" else 0)
    monkeypatch.setattr(
        "shutil.which", lambda name, **_: None if name == missing == "nft" else f"/bin/{name}"
    )
    monkeypatch.setattr(command, "require_tun", require)

    assert program.run(command.demo(real=True, as_json=False)) == 2
    remedies = {"root": "run this as root", "nft": "install nftables", "tun": "modprobe tun"}
    assert remedies[missing] in refusal(capsys)


def test_a_tun_device_that_can_be_opened_is_enough(tmp_path: Path) -> None:
    """Nothing else is asked of it; without it the error names the file."""
    device = tmp_path / "tun"
    with pytest.raises(NetworkUnavailable, match=f"{device}.*No such file") as caught:
        require_tun(device)
    assert isinstance(caught.value, InputError)
    device.touch()
    require_tun(device)


async def seen_at_once() -> Shown:
    told = Told(command="kubectl get [it]", text="NAME\nit\n")
    return Shown(seconds=2, told=(told,), notes=("[Errno -2]",))


async def never_seen() -> Shown:
    raise NotSeen("it was [blue]")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> list[Scene]:
    """Let the demo play what is put into a list, on no clusters at all."""
    scenes: list[Scene] = []
    program = SimpleNamespace(settings=SimpleNamespace(name="east/watcher"), log_tail=LOGGED)
    staged = SimpleNamespace(mesh=SimpleNamespace(programs=(program,)), scenes=lambda: scenes)

    @asynccontextmanager
    async def clusters(*_: object) -> AsyncIterator[SimpleNamespace]:
        yield staged

    async def built(_: object) -> Path:
        return Path("binary")

    nothing_more = SimpleNamespace(scenes=tuple)
    monkeypatch.setattr(command, "clusters", clusters)
    monkeypatch.setattr(command, "Crossing", lambda _: nothing_more)
    monkeypatch.setattr(command, "ensure_built", built)
    for name in ("require_tools", "require_tun"):
        monkeypatch.setattr(command, name, lambda: None)
    return scenes


def scene(name: str, act: Callable[[], Awaitable[Shown]]) -> Scene:
    return Scene(name=name, done=f"{name} is done", expected=f"{name} is seen", play=act)


async def test_what_was_seen_is_shown(
    stage: list[Scene], capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands with what they wrote, as it was, and then the notes; the programs' logs are not."""
    stage += [scene("one", seen_at_once), scene("two", seen_at_once)]

    assert await command.demo(real=True, as_json=False) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "2. two is done\n   seen after 2.00 s: two is seen\n" in captured.out
    assert "   $ kubectl get [it]\n     NAME\n     it\n   [Errno -2]\n" in captured.out


async def test_it_ends_with_what_was_not_seen(
    stage: list[Scene], capsys: pytest.CaptureFixture[str]
) -> None:
    """It says why, plays nothing after that, prints the programs' logs, and exits with 1."""
    stage += [scene("one", never_seen), scene("two", seen_at_once)]

    assert await command.demo(real=True, as_json=False) == 1
    captured = capsys.readouterr()
    assert "not seen: one is seen\n   it was [blue]\n" in captured.out
    assert "2. two is done" not in captured.out
    assert f"--- east/watcher\n{LOGGED}" in captured.err
