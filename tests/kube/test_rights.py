"""A program asks before it begins whether it may do its work."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from heliograph.errors import InputError
from heliograph.kube.client import KubeClient
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.kube.rights import Right, require
from heliograph.lab.memory import MemoryCluster
from tests.support.clusters import client_of
from tests.support.scripted import answers, scripted

SERVICES = Right(resource="services", verbs=("list", "watch"))
SLICES = Right(group="discovery.k8s.io", resource="endpointslices", verbs=("list", "create"))
FILE = Kubeconfig(path=Path("config"))
WHOSE = {
    "a file": (FILE, "kubeconfig config"),
    "a context": (
        Kubeconfig(path=Path("config"), context="east"),
        "kubeconfig config (context east)",
    ),
    "a pod": (Kubeconfig(), "the pod's service account"),
}


async def reviewer(request: web.BaseRequest) -> web.StreamResponse:
    """Allow everything but creating."""
    asked = msgspec.json.decode(await request.read())["spec"]["resourceAttributes"]
    allowed = {"allowed": asked["verb"] != "create"}
    return web.json_response({"status": allowed}, status=201)


async def refusal(client: KubeClient, kubeconfig: Kubeconfig = FILE) -> str:
    with pytest.raises(InputError) as raised:
        await require(client, [SERVICES, SLICES], kubeconfig)
    return str(raised.value)


async def test_an_administrator_may_everything(client: KubeClient) -> None:
    """Nothing is said when nothing is missing."""
    await require(client, [SERVICES, SLICES], FILE)


@pytest.mark.parametrize(("kubeconfig", "whose"), WHOSE.values(), ids=WHOSE)
async def test_a_missing_right_is_named(kubeconfig: Kubeconfig, whose: str, tmp_path: Path) -> None:
    """The sentence says whose credentials lack what, where, and how to mend it."""
    async with scripted(reviewer) as access, client_of(access, tmp_path) as client:
        message = await refusal(client, kubeconfig)
    assert message.startswith(
        f"the credentials of {whose} may not create endpointslices.discovery.k8s.io in cluster east"
    )


async def test_credentials_that_are_not_accepted(tmp_path: Path) -> None:
    """401 is told with cluster, address and file."""
    script = answers(web.Response(text="{}", status=401))
    async with scripted(script) as access, client_of(access, tmp_path) as client:
        message = await refusal(client)
    assert message == (
        f"the API server of cluster east at {access.server} does not accept the credentials of "
        f"kubeconfig config (401 Unauthorized); give a kubeconfig whose token or certificate is "
        f"valid"
    )


async def test_a_server_that_is_away(cluster: MemoryCluster, client: KubeClient) -> None:
    """At the start, no answer is bad input: most often the address is wrong."""
    await cluster.stop()
    assert "does not answer" in await refusal(client)


async def test_something_else_at_the_address(tmp_path: Path) -> None:
    """A web page where an API server should be is bad input as well."""
    script = answers(web.Response(text="<html>It works!</html>"))
    async with scripted(script) as access, client_of(access, tmp_path) as client:
        assert "the answer cannot be read" in await refusal(client)
