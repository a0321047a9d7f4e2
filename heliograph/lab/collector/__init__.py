"""A real receiver of traces, for tests: the OpenTelemetry collector, built from its Go modules.

OTLP over HTTP in, lines of JSON in a file out (its file exporter writes OTLP in JSON).
"""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path
from typing import Final, Self

import msgspec

from heliograph.lab.controlplane.build import GoProgram
from heliograph.lab.controlplane.port import hold_port, port_of
from heliograph.process import Child, ChildSettings

COLLECTOR: Final = GoProgram(
    what="collector of traces",
    module=Path(__file__).parent / "module",
    binary="heliograph-collector",
    flags=lambda _: "-s -w",
)
_CONFIGURATION: Final = """\
receivers:
  otlp:
    protocols:
      http:
        endpoint: 127.0.0.1:{port}
exporters:
  file:
    path: {file}
    flush_interval: 100ms
service:
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [file]
"""


class ReceivedSpan(msgspec.Struct, frozen=True, kw_only=True):
    """A span as the collector wrote it.

    Attributes:
        program: `service.name` of its resource.
        cluster: `k8s.cluster.name` of its resource.
        name: Of the span.
        trace: Its trace, 32 hexadecimal digits.
        span: Itself, 16 hexadecimal digits.
        parent: The span that it is part of; empty for the first of a trace.
        links: Traces that it refers to.
    """

    program: str
    cluster: str
    name: str
    trace: str
    span: str
    parent: str
    links: tuple[str, ...]


class Collector:
    """One collector, from `with` to its end.

    Attributes:
        endpoint: For OTEL_EXPORTER_OTLP_ENDPOINT.
    """

    def __init__(self, binary: Path, folder: Path) -> None:
        """Prepare; its configuration, log and spans go into `folder`."""
        self._file, configuration = folder / "spans", folder / "collector.yaml"
        with hold_port() as holder:
            port = port_of(holder)
        self.endpoint = f"http://127.0.0.1:{port}"
        text = _CONFIGURATION.format(port=port, file=self._file)
        configuration.write_text(text, encoding="utf-8")
        command = (str(binary), "--config", f"file:{configuration}")
        log = folder / "collector.log"
        self._child = Child(ChildSettings(name="collector", command=command, log=log))

    def __enter__(self) -> Self:
        self._child.start()
        try:
            self._child.wait_ready(self._listens)
        except BaseException:
            self._child.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._child.stop()

    def spans(self) -> tuple[ReceivedSpan, ...]:
        """Return all spans that were received and written so far."""
        if not self._file.exists():
            return ()
        whole, _, _ = self._file.read_bytes().rpartition(b"\n")
        requests = (msgspec.json.decode(line, type=_Request) for line in whole.splitlines())
        return tuple(
            _received(resource, span)
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        )

    def _listens(self) -> bool:
        try:
            urllib.request.urlopen(self.endpoint, timeout=1)  # noqa: S310 - a URL of our own
        except urllib.error.HTTPError:
            return True  # there is nothing at "/"
        except OSError:
            return False
        return True


class _Json(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of OTLP's JSON encoding, as far as tests look at it."""


class _Value(_Json, frozen=True, kw_only=True):
    string_value: str = ""


class _Attribute(_Json, frozen=True, kw_only=True):
    key: str
    value: _Value


class _Link(_Json, frozen=True, kw_only=True):
    trace_id: str


class _Span(_Json, frozen=True, kw_only=True):
    trace_id: str
    span_id: str
    parent_span_id: str = ""
    name: str
    links: tuple[_Link, ...] = ()


class _ScopeSpans(_Json, frozen=True, kw_only=True):
    spans: tuple[_Span, ...] = ()


class _Resource(_Json, frozen=True, kw_only=True):
    attributes: tuple[_Attribute, ...] = ()


class _ResourceSpans(_Json, frozen=True, kw_only=True):
    resource: _Resource
    scope_spans: tuple[_ScopeSpans, ...] = ()


class _Request(_Json, frozen=True, kw_only=True):
    resource_spans: tuple[_ResourceSpans, ...] = ()


def _received(resource: _ResourceSpans, span: _Span) -> ReceivedSpan:
    facts = {a.key: a.value.string_value for a in resource.resource.attributes}
    return ReceivedSpan(
        program=facts.get("service.name", ""),
        cluster=facts.get("k8s.cluster.name", ""),
        name=span.name,
        trace=span.trace_id,
        span=span.span_id,
        parent=span.parent_span_id,
        links=tuple(link.trace_id for link in span.links),
    )
