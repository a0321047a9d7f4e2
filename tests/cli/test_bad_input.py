"""Bad input is answered with one sentence that says what to do, exit code 2, no traceback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.bus import EmbeddedServer, ServerSettings
from heliograph.cli.app import run
from heliograph.lab.access import ClusterAccess, write_kubeconfig
from tests.cli.support import memory_cluster

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """A kubeconfig whose cluster is not there."""
    path = tmp_path / "kubeconfig"
    write_kubeconfig(path, [ClusterAccess(name="a", server=NOBODY, token="x")])  # noqa: S106
    return path


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[str]:
    """The URL of a nats-server."""
    with EmbeddedServer(ServerSettings(directory=tmp_path / "nats")) as server:
        yield server.url


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must be refused; return the one sentence on standard error."""
    code = run(list(arguments))
    captured = capsys.readouterr()
    assert code == 2, captured
    assert captured.out == ""
    assert captured.err.startswith("heliograph: ")
    assert captured.err.count("\n") == 1
    return captured.err


CASES = {
    "no such file": (["--kubeconfig", "/nowhere"], "/nowhere cannot be read (No such file"),
    "no such context": (["--kubeconfig", "{kubeconfig}@zz"], "no context 'zz'; it has: a"),
    "nobody answers": (["--kubeconfig", "{kubeconfig}"], "does not answer (Connection refused)"),
    "no kubeconfig": ([], "no kubeconfig was given"),
    "id is no label": (["--cluster", "East_1", "--kubeconfig", "{kubeconfig}"], "one DNS label"),
    "misspelt flag": (["--leas-s", "3"], "Did you mean --lease-s?"),
    "no number": (["--lease-s", "soon"], "lease-s"),
    "no range": (["--pod-cidrs", "all"], "'all' is no range of addresses in canonical form; give"),
    "an address for a range": (["--tunnel-cidrs", "10.4.0.1/16"], "give 10.4.0.0/16"),
    "no granularity": (["--kilo-granularity", "cross"], "cross"),
    "out of range": (["--lease-s", "0"], "setting 'lease_s' (--lease-s, HELIOGRAPH_LEASE_S)"),
}


@pytest.mark.parametrize(("arguments", "said"), CASES.values(), ids=CASES)
def test_the_watcher_refuses(
    arguments: list[str], said: str, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each way to start the watcher wrongly is named, with what to do."""
    given = [argument.format(kubeconfig=kubeconfig) for argument in arguments]
    cluster = [] if "--cluster" in given else ["--cluster", "east"]

    assert said in explained(capsys, "watcher", *cluster, *given)


UP_CASES = {
    "one cluster": (["--cluster", "east=k"], "at least two clusters"),
    "one id twice": (["--cluster", "east=k", "--cluster", "east=k"], "two clusters have the id"),
    "no kubeconfig": (["--cluster", "east", "--cluster", "west"], "ID=KUBECONFIG@CONTEXT"),
    "bus of nobody": (
        ["--cluster", "east=k", "--cluster", "west=k", "--nats", "north=nats://x"],
        "for no known cluster; there are: east, west",
    ),
    "one without bus": (
        ["--cluster", "east=k", "--cluster", "west=k", "--nats", "east=nats://x"],
        "cluster west has no bus",
    ),
}


@pytest.mark.parametrize(("arguments", "said"), UP_CASES.values(), ids=UP_CASES)
def test_up_refuses(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Clusters and buses that do not fit together are refused before anything runs."""
    assert said in explained(capsys, "up", *arguments)


def test_a_misspelt_variable_names_the_nearest_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typo in the environment is an error, not a setting that silently does nothing."""
    monkeypatch.setenv("HELIOGRAPH_LEASE", "3")

    said = explained(capsys, "watcher", "--cluster", "east")

    assert "HELIOGRAPH_LEASE is no setting" in said
    assert "did you mean HELIOGRAPH_LEASE_S?" in said


def test_an_unknown_command_lists_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped command is answered with the commands."""
    assert "Available commands" in explained(capsys, "wacher")


def test_a_name_that_is_no_service(capsys: pytest.CaptureFixture[str]) -> None:
    """A Service is named NAMESPACE/NAME."""
    assert "give NAMESPACE/NAME" in explained(capsys, "export", "important-service")


DECISIONS = {
    "no id": (["forget", "Not_An_Id"], "one DNS label"),
    "no cluster named": (["confirm"], "requires an argument"),
    "nobody answers": (["leave", "--kubeconfig", "{kubeconfig}"], "does not answer"),
    "no such file": (["forget", "north", "--kubeconfig", "/nowhere"], "/nowhere cannot be read"),
}


@pytest.mark.parametrize(("arguments", "said"), DECISIONS.values(), ids=DECISIONS)
def test_decisions_about_the_clusterset_are_refused(
    arguments: list[str], said: str, kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What names no cluster, or cannot be written down, decides nothing."""
    given = [argument.format(kubeconfig=kubeconfig) for argument in arguments]
    assert said in explained(capsys, *given)


@pytest.mark.parametrize("count", [("--clusters", "0"), ("--kilo", "--nodes", "0")])
def test_a_count_of_the_laboratory_that_cannot_be(
    count: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The laboratory says how many clusters, and how many nodes, there may be."""
    path = str(tmp_path / "k")

    said = explained(capsys, "lab", "up", *count, "--kubeconfig", path)

    assert f"{count[-2]} 0 cannot be: give a number from 1 to" in said


@pytest.mark.nats
def test_a_wrong_token(tmp_path: Path, bus: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A token that the API server does not accept is told from one that may not do enough."""
    with memory_cluster("east", token="right") as access:  # noqa: S106
        path = tmp_path / "kubeconfig"
        wrong = ClusterAccess(name="east", server=access.server, token="wrong")  # noqa: S106
        write_kubeconfig(path, [wrong])

        said = explained(
            capsys, "watcher", "--cluster", "east", "--kubeconfig", str(path), "--nats", bus
        )

    assert "does not accept the credentials" in said


def test_a_bus_that_nobody_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The URL stands in the sentence."""
    with memory_cluster("east") as access:
        path = tmp_path / "kubeconfig"
        write_kubeconfig(path, [access])

        said = explained(
            capsys,
            *("watcher", "--cluster", "east", "--kubeconfig", str(path)),
            *("--nats", "nats://127.0.0.1:9"),
        )

    assert "nats://127.0.0.1:9 cannot be reached (connection refused)" in said


@pytest.mark.nats
def test_a_port_in_use(tmp_path: Path, bus: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A taken port is named, with the flag that chooses another one."""
    with memory_cluster("east") as access, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        path = tmp_path / "kubeconfig"
        write_kubeconfig(path, [access])

        said = explained(
            capsys,
            *("watcher", "--cluster", "east", "--kubeconfig", str(path)),
            *("--nats", bus, "--listen", listen),
        )

    assert f"cannot listen on {listen}" in said
    assert "--listen" in said


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["events"],
        ["trace", "shop/cart"],
        ["peers", "--cluster", "east"],
    ],
    ids=lambda command: command[0],
)
def test_without_a_bus_people_are_told_that_mirrors_stay(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Which bus, and that nothing is lost: one sentence each, exit code 2."""
    assert run([*command, "--nats", "nats://127.0.0.1:9"]) == 2
    said = capsys.readouterr().err
    assert "nats://127.0.0.1:9 cannot be reached" in said
    assert "Mirrors stay as they are" in said
    assert len(said.splitlines()) == 1
