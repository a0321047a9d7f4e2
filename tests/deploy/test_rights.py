"""The manifests say what the programs say: rights, settings, probes; and pods may do little."""

from __future__ import annotations

from typing import Any

import pytest

from heliograph import settings
from heliograph.kube.rights import Right
from heliograph.run.settings import ProgramSettings
from heliograph.web import parse_listen
from services.peerer import rights as peerer_rights
from services.peerer.settings import PeererSettings
from services.reflector import rights as reflector_rights
from services.reflector.settings import ReflectorSettings
from services.watcher import rights as watcher_rights
from services.watcher.settings import WatcherSettings
from tests.deploy.manifests import (
    PLAIN,
    Manifest,
    containers,
    find,
    granted_to,
    patches,
    pod_templates,
    read,
    required,
)

WATCHER, REFLECTOR = WatcherSettings(cluster="east"), ReflectorSettings(cluster="east")
PEERER = PeererSettings(cluster="east")
ROLES: dict[str, tuple[str, tuple[Right, ...]]] = {
    # ClusterRole, Role                 ServiceAccount  rights in the code
    "heliograph-watcher":              ("watcher",      watcher_rights.rights(WATCHER)),
    "heliograph-reflector":            ("reflector",    reflector_rights.rights(REFLECTOR)),
    "heliograph-peerer":               ("peerer",       peerer_rights.rights(PEERER)),
    "heliograph-reflector-namespaces": ("reflector",    reflector_rights.NAMESPACE_RIGHTS),
}  # fmt: skip
RIGHTS = read("heliograph", "create-namespaces")
PODS = pod_templates(read(*PLAIN, "shared-bus/bus"))
PROGRAMS = {name: PODS[name] for name in ("watcher", "reflector", "peerer")}
ENVIRONMENTS = {
    "heliograph": {},
    **{
        folder: find(patches(folder), "ConfigMap", "settings")["data"]
        for folder in ("clusters/east", "clusters/west", "shared-bus/member", "create-namespaces")
    },
}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_grants_what_its_program_asks_for(role: str) -> None:
    """Neither more nor less than services/*/rights.py."""
    _, rights = ROLES[role]
    assert granted_to(RIGHTS, role) == required(rights)


def test_there_are_no_other_roles() -> None:
    """Whoever adds a role adds it to this test."""
    assert {m["metadata"]["name"] for m in RIGHTS if m["kind"] == "ClusterRole"} == set(ROLES)
    assert {m["metadata"]["name"] for m in RIGHTS if m["kind"] == "Role"} <= set(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_bound_to_its_program_only(role: str) -> None:
    """The binding names one ServiceAccount, and that is the one that the pods have."""
    account, _ = ROLES[role]
    bindings = [m for m in RIGHTS if m["kind"].endswith("Binding")]
    named = [b for b in bindings if b["roleRef"]["name"] == role]
    assert {b["kind"].removesuffix("Binding") for b in named} == {
        m["kind"] for m in RIGHTS if m["kind"].endswith("Role") and m["metadata"]["name"] == role
    }
    for binding in named:
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": account, "namespace": "heliograph"}
        ]
    assert find(RIGHTS, "ServiceAccount", account)["metadata"]["namespace"] == "heliograph"
    assert PROGRAMS[account]["spec"]["serviceAccountName"] == account


@pytest.mark.parametrize("folder", ENVIRONMENTS)
def test_the_settings_are_settings(folder: str) -> None:
    """Every variable of the ConfigMap can be read by all programs, which share it."""
    shared = find(read("heliograph"), "ConfigMap", "settings")["data"]
    environ = {k: v for k, v in {**shared, **ENVIRONMENTS[folder]}.items() if v is not None}
    everybody = (ProgramSettings, WatcherSettings, ReflectorSettings, PeererSettings)
    elsewhere = settings.setting_names(*everybody)
    loaded: list[Any] = [
        settings.load(struct, environ=environ, flags={}, known_elsewhere=elsewhere)
        for struct in everybody
    ]
    program, watcher, reflector, peerer = loaded
    assert watcher.cluster == reflector.cluster == peerer.cluster == environ["HELIOGRAPH_CLUSTER"]
    assert program.nats[0].startswith("tls://")
    assert all("=tls://" in entry for entry in reflector.import_from)
    assert peerer.import_from == reflector.import_from
    assert reflector.create_namespaces == (folder == "create-namespaces")
    assert watcher.create_stream == (folder != "shared-bus/member")


@pytest.mark.parametrize("program", PROGRAMS)
def test_probes_ask_the_page_that_is_served(program: str) -> None:
    """Liveness, readiness and the scraper use the port that the settings open."""
    template = PROGRAMS[program]
    (container,) = containers(template)
    shared = find(read("heliograph"), "ConfigMap", "settings")["data"]
    host, port = parse_listen(shared["HELIOGRAPH_LISTEN"])
    assert host == ""
    assert container["ports"] == [{"name": "http", "containerPort": port}]
    probes = [container[kind]["httpGet"] for kind in ("livenessProbe", "readinessProbe")]
    assert probes == [{"path": "/healthz", "port": "http"}, {"path": "/readyz", "port": "http"}]
    assert template["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(port),
        "prometheus.io/path": "/metrics",
    }


@pytest.mark.parametrize("program", PROGRAMS)
def test_two_of_one_program_never_run_together(program: str) -> None:
    """One replica, and the old pod is gone before the new one comes."""
    spec = find(read("heliograph"), "Deployment", program)["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert spec["template"]["spec"]["containers"][0]["args"] == [program]


@pytest.mark.parametrize("name", PODS)
def test_pods_may_do_little(name: str) -> None:
    """No root, nothing to write to, no capabilities, bounded; and no variables of Services."""
    spec: Manifest = PODS[name]["spec"]
    security = spec["securityContext"]
    assert security["runAsNonRoot"]
    assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] == 65532
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["enableServiceLinks"] is False
    assert spec["automountServiceAccountToken"] is (name in PROGRAMS)
    for container in containers(PODS[name]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]) == {"requests", "limits"}
        assert ":latest" not in container["image"]
        assert ":" in container["image"]
