"""`heliograph explain`: what people and programs are told, and the exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from heliograph.cli import explaining
from heliograph.cli.app import run
from heliograph.lab.access import ClusterAccess, write_kubeconfig
from heliograph.lab.memory import MemoryCluster
from heliograph.marks import EXPORT_LABEL, SERVICE_NAME_LABEL
from tests.cli.support import cluster_in_a_thread
from tests.support.clusters import namespace

NO_BUS = "nats://127.0.0.1:9"
NAMES = ("east", "north", "west")


@pytest.fixture
def clusters(tmp_path: Path) -> Iterator[dict[str, MemoryCluster]]:
    """Three clusters with a namespace; east has the Service, with a backend, and exports it."""
    with ExitStack() as stack:
        made = {}
        for number, name in enumerate(NAMES):
            cidr = f"10.{110 + number}.0.0/16"
            made[name] = stack.enter_context(cluster_in_a_thread(name, service_cidr=cidr))
            made[name].apply(namespace("shop"))
        service(made["east"], exported="true")
        made["east"].apply(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": "cart-1",
                    "namespace": "shop",
                    "labels": {SERVICE_NAME_LABEL: "cart"},
                },
                "addressType": "IPv4",
                "endpoints": [{"addresses": ["10.42.0.5"], "conditions": {"ready": True}}],
                "ports": [],
            }
        )
        away = ClusterAccess(name="away", server="http://127.0.0.1:9", token="x")  # noqa: S106
        write_kubeconfig(tmp_path / "kubeconfig", [away, *(c.access for c in made.values())])
        yield made


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a bus that is away little time: here there is none."""
    monkeypatch.setattr(explaining, "_CONNECT_S", 0.1)


def service(cluster: MemoryCluster, name: str = "cart", exported: str = "") -> None:
    """Apply a Service."""
    labels = {EXPORT_LABEL: exported} if exported else {}
    metadata = {"name": name, "namespace": "shop", "labels": labels}
    spec = {"ports": [{"name": "http", "port": 80}]}
    cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})


def explain(folder: Path, *given: str, names: tuple[str, ...] = NAMES, nats: str = NO_BUS) -> int:
    """Explain shop/cart, or what is given first; return the exit code."""
    named = bool(given) and not given[0].startswith("-")
    which = given if named else ("shop/cart", *given)
    clusters = [f"--cluster={name}={folder / 'kubeconfig'}@{name}" for name in names]
    return run(["explain", *which, *clusters, "--nats", nats])


@pytest.mark.usefixtures("clusters")
def test_what_is_wrong_comes_first_with_its_cure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each pair has its verdict, and each of its links a line."""
    assert explain(tmp_path) == 1

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "BROKEN  shop/cart from east to north, at the mirror: MirrorMissing"
    assert lines[1] == "  what  cluster north has no mirror of it yet"
    assert lines[2].startswith("  cure  see whether the reflector of cluster north runs")
    assert [line.split()[:2] for line in lines[3:14]] == [
        *(["ok", "service"], ["ok", "label"], ["ok", "backend"]),
        *(["unknown", "message"], ["unknown", "lease"]),
        *(["ok", "admission"], ["ok", "namespace"], ["BROKEN", "mirror"]),
        *(["-", "slice"], ["-", "claim"], ["-", "tunnel"]),
    ]
    assert NO_BUS in lines[6]
    assert lines[14] == "BROKEN  shop/cart from east to west, at the mirror: MirrorMissing"


@pytest.mark.usefixtures("clusters")
def test_one_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Named by ids of clusters that are given, or with their kubeconfigs."""
    given = f"west={tmp_path / 'kubeconfig'}@west"
    assert explain(tmp_path, "--from", "east", f"--to={given}", "--json", names=("east",)) == 1

    report = json.loads(capsys.readouterr().out)
    (chain,) = report["chains"]
    assert (report["service"], report["ok"]) == ("shop/cart", False)
    assert (chain["exporting"], chain["importing"]) == ("east", "west")
    assert chain["broken"]["reason"] == "MirrorMissing"
    assert chain["broken"] in chain["links"]
    assert set(chain["broken"]) == {"name", "state", "what", "reason", "cure"}


