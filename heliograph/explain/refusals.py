"""What the importing cluster states on its bus that it does not take of the exporting one. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from heliograph.contract.messages import RefusalStated
from heliograph.contract.subjects import Kind
from heliograph.explain.facts import Facts


def of_service(facts: Facts) -> tuple[RefusalStated, ...]:
    """Return what is stated about the Service itself."""
    return tuple(one for one in _stated(facts) if one.kind == Kind.SERVICE)


def of_cluster(facts: Facts) -> tuple[RefusalStated, ...]:
    """Return what is stated about the cluster as a whole, its nodes, and Peers for it."""
    return tuple(one for one in _stated(facts) if one.kind != Kind.SERVICE)


def find(facts: Facts, reason: str) -> RefusalStated | None:
    """Return what is stated for a reason, if anything is."""
    return next((one for one in _stated(facts) if one.reason == reason), None)


def _stated(facts: Facts) -> Iterator[RefusalStated]:
    exporting, key = facts.exporting.cluster, facts.key
    for one in facts.stated.refusals:
        about = one.kind != Kind.SERVICE or (one.namespace, one.name) == (key.namespace, key.name)
        if one.exporting == exporting and about:
            yield one
