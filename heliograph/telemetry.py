"""Traces: one per change, from the watch line in the exporting cluster to every write it causes.

The only importer of OpenTelemetry. Providers are arguments, never global, so that several programs
live in one process. Attribute names follow the messaging semantic conventions, which are still
marked "development": they stand here alone.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from typing_extensions import override

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_TRACEPARENT: Final = "traceparent"
_EXPORT_BATCH: Final = 32
"""Encoding a batch holds the interpreter's lock: 32 spans for about a millisecond, 512 for 20."""

_EXPORT_DELAY_MS: Final = 500.0
_SHUTDOWN_S: Final = 1.0
"""How long the end of a program waits for its last spans; a receiver that is gone stops nobody."""

_SAMPLERS: Final = frozenset(
    prefix + name for prefix in ("", "parentbased_") for name in ("always_on", "always_off")
) | {"traceidratio", "parentbased_traceidratio"}
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

_log = structlog.get_logger()

Attributes = Mapping[str, str | int | float | bool]


class Span:
    """One piece of work within a trace."""

    __slots__ = ("_span",)  # thousands wait in a burst
    begun: Final = True

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

    def end(self, at_ns: int | None = None) -> None:
        """Finish the work; at a time in the past, if given (nanoseconds since the Unix epoch)."""
        self._span.end(at_ns)


NO_SPAN: Final = Span(trace.INVALID_SPAN)
"""Work that is part of nothing."""


class DeferredSpan:
    """A span that exists once something is part of it: most watch lines change nothing."""

    __slots__ = ("_end_ns", "_span", "_start", "begun")

    def __init__(self, start: Callable[[], Span]) -> None:
        self._start = start
        self._span: Span | None = None
        self._end_ns: int | None = None
        self.begun = False

    @property
    def traceparent(self) -> str:
        """Return the header that makes other work part of this; from now on the span exists."""
        if self._span is None:
            self._span, self.begun = self._start(), True
            if self._end_ns is not None:  # something held back becomes part of it afterwards
                self._span.end(self._end_ns)
        return self._span.traceparent

    def note(self, **attributes: str | float | bool) -> None:
        """Add attributes, if the span exists."""
        if self._span is not None:
            self._span.note(**attributes)

    def end(self) -> None:
        """Finish the work."""
        self._end_ns = time.time_ns()
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
        links: Iterable[str] = (),
        start_ns: int | None = None,
        attributes: Attributes | None = None,
    ) -> Span:
        """Start a span; `end` it.

        Args:
            name: One of few values, such as "publish service.exported".
            parent: The `traceparent` that this belongs to; empty begins a trace.
            links: Each a `traceparent` that this only refers to: a replay is not part of its past,
                and work for several changes is part of one of them only.
            start_ns: When the work began, if not now; nanoseconds since the Unix epoch.
            attributes: Facts, such as the subject.
        """
        context = _PROPAGATOR.extract({_TRACEPARENT: parent}) if parent else Context()
        span = self._tracer.start_span(
            name,
            context=context,
            links=[trace.Link(_span_context(link)) for link in links if link],
            start_time=start_ns,
            attributes=dict(attributes or {}),
        )
        return Span(span)

    def deferred(
        self,
        name: str,
        *,
        start_ns: int,
        links: Iterable[str] = (),
        attributes: Attributes | None = None,
    ) -> DeferredSpan:
        """Return a span that began at `start_ns`, if anything becomes part of it."""
        return DeferredSpan(
            partial(self.start, name, links=links, start_ns=start_ns, attributes=attributes)
        )

    @contextmanager
    def span(self, name: str, *, parent: str = "", links: Iterable[str] = ()) -> Iterator[Span]:
        """Run a block as one span; an exception marks it failed and passes."""
        span = self.start(name, parent=parent, links=links)
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


def shutdown(*telemetries: Telemetry) -> None:
    """Export what waits in all of them, and stop, within a second whatever the receiver does."""
    threads = [threading.Thread(target=one.shutdown, daemon=True) for one in telemetries]
    for thread in threads:
        thread.start()
    until_s = time.monotonic() + _SHUTDOWN_S
    for thread in threads:
        thread.join(max(0.0, until_s - time.monotonic()))


@contextmanager
def ending(*telemetries: Telemetry) -> Iterator[None]:
    """Run a block; then, whatever ended it, export what waits and stop."""
    try:
        yield
    finally:
        shutdown(*telemetries)


