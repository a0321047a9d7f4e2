"""Between which clusters a Service is to be explained. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from heliograph.contract.names import ClusterId
from heliograph.explain.facts import API, InCluster, OnBus
from heliograph.kube.objects import Service
from heliograph.marks import EXPORT_LABEL, is_ours
from services.reflector.own_services import marked


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of the Service everywhere.

    Attributes:
        places: The clusters, by id, in the order in which they were given.
        buses: Their streams.
    """

    places: Mapping[ClusterId, InCluster]
    buses: Mapping[ClusterId, OnBus]

    @property
    def found(self) -> bool:
        """Whether the Service is anywhere: in a cluster, or on a bus."""
        standing = any(place.service or place.slices for place in self.places.values())
        return standing or any(said.service for said in self.buses.values())

    @property
    def faults(self) -> tuple[str, ...]:
        """Why something could not be looked at at all, each said once."""
        unread = (place.unread[API] for place in self.places.values() if API in place.unread)
        deaf = (said.fault for said in self.buses.values() if said.fault)
        return tuple(dict.fromkeys((*unread, *deaf)))

    @property
    def blind(self) -> bool:
        """Whether nothing at all could be looked at."""
        unread = all(API in place.unread for place in self.places.values())
        return unread and all(said.fault for said in self.buses.values())


def pairs_of(
    survey: Survey, exporting: Sequence[ClusterId], importing: Sequence[ClusterId]
) -> tuple[tuple[ClusterId, ClusterId], ...]:
    """Return each exporting cluster with each importing one.

    Args:
        survey: What was seen.
        exporting: Those that were asked for; else those that export the Service, or that a mirror
            points at; if there are none, those that have it and may have forgotten the label.
        importing: Those that were asked for; else all.
    """
    sources = exporting or _exporting(survey)
    targets = importing or tuple(survey.places)
    return tuple((source, target) for source in sources for target in targets if source != target)


def pointed_at(places: Iterable[InCluster]) -> tuple[ClusterId, ...]:
    """Return the clusters that mirrors of the Service name, each once."""
    mirrors = (place.service for place in places if place.service and is_ours(place.service))
    return tuple(dict.fromkeys(name for mirror in mirrors for name in marked(mirror)))


def _exporting(survey: Survey) -> tuple[ClusterId, ...]:
    named = set(pointed_at(survey.places.values()))
    exporting = [
        cluster
        for cluster, place in survey.places.items()
        if cluster in named or _says_so(survey, cluster) or _is_labelled(place.service)
    ]
    return tuple(exporting) or tuple(
        cluster
        for cluster, place in survey.places.items()
        if place.service and not is_ours(place.service)
    )


def _says_so(survey: Survey, cluster: ClusterId) -> bool:
    return cluster in survey.buses and survey.buses[cluster].service is not None


def _is_labelled(service: Service | None) -> bool:
    if service is None or is_ours(service):
        return False
    return service.metadata.labels.get(EXPORT_LABEL) == "true"
