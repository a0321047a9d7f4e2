"""Without any one of its rights a program does not begin: it exits with 2 and one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.reflector.rights import NAMESPACE_RIGHTS
from services.reflector.rights import RIGHTS as REFLECTOR_RIGHTS
from services.watcher.rights import RIGHTS as WATCHER_RIGHTS
from tests.deploy.clusters import Cluster, eventually
from tests.deploy.manifests import Granted, find, granted, read, required

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
        granted_ = {g for role in self.roles for g in granted(find(ROLES, "ClusterRole", role))}
        return granted_ - {self.without}

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
WITH_NAMESPACES = (*REFLECTOR, "heliograph-reflector-namespaces")
CASES = [
    Case(program=program, roles=roles, without=without)
    for program, roles, rights in (
        ("watcher", WATCHER, WATCHER_RIGHTS),
        ("reflector", REFLECTOR, REFLECTOR_RIGHTS),
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
    return f"{right.verb} {right.resource}{group}" + (f" {right.name}" if right.name else "")


@pytest.fixture(scope="module")
def accounts(west: Cluster) -> None:
    """Give a ServiceAccount for each case, with the rights of the case."""
    west.kubectl("apply", "-k", Path(__file__).parents[2] / "deploy/kubernetes/namespace")
    west.apply(*(m for name, given in ACCOUNTS.items() for m in objects(name, given)))
    for name, given in ACCOUNTS.items():
        eventually(lambda: west.may(name, given.rights), f"rights of {name}")  # noqa: B023


def objects(name: str, given: Case) -> list[dict[str, Any]]:
    metadata = {"name": name, "namespace": "heliograph"}
    rbac = "rbac.authorization.k8s.io"
    rules = [
        {"apiGroups": [g.group], "resources": [g.resource], "verbs": [g.verb]}
        | ({"resourceNames": [g.name]} if g.name else {})
        for g in given.rights
    ]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": rules,
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", **metadata}],
        },
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
