"""One trace per change: parents, links, failures; and nothing at all when it is not wanted."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence

import pytest
import structlog
from aiohttp import web
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import StatusCode

from heliograph import telemetry
from heliograph.telemetry import Telemetry

REMOTE = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
TURNED_OFF: dict[str, dict[str, str]] = {
    "nothing is said": {},
    "an empty endpoint": {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
    "switched off": ENDPOINT | {"OTEL_SDK_DISABLED": "True"},
}


class Recording:
    """Telemetry that remembers what it exported."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        processor = SimpleSpanProcessor(self._exporter)
        self.telemetry = telemetry.exporting("watcher", "east", processor)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """Return the finished spans."""
        return self._exporter.get_finished_spans()


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def is_sampled(traceparent: str) -> bool:
    """Tell whether the lowest flag is set (W3C Trace Context, level 2)."""
    return bool(int(traceparent.rpartition("-")[2], 16) & 1)


def test_work_becomes_part_of_the_trace_that_caused_it() -> None:
    """With a parent, a span belongs to the parent's trace, under it."""
    recording = Recording()
    recording.telemetry.start("consume service", parent=REMOTE).end()

    (span,) = recording.spans
    assert trace_of(span) == "0123456789abcdef0123456789abcdef"
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "0123456789abcdef"


def test_a_replay_only_refers_to_its_past() -> None:
    """With a link, a span begins a trace of its own."""
    recording = Recording()
    recording.telemetry.start("consume service", links=(REMOTE,)).end()

    (span,) = recording.spans
    assert span.parent is None
    assert trace_of(span) != "0123456789abcdef0123456789abcdef"
    (link,) = span.links
    assert f"{link.context.trace_id:032x}" == "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("text", ["", "nonsense", "00-0-0-01", "\n"])
def test_a_bad_parent_begins_a_trace(text: str) -> None:
    """A header from outside is not trusted to be well formed."""
    recording = Recording()
    recording.telemetry.start("a", parent=text).end()
    recording.telemetry.start("b", links=(text,)).end()

    assert [span.parent for span in recording.spans] == [None, None]


def test_a_trace_goes_on_in_another_program() -> None:
    """What one span hands on makes the next one its child."""
    recording = Recording()
    parent = recording.telemetry.start("watch")
    recording.telemetry.start("publish", parent=parent.traceparent).end()
    parent.end()

    child, top = recording.spans
    assert child.parent is not None
    assert top.context is not None
    assert child.parent.span_id == top.context.span_id


def test_attributes_and_times() -> None:
    """Facts are attributes with dots; work may have begun before its span."""
    recording = Recording()
    span = recording.telemetry.start("watch", start_ns=5, attributes={"messaging.system": "nats"})
    span.note(heliograph_operations=3)
    span.end()

    (made,) = recording.spans
    assert made.start_time == 5
    assert dict(made.attributes or {}) == {"messaging.system": "nats", "heliograph.operations": 3}


def test_a_watch_line_that_changes_nothing_leaves_no_span() -> None:
    """A deferred span exists from when something becomes part of it, and began when it was seen."""
    recording = Recording()
    recording.telemetry.deferred("watch", start_ns=5).end()
    assert recording.spans == ()

    deferred = recording.telemetry.deferred("watch", start_ns=5)
    assert deferred.traceparent == deferred.traceparent
    deferred.end()
    (span,) = recording.spans
    assert (span.name, span.start_time) == ("watch", 5)


def test_a_deferred_span_begins_even_after_its_end() -> None:
    """What was held back becomes part of it then; it ends when it had ended."""
    recording = Recording()
    deferred = recording.telemetry.deferred("watch", start_ns=5)
    deferred.end()
    assert recording.spans == ()
    recording.telemetry.start("publish", parent=deferred.traceparent).end()

    watch, publish = recording.spans
    assert watch.end_time is not None
    assert publish.start_time is not None
    assert watch.end_time <= publish.start_time


def test_people_name_programs_as_they_like(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard variables stand above what we say; all else stays."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mirrors")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "k8s.cluster.name=prod-east,team=shop")
    recording = Recording()
    recording.telemetry.start("watch").end()

    attributes = recording.spans[0].resource.attributes
    wanted = {
        "service.name": "mirrors",
        "k8s.cluster.name": "prod-east",
        "team": "shop",
        "service.namespace": "heliograph",
    }
    assert attributes.items() >= wanted.items()


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"OTEL_TRACES_SAMPLER": "parentbased_trace_idratio"}, "every trace is recorded"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "leave by http/protobuf, and not by 'grpc'"),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "port 4318"),
        ({"OTEL_TRACES_SAMPLER": "always_off", "OTEL_EXPORTER_OTLP_PROTOCOL": ""}, ""),
    ],
)
def test_settings_that_do_not_what_they_seem_to_are_told(
    environ: dict[str, str], said: str
) -> None:
    """Nothing fails for a typo in them, and nobody is left to wonder."""
    with structlog.testing.capture_logs() as logs:
        telemetry.from_environment("watcher", "east", ENDPOINT | environ).shutdown()

    assert [said in line["error"] for line in logs] == [True] * bool(said)


