"""The links in the exporting cluster: the Service, its label, its backends. Pure."""

from __future__ import annotations

from heliograph.explain.facts import API, Facts
from heliograph.explain.link import Link, broken, not_concerned, ok, refused, unknown
from heliograph.explain.offered import Offered
from heliograph.kube.objects import Service
from heliograph.marks import EXPORT_LABEL, EXPORTING_ANNOTATION, is_ours


def exporting_links(facts: Facts, offered: Offered) -> tuple[Link, ...]:
    """Return the three links."""
    there = facts.exporting
    if API in there.unread:
        why = there.unread[API]
        return (unknown("service", why), unknown("label", why), _backend_by_message(facts, why))
    service = there.service
    if service is None:
        why = f"there is no Service {facts.key} in cluster {there.cluster}"
        return (_missing(facts), not_concerned("label", why), not_concerned("backend", why))
    backend = _backend(facts, service, offered)
    return (_service(facts, service), _label(facts, service, offered), backend)


def _missing(facts: Facts) -> Link:
    cluster = facts.exporting.cluster
    return broken(
        "service",
        "ServiceMissing",
        f"cluster {cluster} has no Service {facts.key}",
        f"create it in {cluster}, in this namespace, or explain the cluster that it runs in",
    )


def _service(facts: Facts, service: Service) -> Link:
    cluster, metadata = facts.exporting.cluster, service.metadata
    if is_ours(service):
        origin = metadata.annotations.get(EXPORTING_ANNOTATION, "") or "another cluster"
        return broken(
            "service",
            "MirrorItself",
            f"Service {facts.key} in cluster {cluster} is itself a mirror, of {origin}, and "
            f"mirrors are not exported again",
            f"export it from the cluster where it runs ({origin})",
        )
    if metadata.deletion_timestamp:
        held = f" ({', '.join(metadata.finalizers)} holds it)" if metadata.finalizers else ""
        return broken(
            "service",
            "ServiceTerminating",
            f"Service {facts.key} in cluster {cluster} is being deleted{held}",
            "wait until it is gone and create it again, or let its finalizers go",
        )
    return ok("service", f"Service {facts.key} is in cluster {cluster}")


def _label(facts: Facts, service: Service, offered: Offered) -> Link:
    cluster = facts.exporting.cluster
    if facts.exporting.membership.left:
        return broken(
            "label",
            "Left",
            f"cluster {cluster} has left the ClusterSet and exports nothing",
            f"'heliograph leave --undo' in cluster {cluster}",
        )
    value = service.metadata.labels.get(EXPORT_LABEL)
    if value != "true":
        said = f"is {value!r}, and only 'true' counts" if value is not None else "is not there"
        return broken(
            "label",
            "NotExported",
            f"the label {EXPORT_LABEL} of Service {facts.key} in cluster {cluster} {said}",
            f"'heliograph export {facts.key}' with the kubeconfig of {cluster}",
        )
    if offered.refused is not None:
        return refused("label", offered.refused.reason, offered.refused.message)
    for warning in offered.warnings:
        return ok("label", f"it is exported, but {warning.message}", warning.reason)
    return ok("label", f"it is labelled {EXPORT_LABEL}=true")


def _backend(facts: Facts, service: Service, offered: Offered) -> Link:
    backends = [e for item in facts.exporting.slices for e in item.endpoints or ()]
    ready = [e for e in backends if e.conditions.ready is not False]
    if offered.service.ready if offered.service else ready:
        return ok("backend", f"{len(ready)} of {len(backends)} backends are ready")
    cluster = facts.exporting.cluster
    if backends:
        return broken(
            "backend",
            "NoBackendReady",
            f"none of the {len(backends)} backends of {facts.key} in cluster {cluster} is ready",
            f"look at the pods' readiness in {cluster}: {_get_pods(facts, service)}",
        )
    if service.spec.selector:
        return broken(
            "backend",
            "NoBackend",
            f"Service {facts.key} in cluster {cluster} has no backend: its selector matches no "
            f"running pod",
            f"start the pods in {cluster}, or mend the selector: {_get_pods(facts, service)}",
        )
    return broken(
        "backend",
        "NoBackend",
        f"Service {facts.key} in cluster {cluster} has no selector, and nobody made an "
        f"EndpointSlice for it",
        "give it a selector, or an EndpointSlice that bears its name",
    )


def _get_pods(facts: Facts, service: Service) -> str:
    text = ",".join(f"{name}={value}" for name, value in sorted(service.spec.selector.items()))
    return f"kubectl -n {facts.key.namespace} get pods" + (f" -l {text}" if text else "")


def _backend_by_message(facts: Facts, why: str) -> Link:
    """Return what the Service's own message tells when its cluster cannot be looked at."""
    said = facts.said.service
    if said is None:
        return unknown("backend", why)
    if said.ready:
        return ok("backend", "its message says that a backend answers")
    cluster = facts.exporting.cluster
    return broken(
        "backend",
        "NoBackendReady",
        f"the message of cluster {cluster} says that no backend of {facts.key} answers",
        f"look at the pods behind Service {facts.key} in cluster {cluster}",
    )
