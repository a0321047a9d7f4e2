"""Plans of Peers, as people and programs read them; and as kgctl prints a node."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
import yaml

from heliograph.cli.clusters import parse_clusters
from heliograph.cli.framed import framed
from heliograph.cli.planned import between, show
from heliograph.contract.messages import NodeAnnounced
from heliograph.errors import InputError, TerminalError
from heliograph.kilo.mesh import AS_KGCTL, Granularity, Mesh, mesh_of
from heliograph.kilo.peer import Peer
from heliograph.kilo.showconf import Output, segment_led_by, showconf
from heliograph.kilo.specs import parse_extra, peer_spec, with_extras
from heliograph.kube.errors import ApiStatus
from heliograph.program import explain
from heliograph.run.changes import manifest
from heliograph.run.peers import Peers, adopt_peers, announced_nodes, changes_of, plan_peers
from heliograph.run.planning import read_offers
from services.peerer.own import segment_of


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to see.

    Attributes:
        exporting: "ID=KUBECONFIG" of each exporting cluster.
        importing: That of the importing one; None if it does not matter.
        nodes: Only the Peers that these nodes are in; empty for all.
        extras: More ranges, canonical.
        output: How whole Peers are printed; None to show what changes.
        json: Whether what changes is printed as a JSON list.
    """

    exporting: tuple[str, ...]
    importing: str | None
    nodes: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    output: Output | None = None
    json: bool = False


def extras_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the ranges of "CIDR,CIDR" texts, canonical.

    Raises:
        InputError: One is no range with a mask.
    """
    return tuple(parse_extra(piece) for text in texts for piece in text.split(","))


async def peers(asked: Asked, *, exit_code: bool) -> int:
    """Show a plan of Peers; return the exit code."""
    if asked.importing is None:
        raise InputError("--to is missing: give the importing cluster, as --to west=KUBECONFIG")
    clusters = between(asked.exporting, asked.importing)
    planned = await plan_peers(clusters, asked.extras)
    for refusal in planned.refusals:
        if refusal.kind == "cluster":
            framed(f"{refusal.exporting} is refused ({refusal.reason})", refusal.message)
    if planned.absent:
        sys.stderr.write(
            f"cluster {clusters.importing} has no kind Peer (peers.kilo.squat.ai): install Kilo "
            f"there first\n"
        )
    wanted = tuple(_of_nodes(planned, asked.nodes))
    changes = [c for c in changes_of(planned) if not asked.nodes or c.name in {*wanted}]
    if asked.output is None:
        show(changes, as_json=asked.json)
    else:
        found = {n: p for one in planned.outlooks for n, p in one.after.items() if n in wanted}
        sys.stdout.write(_printed(found, asked.output))
    return 1 if exit_code and changes else 0


async def adopt(exporting: Sequence[str], importing: str) -> None:
    """Take over Peers that people made by hand; print what was done."""
    clusters = between(exporting, importing)
    try:
        lines = await adopt_peers(clusters)
    except ApiStatus as error:
        raise InputError(f"{error}; what was adopted before stays so, try again") from error
    nothing = (
        f"no Peer of cluster {clusters.importing} that others manage holds the key of a node of "
        f"{', '.join(clusters.exporting)}"
    )
    sys.stdout.write("\n".join(lines or [nothing]) + "\n")


async def as_kgctl(asked: Asked, granularity: Granularity) -> int:
    """Print what kgctl prints of nodes; return its exit code."""
    offers = await read_offers(parse_clusters(asked.exporting, flag="--from"))
    for offer in offers:
        ready = {n: node for n, node in announced_nodes(offer).items() if node.ready}
        try:
            mesh = mesh_of(ready, granularity=granularity, rules=AS_KGCTL)
            names = asked.nodes or tuple(s.leader for s in mesh.segments)
            texts = [_as_kgctl(name, mesh, ready, asked) for name in names]
        except TerminalError as error:
            explain(error)
            return 1
        separator = "---\n" if asked.output == "yaml" else "\n"
        sys.stdout.write(separator.join(filter(None, texts)))
    return 0


def _as_kgctl(
    name: str, mesh: Mesh, nodes: Mapping[str, NodeAnnounced], asked: Asked
) -> str | None:
    """Return what kgctl prints of one node; of one that leads no segment a sentence on stderr."""
    segment = segment_led_by(mesh, name)
    if segment is None:
        sys.stderr.write(f"node {name} does not lead its location; another node is its Peer\n")
        return None
    spec = with_extras(peer_spec(segment, nodes, AS_KGCTL), asked.extras)
    return showconf(name, spec, asked.output or "wireguard")


def _of_nodes(planned: Peers, nodes: Sequence[str]) -> Iterator[str]:
    """Yield the names of the Peers that some nodes are in; of all Peers without nodes.

    Raises:
        InputError: A node is in none.
    """
    segments = {segment for node in nodes for segment in planned.segments.get(node, ())}
    for node in nodes:
        if node not in planned.segments:
            message = (
                f"node {node!r} is no peer of any --from cluster: it is unknown, or says too "
                f"little of itself ('heliograph check' tells what); nodes that are: "
                f"{', '.join(sorted(planned.segments)) or 'none'}"
            )
            raise InputError(message)
    for outlook in planned.outlooks:
        for name, peer in (*outlook.before.items(), *outlook.after.items()):
            if not nodes or (outlook.exporting, segment_of(peer)) in segments:
                yield name


def _printed(peers: Mapping[str, Peer], output: Output) -> str:
    """Return Peers as kubectl takes them, or as wg(8) does."""
    if output == "wireguard":
        return "\n".join(showconf(name, peer.spec, output) for name, peer in peers.items())
    documents = [manifest("Peer", peer) for peer in peers.values()]
    if output == "yaml":
        return yaml.safe_dump_all(documents, allow_unicode=True, width=2**31)
    items = documents[0] if len(documents) == 1 else _list_of(documents)
    return json.dumps(items, indent=2, ensure_ascii=False) + "\n"


def _list_of(documents: Sequence[object]) -> dict[str, object]:
    return {"kind": "List", "apiVersion": "v1", "items": list(documents)}