def test_nothing_is_broken(
    clusters: dict[str, MemoryCluster], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each pair; what could not be seen is never called fine."""
    clusters["east"].delete("Service", "shop", "cart")
    service(clusters["west"])

    assert explain(tmp_path, "--from", "away", names=(*NAMES, "away")) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        f"ok  shop/cart from away to {name}" for name in NAMES
    ]
    assert "not seen: service, label, backend, message, lease" in lines[0]


def test_whoever_forgot_the_label(
    clusters: dict[str, MemoryCluster], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Service that nobody exports is explained from where it is."""
    service(clusters["east"])

    assert explain(tmp_path, "--to", "west") == 1

    assert "from east to west, at the label: NotExported" in capsys.readouterr().out


BAD = {
    "no name": (["cart"], "'cart' names no Service: give NAMESPACE/NAME"),
    "no such Service": (["shop/crat"], "no Service shop/crat in east, north, west, nor on the bus"),
    "its nearest name": (["shop/crat"], "did you mean shop/cart?"),
    "the bus that was away": (["shop/crat"], f"not looked at: NATS server {NO_BUS}"),
    "no such namespace": (["shpo/cart"], "no namespace shpo in east, north, west, nor a Service"),
    "its nearest namespace": (["shpo/cart"], "did you mean shop?"),
    "no such cluster": (["--to", "wets"], "cluster wets is not known: no kubeconfig of it was"),
    "its nearest cluster": (["--to", "wets"], "did you mean west?"),
    "no such exporting cluster": (["--from", "eats"], "did you mean east?"),
    "the cluster alone": (["--to", "east", "--from", "east"], "no other cluster was given"),
    "no id at all": (["--to", "West!"], "'West!' is no cluster id"),
    "an unknown flag": (["--form", "east"], "--form"),
}


@pytest.mark.usefixtures("clusters")
@pytest.mark.parametrize(("given", "said"), BAD.values(), ids=BAD)
def test_bad_input(
    given: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence with the nearest names, exit code 2, nothing on standard output."""
    assert explain(tmp_path, *given) == 2

    out, err = capsys.readouterr()
    assert (out, said in err) == ("", True), err


def test_no_clusters(capsys: pytest.CaptureFixture[str]) -> None:
    """It says how they are given."""
    assert run(["explain", "shop/cart"]) == 2
    assert "give clusters: --cluster east=KUBECONFIG" in capsys.readouterr().err


@pytest.mark.usefixtures("clusters")
def test_nothing_could_be_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a cluster nor a bus: that is a fault, and no verdict."""
    assert explain(tmp_path, names=("away",)) == 1

    out, err = capsys.readouterr()
    assert (out, "nothing could be looked at" in err, NO_BUS in err) == ("", True, True)
    assert "the API server of cluster away" in err


@pytest.mark.usefixtures("clusters")
def test_a_bus_of_a_clusters_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each bus that is away is named at the links of its own clusters."""
    assert explain(tmp_path, "--to", "west", "--import-from", "east=nats://127.0.0.1:10") == 1

    lines = capsys.readouterr().out.splitlines()
    (message,) = (line for line in lines if " message " in line)
    (claim,) = (line for line in lines if " claim " in line)
    assert "NATS server nats://127.0.0.1:10 cannot be reached" in message
    assert claim.split()[0] == "-"


def test_help_names_both_sides(capsys: pytest.CaptureFixture[str]) -> None:
    """And the bus, as for the programs."""
    assert run(["explain", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(flag in out for flag in ("--from", "--to", "--cluster", "--nats", "--as-cluster"))
