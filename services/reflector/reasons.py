"""Why something is not mirrored, in words; the reasons that lie in the importing cluster. Pure."""

from __future__ import annotations

from collections.abc import Callable

from heliograph.contract.names import ClusterId
from services.reflector.mirror import Refusal
from services.reflector.operations import Situation

NO_NAMESPACE = frozenset({"NamespaceMissing", "NamespaceTerminating"})
"""Reasons that mean that nothing can be written there, Events neither."""


def foreign_object(situation: Situation) -> tuple[Refusal, ...]:
    """Return a refusal for each cluster whose mirror would stand where a foreign Service is."""
    key, importing, foreign = situation.key, situation.importing, situation.own.foreign
    owner = foreign.owner if foreign else "unknown"
    return _for_each(
        situation,
        "ForeignObject",
        lambda exporting: (
            f"Service {key} in cluster {importing} is managed by {owner!r}, not by us; "
            f"left as it is, so {exporting}'s {key} cannot be reached from {importing}. Rename "
            f"either one, or stop exporting {key} from {exporting}; if it is a mirror made by "
            f"hand, 'heliograph adopt {key}' takes it over."
        ),
    )


def namespace_missing(situation: Situation) -> tuple[Refusal, ...]:
    """Return a refusal for each cluster whose mirror has no namespace to be in."""
    key, importing = situation.key, situation.importing
    return _for_each(
        situation,
        "NamespaceMissing",
        lambda exporting: (
            f"Service {key} of cluster {exporting} is not mirrored in cluster {importing}: there "
            f"is no namespace {key.namespace}. Create it, or let the reflector do so (setting "
            f"create_namespaces)."
        ),
    )


def namespace_terminating(situation: Situation) -> tuple[Refusal, ...]:
    """Return a refusal for each cluster whose mirror's namespace is on its way out."""
    key, importing = situation.key, situation.importing
    return _for_each(
        situation,
        "NamespaceTerminating",
        lambda exporting: (
            f"Service {key} of cluster {exporting} is not mirrored in cluster {importing}: "
            f"namespace {key.namespace} is being deleted. It is mirrored when the namespace is "
            f"back; if it does not go, see its status for what holds it."
        ),
    )


def not_wanted(importing: ClusterId, exporting: ClusterId, *, left: bool) -> Refusal:
    """Return why nothing at all is taken from a cluster, by what people decided.

    `left` tells that the importing cluster has left the ClusterSet; else it forgot the other one.
    """
    if left:
        reason = "Left"
        why = f"cluster {importing} has left the ClusterSet; 'heliograph leave --undo' in it"
    else:
        reason = "Forgotten"
        why = f"cluster {importing} has forgotten it; 'heliograph forget {exporting} --undo' there"
    message = f"nothing is taken from cluster {exporting}: {why} takes that back."
    return Refusal(exporting=exporting, reason=reason, message=message)


def _for_each(
    situation: Situation, reason: str, explain: Callable[[ClusterId], str]
) -> tuple[Refusal, ...]:
    return tuple(
        Refusal(exporting=exporting, reason=reason, message=explain(exporting))
        for exporting in situation.desired.exporting
    )
