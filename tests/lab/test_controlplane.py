"""Real control planes: what they serve, what may happen to them, and that they end."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from cryptography import x509

from heliograph.lab.access import ClusterAccess
from heliograph.lab.controlplane import (
    ControlPlane,
    ControlPlaneFailed,
    ControlPlaneSettings,
    kubectl,
)
from heliograph.lab.controlplane.certificates import make_certificates
from heliograph.lab.controlplane.port import hold_port, port_of
from heliograph.lab.controlplane.probe import Probe
from heliograph.lab.controlplane.process import ChildProcess, stop_all

CART = """\
apiVersion: v1
kind: Service
metadata: {name: cart}
spec: {ipFamilyPolicy: RequireDualStack, ports: [{port: 80}]}
"""
HOLDER = """\
import signal, sys
from pathlib import Path
from heliograph.lab.controlplane import ControlPlane, ControlPlaneSettings

binary, folder = map(Path, sys.argv[1:])
plane = ControlPlane(ControlPlaneSettings(name="orphan"), binary=binary, folder=folder)
plane.start()
plane.pause_api_server()
print("ready", flush=True)
signal.pause()
"""


def processes_in(folder: Path) -> list[str]:
    """Return the command lines of all processes that run in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has just ended
            continue
    return found


def eventually(condition: Callable[[], bool], within_s: float) -> bool:
    """Poll until the condition holds; return whether it did in time."""
    deadline = time.monotonic() + within_s
    while not (held := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return held


def refused(plane: ControlPlane) -> bool:
    """Whether nobody listens where the API server was."""
    address = urlsplit(plane.access.server)
    with socket.socket() as client:
        return client.connect_ex((address.hostname, address.port)) != 0


def watch_services(access: ClusterAccess) -> http.client.HTTPSConnection:
    """Ask for a watch that would last a minute."""
    tls = ssl.create_default_context(cadata=access.ca_pem)
    watch = http.client.HTTPSConnection(urlsplit(access.server).netloc, context=tls, timeout=20)
    headers = {"Authorization": f"Bearer {access.token}"}
    watch.request("GET", "/api/v1/services?watch=true&timeoutSeconds=60", headers=headers)
    return watch


@pytest.mark.real
async def test_services_get_addresses_of_both_families(
    control_plane: ControlPlane, controlplane_binary: Path
) -> None:
    """A dual-stack Service gets one cluster IP from each of the ranges, the first one first."""
    outcome = await kubectl(
        control_plane.access,
        *("apply", "--filename=-", "--output=json"),
        binary=controlplane_binary,
        stdin=CART,
    )

    assert outcome.exit_code == 0, outcome.stderr
    v4, v6 = json.loads(outcome.stdout)["spec"]["clusterIPs"]
    assert v4.startswith("10.110.")
    assert v6.startswith("fd00:10:110::")


@pytest.mark.real
async def test_controllers_work(control_plane: ControlPlane, controlplane_binary: Path) -> None:
    """A new namespace gets its ServiceAccount, and goes away with everything in it."""
    access, binary = control_plane.access, controlplane_binary
    await kubectl(access, "create", "namespace", "shop", binary=binary)
    made = await kubectl(
        access,
        *("wait", "--for=create", "serviceaccount/default", "--namespace=shop", "--timeout=20s"),
        binary=binary,
    )
    deleted = await kubectl(access, "delete", "namespace", "shop", "--timeout=30s", binary=binary)

    assert made.exit_code == 0, made.stderr
    assert deleted.exit_code == 0, deleted.stderr


@pytest.mark.real
async def test_kubectl_and_the_server_know_their_version(
    control_plane: ControlPlane, controlplane_binary: Path
) -> None:
    """Client and server report the release they were built from, as in any cluster."""
    outcome = await kubectl(
        control_plane.access, "version", "--output=json", binary=controlplane_binary
    )
    versions = json.loads(outcome.stdout)

    assert versions["clientVersion"]["gitVersion"] == "v1.36.3"
    assert versions["serverVersion"]["gitVersion"] == "v1.36.3"


@pytest.mark.real
def test_strangers_are_turned_away(control_plane: ControlPlane) -> None:
    """Only the right token gets an answer, also to the question whether the server is ready."""
    stranger = msgspec.structs.replace(control_plane.access, token="guessed")  # noqa: S106

    assert Probe(control_plane.access).ok("/readyz")
    assert not Probe(stranger).ok("/readyz")


@pytest.mark.real
@pytest.mark.parametrize("kill", [False, True], ids=["SIGTERM", "SIGKILL"])
async def test_an_api_server_restarts_in_its_place(
    control_plane: ControlPlane, controlplane_binary: Path, *, kill: bool
) -> None:
    """After a restart it has the same address and the same objects; while down, it refuses."""
    access, binary = control_plane.access, controlplane_binary
    name = f"kept-{kill}".lower()
    await kubectl(access, "create", "configmap", name, binary=binary)
    await control_plane.stop_api_server(kill=kill)
    down = refused(control_plane)
    await control_plane.start_api_server()
    found = await kubectl(access, "get", "configmap", name, binary=binary)

    assert down
    assert control_plane.access == access
    assert found.exit_code == 0, found.stderr


@pytest.mark.real
async def test_a_control_plane_recovers_from_a_crash(
    control_plane: ControlPlane, controlplane_binary: Path
) -> None:
    """Killed with its etcd, it comes back at the same address with the same objects."""
    access, binary = control_plane.access, controlplane_binary
    await kubectl(access, "create", "configmap", "survivor", binary=binary)
    await control_plane.crash()
    down = refused(control_plane)
    await control_plane.recover()
    found = await kubectl(access, "get", "configmap", "survivor", binary=binary)

    assert down
    assert control_plane.access == access
    assert found.exit_code == 0, found.stderr


@pytest.mark.real
def test_open_watches_do_not_delay_a_restart(control_plane: ControlPlane) -> None:
    """A watch comes to a clean end as the server is told to stop, which then ends by itself."""
    with contextlib.closing(watch_services(control_plane.access)) as watch:
        answer = watch.getresponse()
        began = time.monotonic()
        asyncio.run(control_plane.stop_api_server())
        took_s = time.monotonic() - began
        rest = answer.read()
    asyncio.run(control_plane.start_api_server())

    assert answer.status == 200
    assert rest.endswith(b"\n")
    assert took_s < 1.9


@pytest.mark.real
def test_a_paused_api_server_does_not_answer(control_plane: ControlPlane) -> None:
    """It accepts connections and is silent until it goes on, as a frozen machine would."""
    probe = Probe(control_plane.access)
    control_plane.pause_api_server()
    try:
        silent, listening = not probe.ok("/readyz"), not refused(control_plane)
    finally:
        control_plane.resume_api_server()

    assert silent
    assert listening
    assert eventually(lambda: probe.ok("/readyz"), within_s=20)


@pytest.mark.real
async def test_it_can_do_without_controllers(controlplane_binary: Path, tmp_path: Path) -> None:
    """No controllers, no kube-controller-manager; after the end nothing runs and nobody listens."""
    settings = ControlPlaneSettings(name="bare", controllers=())
    async with ControlPlane(settings, binary=controlplane_binary, folder=tmp_path) as plane:
        running = " ".join(processes_in(tmp_path))
    assert "kube-apiserver" in running
    assert "kube-controller-manager" not in running
    assert processes_in(tmp_path) == []
    assert refused(plane)


@pytest.mark.real
@pytest.mark.parametrize("after_s", [0.0, 0.3, 1.5])
async def test_a_cancelled_start_leaves_nothing(
    controlplane_binary: Path, tmp_path: Path, after_s: float
) -> None:
    """Whoever gives up while it starts finds everything ended, wherever the start had got to."""
    plane = ControlPlane(
        ControlPlaneSettings(name="west"), binary=controlplane_binary, folder=tmp_path
    )
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(after_s), plane:
            pytest.fail("it cannot be ready so soon")

    assert processes_in(tmp_path) == []


@pytest.mark.real
def test_nothing_outlives_a_killed_parent(controlplane_binary: Path, tmp_path: Path) -> None:
    """After kill -9 of the parent all programs end by themselves, also one that is paused."""
    folder = tmp_path / "plane"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, controlplane_binary, folder], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        ready = parent.stdout.readline()
        before = processes_in(folder)
        parent.kill()

    assert ready == b"ready\n"
    assert len(before) == 3
    assert eventually(lambda: processes_in(folder) == [], within_s=10), processes_in(folder)


