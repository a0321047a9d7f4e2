"""Settings of a command, from its flags and the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from heliograph import settings
from heliograph.cli.asked import AskSettings, ReachSettings, StatusSettings
from heliograph.run.settings import ProgramSettings
from services.peerer.settings import PeererSettings
from services.peerer.wireguard.settings import AgentSettings
from services.reflector.settings import ReflectorSettings
from services.watcher.settings import WatcherSettings

S = TypeVar("S", bound=msgspec.Struct)

_SETTINGS = (
    ProgramSettings,
    WatcherSettings,
    ReflectorSettings,
    PeererSettings,
    AgentSettings,
    AskSettings,
    ReachSettings,
    StatusSettings,
)


def own_cluster(reach: ReachSettings) -> str | None:
    """Return the cluster as whom the bus is asked: as given, else that of the pod this runs in."""
    return reach.as_cluster or os.environ.get(f"{settings.PREFIX}CLUSTER") or None


def load(struct: type[S], flags: Mapping[str, object]) -> S:
    """Return settings from flags and environment; other programs' variables are no typos.

    Raises:
        InputError: A setting is missing, misspelt or unusable.
    """
    others = (one for one in _SETTINGS if one is not struct)
    own = {name: flags[name] for name in settings.setting_names(struct) & flags.keys()}
    return settings.load(
        struct, environ=os.environ, flags=own, known_elsewhere=settings.setting_names(*others)
    )