class Receiver:
    """An OTLP receiver that takes what it is sent, or does not."""

    def __init__(self) -> None:
        self.status, self.requests = 503, 0

    async def take(self, _: web.Request) -> web.Response:
        """Take one export request."""
        self.requests += 1
        return web.Response(status=self.status)

    async def exports(self, traces: Telemetry, status: int, count: int) -> None:
        """Answer so, until so many more requests have come."""
        self.status, wanted = status, self.requests + count
        while self.requests < wanted:
            traces.start("watch").end()
            await asyncio.sleep(0.01)


async def test_a_receiver_that_takes_nothing_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many batches are lost; and once that it takes them again."""
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/v1/traces", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint = "http://{}:{}".format(*runner.addresses[0][:2])
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    traces = telemetry.from_environment("watcher", "east", os.environ)
    try:
        with structlog.testing.capture_logs() as logs:
            await receiver.exports(traces, 400, 5)
            await receiver.exports(traces, 200, 5)
    finally:
        await asyncio.to_thread(telemetry.shutdown, traces)
        await runner.cleanup()

    assert [line["event"] for line in logs] == ["traces not taken", "traces taken again"]
    assert "code: 400" in logs[0]["error"]
    assert endpoint == logs[0]["endpoint"]


def test_the_end_of_a_program_does_not_wait_for_a_receiver_that_is_gone() -> None:
    """Spans that cannot be exported are lost; the thread that tries to is not waited for."""
    released = threading.Event()

    class Stuck(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            """Wait as one does whose packets are dropped."""
            assert spans
            released.wait(60)
            return SpanExportResult.SUCCESS

    stuck = telemetry.exporting("watcher", "east", BatchSpanProcessor(Stuck()))
    with telemetry.ending(stuck):
        stuck.start("watch").end()
    assert not released.is_set()
    released.set()


def test_a_failed_block_says_so_and_passes_its_error_on() -> None:
    """The span ends as failed, named for the error's type and not for its text."""
    recording = Recording()
    with (
        pytest.raises(ValueError, match="secret"),
        recording.telemetry.span("apply", links=(REMOTE,)),
    ):
        raise ValueError("secret")

    (span,) = recording.spans
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "ValueError"


def test_a_program_says_who_it_is() -> None:
    """The resource names program and cluster."""
    recording = Recording()
    with recording.telemetry.span("watch"):
        pass
    attributes = recording.spans[0].resource.attributes
    assert attributes["service.name"] == "heliograph-watcher"
    assert attributes["k8s.cluster.name"] == "east"


def test_what_is_not_sampled_is_not_sampled_further_on() -> None:
    """A trace that was left out travels as such, or others would record parts of it."""
    unsampled = Telemetry(TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
    traceparent = unsampled.start("watch").traceparent
    assert not is_sampled(traceparent)

    sampled = TracerProvider(sampler=ParentBased(ALWAYS_OFF), shutdown_on_exit=False)
    exporter = InMemorySpanExporter()
    sampled.add_span_processor(SimpleSpanProcessor(exporter))
    Telemetry(sampled).start("process", parent=traceparent).end()
    assert not exporter.get_finished_spans()


@pytest.mark.parametrize("environ", TURNED_OFF.values(), ids=TURNED_OFF)
def test_without_an_endpoint_nothing_is_recorded(environ: dict[str, str]) -> None:
    """Every call works, spans hand nothing on, and there is nothing to shut down."""
    silent = telemetry.from_environment("watcher", "east", environ)
    with silent.span("watch") as span:
        span.note(heliograph_operations=1)
        span.fail("why")
        assert span.traceparent == ""
    silent.shutdown()


def test_a_disabled_program_passes_a_trace_on() -> None:
    """One program without telemetry does not tear the others' trace apart."""
    assert telemetry.disabled().start("process", parent=REMOTE).traceparent == REMOTE


@pytest.mark.parametrize(
    "name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
)
def test_an_endpoint_turns_it_on(name: str) -> None:
    """Either of the standard variables will do."""
    environ = {name: "http://127.0.0.1:1"}
    recording = telemetry.from_environment("watcher", "east", environ)
    assert is_sampled(recording.start("watch").traceparent)
    recording.shutdown()