@pytest.mark.real
async def test_an_early_death_is_explained(controlplane_binary: Path, tmp_path: Path) -> None:
    """A program that ends while it should start is named, with the end of its log."""
    settings = ControlPlaneSettings(name="west", api_server_flags=("--no-such-flag",))
    plane = ControlPlane(settings, binary=controlplane_binary, folder=tmp_path)
    with pytest.raises(ControlPlaneFailed, match="west/kube-apiserver ended by itself") as caught:
        await plane.__aenter__()

    assert "unknown flag: --no-such-flag" in str(caught.value)
    assert caught.value.log == tmp_path / "kube-apiserver.log"
    assert processes_in(tmp_path) == []


@pytest.mark.real
def test_it_outlives_an_event_loop(controlplane_binary: Path, tmp_path: Path) -> None:
    """An API server that is started in one event loop still runs when that loop has ended."""
    settings = ControlPlaneSettings(name="west", controllers=())
    plane = ControlPlane(settings, binary=controlplane_binary, folder=tmp_path)
    plane.start()
    try:
        asyncio.run(plane.restart_api_server(kill=True))
        found = asyncio.run(
            kubectl(plane.access, "get", "namespace", "default", binary=controlplane_binary)
        )
    finally:
        plane.stop()

    assert found.exit_code == 0, found.stderr


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """Stopping takes no longer than its bound, whatever the program thinks of it."""
    child = sh(tmp_path, "trap '' TERM; echo up; while :; do read x < /dev/zero; done")
    child.start()
    assert eventually(lambda: "up" in (tmp_path / "log").read_text(), within_s=5)
    began = time.monotonic()
    stop_all([child], 0.2)

    assert time.monotonic() - began < 2
    assert child.pid is None


