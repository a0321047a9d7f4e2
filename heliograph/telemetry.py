"""Traces: one per change, from the watch line in the exporting cluster to every write it causes.

The only importer of OpenTelemetry. Providers are arguments, never global, so that several programs
live in one process. Attribute names follow the messaging semantic conventions, which are still
marked "development": they stand here alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_TRACEPARENT: Final = "traceparent"
_EXPORT_BATCH: Final = 32
"""Encoding a batch holds the interpreter's lock: 32 spans for about a millisecond, 512 for 20."""

Attributes = Mapping[str, str | int | float | bool]


class Span:
    """One piece of work within a trace."""

    __slots__ = ("_span",)  # thousands wait in a burst

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """Return the W3C header that makes other work part of this; empty if there is no trace.

        A trace that is not sampled has one too: it says so, and nobody samples a part of it.
        """
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, trace.set_span_in_context(self._span, Context()))
        return carrier.get(_TRACEPARENT, "")

    def note(self, **attributes: str | float | bool) -> None:
        """Add attributes; underscores in their names stand for dots."""
        for name, value in attributes.items():
            self._span.set_attribute(name.replace("_", "."), value)

    def fail(self, why: str) -> None:
        """Mark the work as failed."""
        self._span.set_status(trace.StatusCode.ERROR, why)

    def end(self) -> None:
        """Finish the work."""
        self._span.end()


class DeferredSpan:
    """A span that exists once something is part of it: most watch lines change nothing."""

    __slots__ = ("_name", "_span", "_start_ns", "_telemetry")

    def __init__(self, telemetry: Telemetry, name: str, start_ns: int) -> None:
        self._telemetry, self._name, self._start_ns = telemetry, name, start_ns
        self._span: Span | None = None

    @property
    def traceparent(self) -> str:
        """Return the header that makes other work part of this; from now on the span exists."""
        if self._span is None:
            self._span = self._telemetry.start(self._name, start_ns=self._start_ns)
        return self._span.traceparent

    def end(self) -> None:
        """Finish the work."""
        if self._span is not None:
            self._span.end()


class Telemetry:
    """Makes spans for one program of one cluster; costs next to nothing when not configured."""

    def __init__(self, provider: trace.TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("heliograph")

    def start(
        self,
        name: str,
        *,
        parent: str = "",
        link: str = "",
        start_ns: int | None = None,
        attributes: Attributes | None = None,
    ) -> Span:
        """Start a span; `end` it.

        Args:
            name: One of few values, such as "publish service.exported".
            parent: The `traceparent` that this belongs to; empty begins a trace.
            link: A `traceparent` that this only refers to: a replay is not part of its past.
            start_ns: When the work began, if not now; nanoseconds since the Unix epoch.
            attributes: Facts, such as the subject.
        """
        links = [trace.Link(_span_context(link))] if link else []
        context = _PROPAGATOR.extract({_TRACEPARENT: parent}) if parent else Context()
        span = self._tracer.start_span(
            name,
            context=context,
            links=links,
            start_time=start_ns,
            attributes=dict(attributes or {}),
        )
        return Span(span)

    def deferred(self, name: str, *, start_ns: int) -> DeferredSpan:
        """Return a span that began at `start_ns`, if anything becomes part of it."""
        return DeferredSpan(self, name, start_ns)

    @contextmanager
    def span(self, name: str, *, parent: str = "", link: str = "") -> Iterator[Span]:
        """Run a block as one span; an exception marks it failed and passes."""
        span = self.start(name, parent=parent, link=link)
        try:
            yield span
        except BaseException as error:
            span.fail(type(error).__name__)
            raise
        finally:
            span.end()

    def shutdown(self) -> None:
        """Export what waits, and stop."""
        if isinstance(self._provider, TracerProvider):
            self._provider.shutdown()


def from_environment(program: str, cluster: str, environ: Mapping[str, str]) -> Telemetry:
    """Return telemetry that exports by OTLP over HTTP if the standard variables say where to.

    OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT turns it on; the SDK reads
    the others (headers, time-outs, OTEL_TRACES_SAMPLER and its argument) by itself.
    """
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if off or not any(environ.get(name) for name in names):
        return disabled()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - 6 MB
        OTLPSpanExporter,
    )

    return exporting(program, cluster, _batched(OTLPSpanExporter()))


def exporting(program: str, cluster: str, processor: SpanProcessor) -> Telemetry:
    """Return telemetry that hands finished spans to `processor`."""
    resource = Resource.create(
        {
            "service.name": f"heliograph-{program}",
            "service.namespace": "heliograph",
            "service.instance.id": f"{cluster}/{os.getpid()}",
            "k8s.cluster.name": cluster,
        }
    )
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return Telemetry(provider)


def disabled() -> Telemetry:
    """Return telemetry that records nothing."""
    return Telemetry(trace.NoOpTracerProvider())


def _batched(exporter: SpanExporter) -> SpanProcessor:
    return BatchSpanProcessor(
        exporter, max_export_batch_size=_EXPORT_BATCH, schedule_delay_millis=500
    )


def _span_context(traceparent: str) -> trace.SpanContext:
    context = _PROPAGATOR.extract({_TRACEPARENT: traceparent})
    return trace.get_current_span(context).get_span_context()