def from_environment(program: str, cluster: str, environ: Mapping[str, str]) -> Telemetry:
    """Return telemetry that exports by OTLP over HTTP if the standard variables say where to.

    OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT turns it on; the SDK reads
    the others (headers, certificates, time-outs, OTEL_TRACES_SAMPLER and its argument, resource
    attributes) by itself. Sampling is parent-based unless OTEL_TRACES_SAMPLER says otherwise.

    Source: "OpenTelemetry Environment Variable Specification" and "OTLP Exporter Configuration".
    """
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    off = off or environ.get("OTEL_TRACES_EXPORTER", "").lower() == "none"
    endpoint = next(filter(None, map(environ.get, _ENDPOINTS)), None)
    if off or endpoint is None:
        return disabled()
    _warn(environ)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - 6 MB
        OTLPSpanExporter,
    )

    return exporting(program, cluster, _batched(_Telling(OTLPSpanExporter(), endpoint), environ))


def exporting(program: str, cluster: str, processor: SpanProcessor) -> Telemetry:
    """Return telemetry that hands finished spans to `processor`.

    What OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say stands above what is said here.
    """
    ours = Resource.create(
        {
            "service.name": f"heliograph-{program}",
            "service.namespace": "heliograph",
            "service.instance.id": f"{cluster}/{os.getpid()}",
            "k8s.cluster.name": cluster,
        }
    )
    resource = ours.merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return Telemetry(provider)


def disabled() -> Telemetry:
    """Return telemetry that records nothing."""
    return Telemetry(trace.NoOpTracerProvider())


class _Telling(SpanExporter):
    """Tells once that spans are not taken, and once that they are again; never for each batch."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter, self._endpoint = exporter, endpoint
        self._reason, self._failing = _Reason(), False
        logger = logging.getLogger(type(exporter).__module__)
        logger.setLevel(logging.WARNING)
        logger.propagate = False
        logger.addHandler(self._reason)

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            _log.warning(
                "traces not taken",
                endpoint=self._endpoint,
                error=f"the receiver of traces does not take them ({self._reason.last}); they are "
                f"lost until it does, and nothing else is affected. See OTEL_EXPORTER_OTLP_*.",
            )
        elif self._failing and not failing:
            _log.info("traces taken again", endpoint=self._endpoint)
        self._failing = failing
        return result

    @override
    def shutdown(self) -> None:
        logging.getLogger(type(self._exporter).__module__).removeHandler(self._reason)
        self._exporter.shutdown()


class _Reason(logging.Handler):
    """Keeps the last thing that an exporter said: its result has no words."""

    last = "it gave no reason"

    @override
    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        if "max retries" not in said:  # why it tried again was said before
            self.last = said.partition(" encountered while ")[0]


def _warn(environ: Mapping[str, str]) -> None:
    """Tell of settings that have not the effect that whoever made them expects."""
    sampler = environ.get("OTEL_TRACES_SAMPLER", "")
    if sampler and sampler.lower() not in _SAMPLERS:
        _log.warning(
            "unknown sampler",
            error=f"OTEL_TRACES_SAMPLER={sampler!r} is none of {', '.join(sorted(_SAMPLERS))}, so "
            f"every trace is recorded",
        )
    protocol = next(filter(None, map(environ.get, _PROTOCOLS)), "http/protobuf")
    if protocol != "http/protobuf":
        _log.warning(
            "unknown protocol",
            error=f"traces leave by http/protobuf, and not by {protocol!r} as OTEL_EXPORTER_OTLP_"
            f"PROTOCOL says; receivers take that on port 4318",
        )


def _batched(exporter: SpanExporter, environ: Mapping[str, str]) -> SpanProcessor:
    """Return what exports in the background, in small batches unless OTEL_BSP_* says otherwise."""
    size = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE" in environ
    delay = "OTEL_BSP_SCHEDULE_DELAY" in environ
    return BatchSpanProcessor(
        exporter,
        max_export_batch_size=None if size else _EXPORT_BATCH,
        schedule_delay_millis=None if delay else _EXPORT_DELAY_MS,
    )


def _span_context(traceparent: str) -> trace.SpanContext:
    context = _PROPAGATOR.extract({_TRACEPARENT: traceparent})
    return trace.get_current_span(context).get_span_context()
