from __future__ import annotations

import pytest

from heliograph.bus import Connection
from heliograph.imports.consume import ImportBus
from heliograph.kube.client import KubeClient
from services.reflector.preview import preview
from services.reflector.settings import ReflectorSettings
from tests.reflector.conftest import Join
from tests.support.joined import NAMESPACE, eventually

pytestmark = pytest.mark.nats


async def lines(client: KubeClient, bus: Connection, *import_from: str) -> list[str]:
    """Return what the reflector of west would write."""
    settings = ReflectorSettings(cluster="west", import_from=import_from)
    return await preview(settings, client, [ImportBus(connection=bus)])


async def test_what_would_be_written_is_shown_and_not_written(join: Join) -> None:
    """One line for each object, and one for each refusal; afterwards all is as it was."""
    async with join("east", "west") as lab, lab.client("west") as client, lab.bus("west") as bus:
        west = lab["west"]
        lab["east"].export("gone")
        await eventually(lambda: west.backends("gone"))
        await lab.stop("reflector", "west")
        west.export("taken", exported=False)
        lab["east"].withdraw("gone")
        for name in ("new", "taken"):
            lab["east"].export(name)
        await lab.processed("east")
        writes = west.api.writes

        shown = await lines(client, bus)

        assert [" ".join(line.split()[:2]) for line in shown] == [
            *("delete Service", "delete EndpointSlice"),
            *("create Service", "create EndpointSlice"),
            "refuse Service",
        ]
        assert shown[0].endswith(f"{NAMESPACE}/gone")
        assert west.api.writes == writes


async def test_clusters_off_the_list_are_not_previewed(join: Join) -> None:
    """As the reflector itself would: their mirrors go."""
    async with join("east", "south", "west") as lab:
        lab["east"].export()
        await eventually(lab["west"].backends)
        await lab.stop("reflector", "west")

        async with lab.client("west") as client, lab.bus("west") as bus:
            shown = await lines(client, bus, "south")

        assert [line.split()[0] for line in shown] == ["delete", "delete"]


async def test_a_cluster_that_would_be_refused_is_named(join: Join) -> None:
    """Once, whatever it exports; and nothing of it would be written."""
    equal = {"east": {"service_cidrs": ("10.112.0.0/16",)}}
    async with join("east", "north", "west", clusters=equal, start=False) as lab:
        for name in ("east", "north"):
            lab[name].export(f"of-{name}")
            await lab.start_watcher(name)
            await eventually(lambda name=name: lab[name].watcher.ready)  # type: ignore[misc]
        async with lab.client("west") as client, lab.bus("west") as bus:
            refused, *others = await lines(client, bus)

    assert refused.startswith("refuse  Cluster east is refused in cluster west")
    assert "own ranges always win" in refused
    assert others
    assert not [line for line in others if "of-north" not in line]
