"""Findings about the Peers that stand in clusters already. Pure; rules are those of Kilo 0.7."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

from heliograph.check.finding import Finding, counted, named
from heliograph.check.kilo import said
from heliograph.check.known import ClusterFacts
from heliograph.kilo.validation import why_invalid
from heliograph.marks import is_ours


def invalid(facts: ClusterFacts) -> Iterator[Finding]:
    """Find Peers that Kilo ignores, which it does without a word."""
    for peer in facts.peers or ():
        why = why_invalid(peer.spec)
        if why is not None:
            yield Finding(
                severity="warning",
                cluster=facts.cluster,
                reason="PeerInvalid",
                what=f"Kilo ignores the Peer {peer.metadata.name} ({why.rstrip('.')})",
                remedy="mend it; Kilo takes it up within 5 minutes",
            )


def doubled(facts: ClusterFacts) -> Iterator[Finding]:
    """Find Peers that hold one key: Kilo tells them apart by it, and the last one changed wins."""
    by_key: dict[str, list[str]] = {}
    for peer in facts.peers or ():
        by_key.setdefault(peer.spec.public_key, []).append(peer.metadata.name)
    for names in by_key.values():
        if len(names) > 1:
            yield Finding(
                severity="problem",
                cluster=facts.cluster,
                reason="PeersWithOneKey",
                what=f"the Peers {named(tuple(sorted(names)), shown=9)} hold one key, and Kilo "
                f"takes whichever changed last",
                remedy="delete all of them but one",
            )


def made_by_hand(known: Sequence[ClusterFacts]) -> Iterator[Finding]:
    """Find Peers that hold keys of other clusters' nodes, and that are not ours."""
    for exporting, importing in permutations(known, 2):
        keys = {said(node, "key") for node in exporting.nodes or ()} - {""}
        found = [p for p in importing.peers or () if p.spec.public_key in keys and not is_ours(p)]
        if found:
            names = named(tuple(sorted(peer.metadata.name for peer in found)))
            verb = "holds the key of a node" if len(found) == 1 else "hold keys of nodes"
            yield Finding(
                severity="warning",
                cluster=importing.cluster,
                reason="PeerMadeByHand",
                what=f"{counted(len(found), 'Peer')} that Heliograph has not made ({names}) "
                f"{verb} of cluster {exporting.cluster}, and two Peers must not hold one key",
                remedy=f"'heliograph adopt peers --from {exporting.cluster}=KUBECONFIG --to "
                f"{importing.cluster}=KUBECONFIG' takes them over in place",
            )
