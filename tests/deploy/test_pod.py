"""What a pod would be: the image's files, its user, its mounts, and nothing that can be written."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.deploy.buses import bus_of, configuration
from tests.deploy.clusters import Cluster
from tests.deploy.image import AS_NOBODY, USER, environment_in, skip_unless_others_may_run
from tests.deploy.programs import deploy, environment

pytestmark = [pytest.mark.real, pytest.mark.nats, pytest.mark.timeout(600)]

POD = r"""
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/secrets/kubernetes.io /run/bus
cp -r "$ACCOUNT" /run/secrets/kubernetes.io/serviceaccount
cp "$IDENTITY"/* /run/bus
chown -R :$GROUP /run/bus
chmod -R 0440 /run/bus/*
mount -o remount,ro /run
mount -o remount,bind,ro /
unset ACCOUNT IDENTITY GROUP
exec "$@"
"""
"""Mounts what Kubernetes would mount, makes all else read-only, and becomes the program."""


@pytest.fixture
def buses(
    clusters: dict[str, Cluster], certificates: Path, tmp_path: Path
) -> Iterator[dict[str, str]]:
    """Give both clusters' buses; everything is deployed to east."""
    deploy(clusters["east"], certificates=certificates)
    east, west = (configuration(f"clusters/{name}") for name in ("east", "west"))
    with (
        bus_of("east", east, certificates=certificates, folder=tmp_path / "east") as one,
        bus_of("west", west, certificates=certificates, folder=tmp_path / "west") as other,
    ):
        yield {"east": one, "west": other}


def in_pod(
    *command: str, environ: Mapping[str, str], account: Path, identity: Path
) -> subprocess.CompletedProcess[str]:
    """Run a command where everything is read-only, and two folders are mounted."""
    mounts = {"ACCOUNT": str(account), "IDENTITY": str(identity), "GROUP": str(USER)}
    alone = ("unshare", "--mount", "--propagation=private")
    return subprocess.run(
        [*alone, "/bin/sh", "-euc", POD, "pod", *command],
        env={**environ, **mounts},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_a_pod_does_its_work(
    east: Cluster, buses: dict[str, str], image: Path, certificates: Path, tmp_path: Path
) -> None:
    """With the service account's own files, on a read-only file system, as user 65532."""
    skip_unless_others_may_run()
    server = urlsplit(east.access.server)
    settings = environment(east, buses, certificates)
    identity = str(certificates / "east" / "identity")
    given = {name: value.replace(identity, "/run/bus") for name, value in settings.items()}
    address = {
        "KUBERNETES_SERVICE_HOST": str(server.hostname),
        "KUBERNETES_SERVICE_PORT": str(server.port),
    }
    account = mounted(east, tmp_path / "account")
    ended = in_pod(
        *(*AS_NOBODY, "heliograph", "watcher", "--once"),
        environ=environment_in(image) | given | address,
        account=account,
        identity=Path(identity),
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout


def mounted(cluster: Cluster, folder: Path) -> Path:
    """Write what Kubernetes mounts into each pod."""
    folder.mkdir()
    token = cluster.kubectl("create", "token", "watcher", "--namespace=heliograph").strip()
    files = {"token": token, "ca.crt": cluster.access.ca_pem or "", "namespace": "heliograph"}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    folder.chmod(0o755)
    return folder


def test_nothing_can_be_written_there(image: Path, tmp_path: Path) -> None:
    """The same mounts refuse a file wherever a program might want one."""
    skip_unless_others_may_run()
    (tmp_path / "x").touch()
    places = shlex.join(["/", "/tmp", "/var/tmp", "/run", "/run/bus", str(image)])  # noqa: S108
    attempt = f"for p in {places}; do touch $p/x 2>/dev/null && echo $p; done; exit 0"
    ended = in_pod(
        *("/bin/sh", "-c", attempt),  # even as root
        environ={"PATH": "/usr/bin:/bin"},
        account=tmp_path,
        identity=tmp_path,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
