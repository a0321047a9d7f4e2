"""Without any one of its rights a program does not begin: it exits with 2 and one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.peerer.rights import rights as peerer_rights
from services.peerer.settings import PeererSettings
from services.reflector.rights import NAMESPACE_RIGHTS
from services.reflector.rights import rights as reflector_rights
from services.reflector.settings import ReflectorSettings
from services.watcher.rights import rights as watcher_rights
from services.watcher.settings import WatcherSettings
from tests.deploy.clusters import Cluster, eventually
from tests.deploy.manifests import Granted, granted_to, read, required

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

ROLES = read("heliograph", "create-namespaces")
NOBODY = "nats://127.0.0.1:1"
"""No bus: a program that gets so far has all its rights."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A program and its ServiceAccount, which has all that the roles grant, but for one right."""

    program: str
    roles: tuple[str, ...]
    without: Granted | None = None

    @property
    def rights(self) -> set[Granted]:
        """What the ServiceAccount may do."""
        return granted_to(ROLES, *self.roles) - {self.without}

    @property
    def environment(self) -> dict[str, str]:
        """The settings."""
        namespaces = "true" if self.roles == WITH_NAMESPACES else "false"
        return {
            "HELIOGRAPH_CLUSTER": "west",
            "HELIOGRAPH_NATS": NOBODY,
            "HELIOGRAPH_CREATE_NAMESPACES": namespaces,
        }


WATCHER, REFLECTOR = ("heliograph-watcher",), ("heliograph-reflector",)
PEERER = ("heliograph-peerer",)
WITH_NAMESPACES = (*REFLECTOR, "heliograph-reflector-namespaces")
CASES = [
    Case(program=program, roles=roles, without=without)
    for program, roles, rights in (
        ("watcher", WATCHER, watcher_rights(WatcherSettings(cluster="west"))),
        ("reflector", REFLECTOR, reflector_rights(ReflectorSettings(cluster="west"))),
        ("peerer", PEERER, peerer_rights(PeererSettings(cluster="west"))),
        ("reflector", WITH_NAMESPACES, NAMESPACE_RIGHTS),
    )
    for without in (None, *sorted(required(rights)))
]
ACCOUNTS = {f"case-{number}": given for number, given in enumerate(CASES)}


def shown(given: Case) -> str:
    """Return the name of a case."""
    overlay = " with namespaces" if given.roles == WITH_NAMESPACES else ""
    lacking = named(given.without) if given.without else "nothing"
    return f"{given.program}{overlay} without {lacking}"


def named(right: Granted) -> str:
    """Return a right as the programs name it."""
    group = f".{right.group}" if right.group else ""
    name = f" {right.name}" if right.name else ""
    where = f" in namespace {right.namespace}" if right.namespace else ""
    return f"{right.verb} {right.resource}{group}{name}{where}"


@pytest.fixture(scope="module")
def accounts(west: Cluster) -> None:
    """Give a ServiceAccount for each case, with the rights of the case."""
    west.kubectl("apply", "-k", Path(__file__).parents[2] / "deploy/kubernetes/namespace")
    west.apply(*(m for name, given in ACCOUNTS.items() for m in objects(name, given)))
    for name, given in ACCOUNTS.items():
        eventually(lambda: west.may(name, given.rights), f"rights of {name}")  # noqa: B023


def objects(name: str, given: Case) -> list[dict[str, Any]]:
    metadata = {"name": name, "namespace": "heliograph"}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    everywhere = [g for g in given.rights if not g.namespace]
    there = [g for g in given.rights if g.namespace]
    return [
        account,
        *role("ClusterRole", {"name": name}, everywhere),
        *role("Role", metadata, there),
    ]


def role(kind: str, metadata: dict[str, str], rights: list[Granted]) -> list[dict[str, Any]]:
    """Return a role with these rights, and its binding to the ServiceAccount of its name."""
    rbac = "rbac.authorization.k8s.io"
    name = metadata["name"]
    about = {"apiVersion": f"{rbac}/v1", "metadata": metadata}
    rules = [
        {"apiGroups": [g.group], "resources": [g.resource], "verbs": [g.verb]}
        | ({"resourceNames": [g.name]} if g.name else {})
        for g in rights
    ]
    subject = {"kind": "ServiceAccount", "name": name, "namespace": "heliograph"}
    reference = {"apiGroup": rbac, "kind": kind, "name": name}
    return [
        {"kind": kind, **about, "rules": rules},
        {"kind": f"{kind}Binding", **about, "roleRef": reference, "subjects": [subject]},
    ]


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize(("name", "given"), ACCOUNTS.items(), ids=map(shown, CASES))
def test_a_program_says_what_it_lacks(west: Cluster, name: str, given: Case) -> None:
    """The sentence names the right, the cluster and the remedy; with all of them it goes on."""
    kubeconfig = west.kubeconfig(name)
    environment = given.environment | {"HELIOGRAPH_KUBECONFIG": str(kubeconfig)}
    ended = subprocess.run(
        [sys.executable, "-m", "heliograph", given.program],
        env=dict(os.environ) | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    (sentence,) = ended.stderr.splitlines()
    if given.without is None:
        assert "127.0.0.1:1" in sentence
    else:
        assert sentence == (
            f"heliograph: the credentials of kubeconfig {kubeconfig} may not "
            f"{named(given.without)} in cluster west; grant it, as the roles in deploy/ do"
        )
