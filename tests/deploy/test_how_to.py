"""What docs/how-to/deploy.md promises beyond the main job: it is tried, not believed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from heliograph.lab.kilo import peer_crd
from tests.deploy import steps
from tests.deploy.buses import bus_of, configuration
from tests.deploy.clusters import ACCOUNTS, Cluster, eventually
from tests.deploy.manifests import DEPLOY, KUBERNETES, find, patches
from tests.deploy.programs import Program, deploy, environment, start
from tests.deploy.test_bus_rights import NORTH, Bus, make_streams

pytestmark = [pytest.mark.real, pytest.mark.nats, pytest.mark.timeout(300)]

PAGE = (DEPLOY.parent / "docs" / "how-to" / "deploy.md").read_text("utf-8")


@pytest.fixture(scope="module")
def deployed(clusters: dict[str, Cluster], certificates: Path) -> dict[str, Cluster]:
    """Give both clusters with everything applied; no program is running."""
    for cluster in clusters.values():
        deploy(cluster, certificates=certificates)
    return clusters


class Runner:
    """Starts programs, and ends them with the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[Program] = []

    def start(self, program: str, cluster: Cluster, environ: Mapping[str, str]) -> Program:
        """Start a program."""
        running = start(program, cluster, environ, self._folder)
        self._running.append(running)
        return running

    def stop(self) -> None:
        """End them all."""
        for running in self._running:
            running.child.stop()


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """Give a runner of programs."""
    made = Runner(tmp_path)
    try:
        yield made
    finally:
        made.stop()


def test_a_bus_that_is_away_for_long(
    deployed: dict[str, Cluster], certificates: Path, runner: Runner, tmp_path: Path
) -> None:
    """A reflector that starts without it runs all the same, and mirrors stay."""
    east, west = deployed["east"], deployed["west"]
    folders = {name: tmp_path / f"bus-{name}" for name in deployed}
    files = {name: configuration(f"clusters/{name}") for name in deployed}
    with bus_of("west", files["west"], certificates=certificates, folder=folders["west"]) as home:
        with bus_of(
            "east", files["east"], certificates=certificates, folder=folders["east"]
        ) as away:
            buses = {"east": away, "west": home}
            settings = environment(west, buses, certificates)
            watcher = runner.start("watcher", east, environment(east, buses, certificates))
            reflector = runner.start("reflector", west, settings)
            steps.export(east, west, "kept")
            watcher.child.stop()
            reflector.child.stop()
        patient = runner.start("reflector", west, settings)
        eventually(lambda: "cannot be reached" in patient.child.log_tail, "a look for east's bus")
        assert steps.cluster_ip(west, "kept")
        assert steps.addresses(west, "kept") == [steps.cluster_ip(east, "kept")]
        assert patient.child.running
        assert not patient.ready


def test_a_shared_bus(
    deployed: dict[str, Cluster], certificates: Path, runner: Runner, tmp_path: Path
) -> None:
    """Members find each other on it; neither has a list, and neither may make a stream.

    Peerers do not mind that nobody has installed Kilo, and set Peers once somebody has.
    """
    east, west = deployed["east"], deployed["west"]
    files = configuration("shared-bus/bus")
    changed = find(patches("shared-bus/member"), "ConfigMap", "settings")["data"]
    with bus_of("north", files, certificates=certificates, folder=tmp_path / "bus") as url:
        make_streams(Bus(url=url, owner=NORTH, importing=(), certificates=certificates))
        programs = []
        for cluster in (east, west):
            given = environment(cluster, dict.fromkeys(deployed, url), certificates) | changed
            own = {"HELIOGRAPH_CLUSTER": cluster.name, "HELIOGRAPH_NATS": url}
            settings = {k: v for k, v in (given | own).items() if v is not None}
            programs += [runner.start(p, cluster, settings) for p in ACCOUNTS]
        for running in programs:
            running.child.wait_ready(lambda: running.ready, timeout_s=60)  # noqa: B023
        steps.export(east, west, "shared")
        steps.export(west, east, "shared-back")
        steps.withdraw(east, west, "shared")
        west.apply(peer_crd())
        steps.peer(east, west, "shared")
        steps.unpeer(east, west, "shared")


def test_events_are_found_as_the_page_says(deployed: dict[str, Cluster]) -> None:
    """The field selector is one that the API server knows."""
    (selector,) = re.findall(r"--field-selector (\S+)", PAGE)
    deployed["east"].kubectl("get", "events", "--all-namespaces", f"--field-selector={selector}")


def test_paths_and_settings_on_the_page_exist() -> None:
    """Whatever the page names is there under that name."""
    for path in re.findall(r"\bdeploy/[\w./-]*\w", PAGE):
        assert (DEPLOY.parent / path).exists(), path
    named = {file.name for file in KUBERNETES.rglob("*.yaml")}
    assert set(re.findall(r"\b[\w-]+\.yaml\b", PAGE)) <= named
    links = re.findall(r"\]\(#([\w-]+)\)", PAGE)
    headings = re.findall(r"^#+ (.*)$", PAGE, flags=re.MULTILINE)
    assert set(links) <= {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}
