"""The links on the exporting cluster's bus: the message of the Service, and the lease. Pure."""

from __future__ import annotations

from typing import Final

from heliograph.contract.messages import ClusterAnnounced, ClusterWithdrawn
from heliograph.explain.facts import Facts
from heliograph.explain.link import Link, broken, not_concerned, ok, refused, unknown
from heliograph.explain.offered import Offered
from heliograph.explain.refusals import find
from heliograph.imports.heard import CLOCKS_DIFFER_S

SILENT: Final = "ClusterSilent"


def message_link(facts: Facts, offered: Offered) -> Link:
    """Return whether the stream says of the Service what its cluster does."""
    said = facts.said
    if said.fault:
        return unknown("message", said.fault)
    if isinstance(said.announced, ClusterWithdrawn):
        return _left(facts)
    if said.unreadable:
        return unknown(
            "message", "there is a message that this version cannot read; use the watcher's version"
        )
    if offered.service is None and offered.known:
        return (
            _left_over(facts) if said.service else not_concerned("message", "nothing is exported")
        )
    if said.service is None:
        return _missing(facts, known=offered.known)
    if offered.known and not _same(facts, offered):
        return _differs(facts)
    return ok("message", f"the stream of cluster {said.cluster} holds it")


def lease_link(facts: Facts) -> Link:
    """Return whether the exporting cluster is heard of."""
    said, cluster = facts.said, facts.exporting.cluster
    silent = find(facts, SILENT)
    if silent is not None:
        return refused("lease", SILENT, silent.message)
    if said.fault:
        return unknown("lease", said.fault)
    if isinstance(said.announced, ClusterWithdrawn):
        return not_concerned("lease", f"cluster {cluster} has left the ClusterSet")
    if said.announced is None:
        return broken(
            "lease",
            "LeaseMissing",
            f"cluster {cluster} does not announce itself on its bus",
            _look_at_watcher(facts),
        )
    return _heard(facts, said.announced)


def _heard(facts: Facts, announced: ClusterAnnounced) -> Link:
    cluster, age_s = facts.exporting.cluster, facts.said.age_s
    uid = facts.exporting.uid
    if uid and announced.uid and uid != announced.uid:
        return broken(
            "lease",
            "DuplicateId",
            f"another cluster announces itself under the id {cluster}",
            "give one of them an id of its own (--cluster of its programs)",
        )
    if age_s > announced.lease_s + CLOCKS_DIFFER_S:
        return broken(
            "lease",
            "LeaseOut",
            f"cluster {cluster} was heard {age_s:.0f} s ago, and its lease is "
            f"{announced.lease_s:g} s; what changes there does not arrive",
            _look_at_watcher(facts),
        )
    return ok("lease", f"cluster {cluster} is heard of, its watcher is {announced.version}")


def _left(facts: Facts) -> Link:
    cluster = facts.exporting.cluster
    return broken(
        "message",
        "Left",
        f"cluster {cluster} has left the ClusterSet, so nothing that it exported counts",
        f"'heliograph leave --undo' in cluster {cluster}",
    )


def _left_over(facts: Facts) -> Link:
    cluster = facts.exporting.cluster
    return broken(
        "message",
        "MessageLeft",
        f"the stream of cluster {cluster} still exports {facts.key}, which the cluster does not",
        _look_at_watcher(facts),
    )


def _missing(facts: Facts, *, known: bool) -> Link:
    cluster = facts.exporting.cluster
    also = "" if known else f"see whether {facts.key} is exported there, and "
    return broken(
        "message",
        "MessageMissing",
        f"the stream of cluster {cluster} holds no export of {facts.key}",
        also + _look_at_watcher(facts),
    )


def _differs(facts: Facts) -> Link:
    cluster = facts.exporting.cluster
    return broken(
        "message",
        "MessageDiffers",
        f"the stream of cluster {cluster} holds {facts.key} as it was before, not as it is",
        _look_at_watcher(facts),
    )


def _look_at_watcher(facts: Facts) -> str:
    cluster = facts.exporting.cluster
    return (
        f"see whether the watcher of cluster {cluster} runs, what it logs, and whether it reaches "
        f"its bus (deployment/watcher)"
    )


def _same(facts: Facts, offered: Offered) -> bool:
    said = facts.said
    return said.service == offered.service and dict(said.endpoints) == dict(offered.endpoints)
