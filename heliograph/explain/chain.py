"""The whole chain for one Service between two clusters, from what is known. Pure."""

from __future__ import annotations

from heliograph.explain.crossing import crossing_links
from heliograph.explain.exporting import exporting_links
from heliograph.explain.facts import Facts
from heliograph.explain.foreseen import foresee
from heliograph.explain.importing import importing_links
from heliograph.explain.link import Chain, chain_of
from heliograph.explain.offered import offer
from heliograph.explain.spoken import lease_link, message_link


def explain(facts: Facts) -> Chain:
    """Return every link in its order, and which is the first broken one."""
    offered = offer(facts.exporting)
    links = (
        *exporting_links(facts, offered),
        message_link(facts, offered),
        lease_link(facts),
        *importing_links(facts, offered, foresee(facts, offered)),
        *crossing_links(facts),
    )
    return chain_of(facts.exporting.cluster, facts.importing.cluster, links)
