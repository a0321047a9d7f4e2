"""One trace per change: parents, links, failures; and nothing at all when it is not wanted."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
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
