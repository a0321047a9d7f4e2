"""One change is one trace, from the watch line in east to the write in west, over OTLP."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from heliograph.contract.names import ClusterId
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.lab.access import write_kubeconfig
from heliograph.lab.memory import MemoryCluster, MemoryClusterSettings
from heliograph.run.joined import Joined, embedded_bus
from tests.end_to_end.support import eventually, running

pytestmark = pytest.mark.nats


class Received:
    """Spans as an OTLP receiver gets them: (program, span name, trace, span, parent)."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str, str, str, str]] = []

    async def take(self, request: web.Request) -> web.Response:
        """Take one export request (OTLP/HTTP, protobuf)."""
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            facts = {a.key: a.value.string_value for a in resource.resource.attributes}
            program = f"{facts['service.name']} {facts['k8s.cluster.name']}"
            for scope in resource.scope_spans:
                for s in scope.spans:
                    ids = (s.trace_id.hex(), s.span_id.hex(), s.parent_span_id.hex())
                    self.spans.append((program, s.name, *ids))
        return web.Response()

    def chain(self, *names: str) -> bool:
        """Tell whether there are spans of these names, each the parent of the next."""
        for trace in {span[2] for span in self.spans}:
            parents = {""}
            for name in names:
                found = [s for s in self.spans if s[2] == trace and s[1] == name]
                parents = {s[3] for s in found if s[4] in parents}
            if parents:
                return True
        return False


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[Received, str]]:
    """Run an OTLP receiver over HTTP."""
    received = Received()
    app = web.Application()
    app.router.add_post("/v1/traces", received.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield received, "http://{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


async def test_a_change_is_one_trace_across_the_clusters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Watch and publish in east, consume and apply in west hang together as one trace."""
    async with AsyncExitStack() as stack:
        received, endpoint = await stack.enter_async_context(receiver())
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        east, west = [
            await stack.enter_async_context(
                MemoryCluster(MemoryClusterSettings(name=name, service_cidrs=(cidr,)))
            )
            for name, cidr in (("east", "10.96.0.0/16"), ("west", "10.97.0.0/16"))
        ]
        path = tmp_path / "kubeconfig"
        write_kubeconfig(path, [east.access, west.access])
        url = await stack.enter_async_context(embedded_bus())
        access = {ClusterId(n): Kubeconfig(path=path, context=n) for n in ("east", "west")}
        await stack.enter_async_context(
            running(Joined(clusters=access, buses=dict.fromkeys(access, url)))
        )

        east.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {
                    "name": "web",
                    "namespace": "default",
                    "labels": {"heliograph.io/export": "true"},
                },
                "spec": {"ports": [{"port": 80}]},
            }
        )

        names = ("watch", "publish service.exported", "consume service", "apply")
        await eventually(lambda: received.chain(*names))

    programs = {span[1]: span[0] for span in received.spans}
    assert programs["publish service.exported"] == "heliograph-watcher east"
    assert programs["apply"] == "heliograph-reflector west"
    assert not asyncio.all_tasks() - {asyncio.current_task()}
