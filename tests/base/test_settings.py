"""Settings come from flags, then the environment; whatever is wrong with one is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from heliograph.errors import InputError
from heliograph.settings import load, setting_names


class Example(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of all sorts."""

    cluster: str
    lease_s: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    create_stream: bool = True
    replicas: int = 1
    pod_cidrs: tuple[str, ...] = ()
    credentials: Path | None = None


class Other(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of another program."""

    create_namespaces: bool = False


CLUSTER = {"HELIOGRAPH_CLUSTER": "east"}
LOADED = {
    "defaults": (CLUSTER, {}, Example(cluster="east")),
    "foreign variables": (CLUSTER | {"HELIO": "x", "PATH": "y"}, {}, Example(cluster="east")),
    "a number": (CLUSTER | {"HELIOGRAPH_LEASE_S": "2.5"}, {}, Example(cluster="east", lease_s=2.5)),
    "an integer": (CLUSTER | {"HELIOGRAPH_REPLICAS": "3"}, {}, Example(cluster="east", replicas=3)),
    "no": (
        CLUSTER | {"HELIOGRAPH_CREATE_STREAM": "false"},
        {},
        Example(cluster="east", create_stream=False),
    ),
    "a list": (
        CLUSTER | {"HELIOGRAPH_POD_CIDRS": "10.1.0.0/16, fd00::/48,"},
        {},
        Example(cluster="east", pod_cidrs=("10.1.0.0/16", "fd00::/48")),
    ),
    "an empty list": (CLUSTER | {"HELIOGRAPH_POD_CIDRS": ""}, {}, Example(cluster="east")),
    "a flag": ({}, {"cluster": "east"}, Example(cluster="east")),
    "a flag over the environment": (CLUSTER, {"cluster": "west"}, Example(cluster="west")),
    "a flag not given": (CLUSTER, {"cluster": None}, Example(cluster="east")),
    "a flag with a list": (
        CLUSTER,
        {"pod_cidrs": ("10.1.0.0/16",)},
        Example(cluster="east", pod_cidrs=("10.1.0.0/16",)),
    ),
    "a path": (
        CLUSTER | {"HELIOGRAPH_CREDENTIALS": "~/east.creds"},
        {},
        Example(cluster="east", credentials=Path.home() / "east.creds"),
    ),
    "of another program": (
        CLUSTER | {"HELIOGRAPH_CREATE_NAMESPACES": "true"},
        {},
        Example(cluster="east"),
    ),
}
REFUSED = {
    "a typo": (
        CLUSTER | {"HELIOGRAPH_LEASE": "3"},
        {},
        (
            "environment variable HELIOGRAPH_LEASE is no setting of Heliograph; "
            "did you mean HELIOGRAPH_LEASE_S?"
        ),
    ),
    "a typo in another program's name": (
        CLUSTER | {"HELIOGRAPH_CREATE_NAMESPACE": "1"},
        {},
        (
            "environment variable HELIOGRAPH_CREATE_NAMESPACE is no setting of Heliograph; "
            "did you mean HELIOGRAPH_CREATE_NAMESPACES?"
        ),
    ),
    "nothing like it": (
        CLUSTER | {"HELIOGRAPH_XYZ": "3"},
        {},
        (
            "environment variable HELIOGRAPH_XYZ is no setting of Heliograph; "
            "see --help for all of them"
        ),
    ),
    "missing": ({}, {}, "setting 'cluster' is missing: give --cluster or HELIOGRAPH_CLUSTER"),
    "no number": (
        CLUSTER | {"HELIOGRAPH_LEASE_S": "soon"},
        {},
        (
            "setting 'lease_s' (--lease-s, HELIOGRAPH_LEASE_S) cannot be used: "
            "Expected `float`, got `str`"
        ),
    ),
    "out of range": (
        CLUSTER | {"HELIOGRAPH_LEASE_S": "0"},
        {},
        "setting 'lease_s' (--lease-s, HELIOGRAPH_LEASE_S) cannot be used: Expected `float` > 0.0",
    ),
    "within a list": (
        CLUSTER,
        {"pod_cidrs": [5]},
        (
            "setting 'pod_cidrs' (--pod-cidrs, HELIOGRAPH_POD_CIDRS) cannot be used: "
            "Expected `str`, got `int`"
        ),
    ),
    "a flag of nothing": (
        CLUSTER,
        {"colour": "red"},
        "a setting cannot be used: Object contains unknown field `colour`",
    ),
}


@pytest.mark.parametrize(("environ", "flags", "settings"), LOADED.values(), ids=LOADED)
def test_settings_are_loaded(
    environ: dict[str, str], flags: dict[str, object], settings: Example
) -> None:
    """Flags win over the environment, which wins over defaults."""
    elsewhere = setting_names(Other)
    assert load(Example, environ=environ, flags=flags, known_elsewhere=elsewhere) == settings


@pytest.mark.parametrize(("environ", "flags", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_said(
    environ: dict[str, str], flags: dict[str, object], message: str
) -> None:
    """One sentence names the setting, what is wrong, and how to give it."""
    with pytest.raises(InputError) as raised:
        load(Example, environ=environ, flags=flags, known_elsewhere=setting_names(Other))
    assert str(raised.value) == message


def test_the_names_of_all_settings() -> None:
    """Programs that share an environment know each other's settings by name."""
    assert setting_names(Example, Other) == {
        *("cluster", "lease_s", "create_stream", "replicas", "pod_cidrs", "credentials"),
        "create_namespaces",
    }


class Impossible(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a type that no text can give."""

    number: complex


def test_a_type_that_is_no_setting_is_a_fault_of_ours() -> None:
    """A Struct with a field that cannot be read from the environment is not bad input."""
    with pytest.raises(NotImplementedError):
        load(Impossible, environ={"HELIOGRAPH_NUMBER": "1"}, flags={})
