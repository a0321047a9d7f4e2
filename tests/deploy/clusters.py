"""A real control plane as an operator sees it, with an audit log of what our programs do there."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import yaml

from heliograph.lab.access import ClusterAccess, write_kubeconfig
from heliograph.lab.controlplane import CONTROLLERS, ControlPlane, ControlPlaneSettings
from tests.deploy.manifests import Granted

ACCOUNTS = ("watcher", "reflector", "peerer")
_POLL_S = 0.05
_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "users": [f"system:serviceaccount:heliograph:{a}" for a in ACCOUNTS]},
        {"level": "None"},
    ],
}


class _Attributes(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    resource: str = ""
    api_group: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


class _User(msgspec.Struct, frozen=True, kw_only=True):
    username: str


class _Status(msgspec.Struct, frozen=True, kw_only=True):
    code: int = 0


class Request(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One line of the audit log."""

    verb: str
    user: _User
    object_ref: _Attributes | None = None
    response_status: _Status = _Status()
    request_uri: str = msgspec.field(name="requestURI", default="")

    @property
    def discovers(self) -> bool:
        """Whether it asks what the server serves, which everybody may."""
        reads = self.object_ref is None and self.verb == "get"
        return reads and self.request_uri.startswith(("/api/v1", "/apis"))

    def needs(self, rights: Iterable[Granted]) -> set[Granted]:
        """Return those of the rights that cover it."""
        ref = self.object_ref or _Attributes()
        resource = f"{ref.resource}/{ref.subresource}" if ref.subresource else ref.resource
        asked = (ref.api_group, resource, self.verb, ref.name, ref.namespace)
        open_ones = ("*", "*", "", "", "")
        return {
            right
            for right in rights
            if all(r in (a, o) for r, a, o in zip(right, asked, open_ones, strict=True))
        }


class Failed(AssertionError):
    """kubectl did not do what it was asked."""


class Cluster:
    """One control plane, and kubectl as its administrator."""

    def __init__(self, name: str, service_cidr: str, *, binary: Path, folder: Path) -> None:
        self.name = name
        self._binary, self._folder = binary, folder
        self._audit = folder / "audit.log"
        self._forgotten = 0
        policy = folder / "policy.yaml"
        policy.write_text(yaml.safe_dump(_POLICY), encoding="utf-8")
        settings = ControlPlaneSettings(
            name=name,
            service_cidrs=(service_cidr,),
            controllers=(*CONTROLLERS, "statefulset-controller"),
            api_server_flags=(
                f"--audit-policy-file={policy}",
                f"--audit-log-path={self._audit}",
                "--allow-privileged=true",  # as kubeadm does
            ),
        )
        self._plane = ControlPlane(settings, binary=binary, folder=folder / "plane")

    @property
    def access(self) -> ClusterAccess:
        """Where it is, with the administrator's token."""
        return self._plane.access

    @property
    def admin(self) -> Path:
        """The administrator's kubeconfig."""
        return self._folder / "admin.kubeconfig"

    def start(self) -> None:
        """Start it."""
        self._plane.start()
        write_kubeconfig(self.admin, [self.access])

    def stop(self) -> None:
        """End it."""
        self._plane.stop()

    def run(self, *arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl, whatever comes of it."""
        with tempfile.TemporaryDirectory() as home:
            return subprocess.run(
                [self._binary, "kubectl", "--kubeconfig", self.admin, *map(str, arguments)],
                env={"HOME": home, "PATH": os.defpath},
                input=stdin,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

    def kubectl(self, *arguments: object, stdin: str = "") -> str:
        """Run kubectl; return what it said, warnings included."""
        ended = self.run(*arguments, stdin=stdin)
        if ended.returncode:
            raise Failed(f"kubectl {' '.join(map(str, arguments))}: {ended.stderr}")
        return ended.stdout + ended.stderr

    def apply(self, *manifests: dict[str, Any]) -> None:
        """Apply objects."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def get(self, *arguments: str) -> Any:  # noqa: ANN401 - Kubernetes' own JSON
        """Return an object; None if there is none."""
        ended = self.run("get", "--ignore-not-found", "--output=json", *arguments)
        assert ended.returncode == 0, ended.stderr
        return msgspec.json.decode(ended.stdout) if ended.stdout.strip() else None

    def items(self, *arguments: str) -> Any:  # noqa: ANN401 - Kubernetes' own JSON
        """Return objects."""
        return (self.get(*arguments) or {"items": []})["items"]

    def kubeconfig(self, account: str) -> Path:
        """Write a kubeconfig with a token of the ServiceAccount (TokenRequest API)."""
        token = self.kubectl("create", "token", account, "--namespace=heliograph").strip()
        path = self._folder / f"{account}.kubeconfig"
        write_kubeconfig(path, [msgspec.structs.replace(self.access, token=token)])
        return path

    def may(self, account: str, rights: Iterable[Granted]) -> bool:
        """Tell whether the authorizer knows by now that the ServiceAccount has these rights."""
        user = f"system:serviceaccount:heliograph:{account}"
        questions = [
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {
                    "user": user,
                    "resourceAttributes": right._asdict(),
                },
            }
            for right in rights
        ]
        text = yaml.safe_dump_all(questions)
        answers = self.kubectl("create", "-f", "-", "-o", "jsonpath={.status.allowed}", stdin=text)
        return "false" not in answers

    def requests(self, account: str) -> list[Request]:
        """Return the requests that a ServiceAccount has made, of those that are not forgotten."""
        lines = self._audited()[self._forgotten :]
        made = [msgspec.json.decode(line, type=Request) for line in lines]
        return [r for r in made if r.user.username.endswith(f":{account}")]

    def forget_requests(self) -> None:
        """Pass over all requests so far: others have tried this and that with these accounts."""
        self._forgotten = len(self._audited())

    def _audited(self) -> list[bytes]:
        return self._audit.read_bytes().splitlines() if self._audit.exists() else []


def eventually(condition: Callable[[], object], what: str, timeout_s: float = 30) -> None:
    """Look again and again until the condition holds; nothing tells of most of them."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"{what}: not within {timeout_s:g} s"
        time.sleep(_POLL_S)
