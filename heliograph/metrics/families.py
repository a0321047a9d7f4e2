"""Makes families of metrics, and knows which program exposes which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Final, Literal

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

FamilyType = Literal["counter", "gauge", "histogram"]
Samples = Callable[[], Iterable[tuple[tuple[str, ...], float]]]
"""Returns label values, in the order of the labels, and the value of each series there is now."""

_PREFIX: Final = "heliograph_"


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """One metric as it is documented.

    Attributes:
        name: As in PromQL; of a histogram without "_bucket".
        type: What Prometheus calls it.
        text: What it means, for people.
        labels: Their names.
    """

    name: str
    type: FamilyType
    text: str
    labels: tuple[str, ...]


class Scraped(Collector):
    """A metric that is read when somebody scrapes: what is gone has no series any more."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._sources: list[Samples] = []

    def read(self, source: Samples) -> None:
        """Tell what `source` returns from now on, beside what others do."""
        self._sources.append(source)

    @override
    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        family = self._family
        make = CounterMetricFamily if family.type == "counter" else GaugeMetricFamily
        found = make(family.name, family.text, labels=family.labels)
        for source in self._sources:
            for labels, value in source():
                found.add_metric(labels, value)
        yield found


class Maker:
    """Makes metrics that some programs expose; elsewhere they count, and nobody sees it."""

    def __init__(
        self, registry: CollectorRegistry | None, known: dict[str, Family] | None = None
    ) -> None:
        """Prepare; `known` takes what is exposed."""
        self._registry, self._known = registry, known

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Return a counter; `name` ends with "_total"."""
        family = self._family("counter", name, text, labels)
        return Counter(family.name, text, labels, registry=self._registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """Return a gauge."""
        family = self._family("gauge", name, text, labels)
        return Gauge(family.name, text, labels, registry=self._registry)

    def histogram(
        self, name: str, text: str, *labels: str, buckets: tuple[float, ...]
    ) -> Histogram:
        """Return a histogram with these upper bounds."""
        family = self._family("histogram", name, text, labels)
        return Histogram(family.name, text, labels, buckets=buckets, registry=self._registry)

    def scraped(self, name: str, text: str, *labels: str, type: FamilyType = "gauge") -> Scraped:  # noqa: A002 - Prometheus' word
        """Return a metric that is read when somebody scrapes."""
        found = Scraped(self._family(type, name, text, labels))
        if self._registry is not None:
            self._registry.register(found)
        return found

    def _family(self, kind: FamilyType, name: str, text: str, labels: tuple[str, ...]) -> Family:
        family = Family(name=f"{_PREFIX}{name}", type=kind, text=text, labels=labels)
        if self._known is not None:
            self._known[family.name] = family
        return family


class Families:
    """The metrics of one program.

    Attributes:
        registry: Holds those that the program exposes.
        known: The same, documented, by name.
    """

    def __init__(self, program: str) -> None:
        self.registry = CollectorRegistry()
        self.known: dict[str, Family] = {}
        self._program = program

    def of(self, programs: AbstractSet[str]) -> Maker:
        """Return what makes metrics that these programs expose."""
        if self._program not in programs:
            return Maker(None)
        return Maker(self.registry, self.known)