def test_a_child_can_be_started_again(tmp_path: Path) -> None:
    """A second start ends what is left of the first, and its log goes on in the same file."""
    child = sh(tmp_path, "echo once more; kill -STOP $$")
    child.start()
    first = child.pid
    assert eventually(lambda: "more" in (tmp_path / "log").read_text(), within_s=5)
    child.start()
    assert eventually(lambda: (tmp_path / "log").read_text().count("more") == 2, within_s=5)
    second = child.pid
    stop_all([child], 5)

    assert first is not None
    assert second is not None
    assert first != second
    with pytest.raises(ProcessLookupError):
        os.kill(first, signal.SIG_DFL)


def test_a_program_that_cannot_be_run_leaves_no_descriptor(tmp_path: Path) -> None:
    """A start that fails at once closes what it had opened."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    child = ChildProcess("none", ("/no/such/program",), folder=tmp_path, log=tmp_path / "log")
    with pytest.raises(FileNotFoundError):
        child.start()

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_held_port_is_refused_and_not_given_away() -> None:
    """Nobody answers on a held port, and nobody who binds it in the usual way gets it."""
    with hold_port() as holder, socket.socket() as client, socket.socket() as thief:
        address = ("127.0.0.1", port_of(holder))

        assert client.connect_ex(address) != 0
        with pytest.raises(OSError, match="in use"):
            thief.bind(address)


def test_the_certificate_names_every_way_to_the_server() -> None:
    """Loopback, the names that Pods use and the Service's own addresses are all covered."""
    made = make_certificates(["10.110.0.1", "fd00:10:110::1"])
    certificate = x509.load_pem_x509_certificate(made.server.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert {"localhost", "kubernetes.default.svc"} <= set(names.get_values_for_type(x509.DNSName))
    assert {"127.0.0.1", "10.110.0.1", "fd00:10:110::1"} <= {
        str(address) for address in names.get_values_for_type(x509.IPAddress)
    }
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(made.ca.encode()))
    assert "KEY" not in repr(made)


@pytest.mark.parametrize(
    "cidrs",
    [(), ("10.1.0.0/16", "10.2.0.0/16"), ("10.1.0.0/16", "fd00::/112", "fd01::/112"), ("10.1/16",)],
    ids=["none", "same family", "three", "not a range"],
)
def test_unusable_ranges_are_refused(cidrs: tuple[str, ...]) -> None:
    """What the API server would refuse is refused before anything is started."""
    with pytest.raises(ValueError, match=r"service_cidrs|10\.1/16"):
        ControlPlaneSettings(name="west", service_cidrs=cidrs)


def test_a_control_plane_lives_once(tmp_path: Path) -> None:
    """One that has been stopped is not started again: its folder holds another one's state."""
    plane = ControlPlane(ControlPlaneSettings(name="west"), binary=tmp_path, folder=tmp_path)
    plane.stop()
    with pytest.raises(RuntimeError, match="is over"):
        plane.start()


def sh(folder: Path, script: str) -> ChildProcess:
    return ChildProcess("child", ("/bin/sh", "-c", script), folder=folder, log=folder / "log")
