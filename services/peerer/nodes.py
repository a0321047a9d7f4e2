"""Which nodes of an exporting cluster get a Peer: each claims no more than is its own. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterator

from typing_extensions import override

from heliograph.admission.spans import span_of_text, touches
from heliograph.kilo.mesh import Mesh
from heliograph.kilo.reach import Reach, reach_of
from heliograph.kilo.specs import unrouted_addresses
from services.peerer.judging import Here, Judging, Neighbour, is_node
from services.peerer.refusal import Refusal, Where


def judge_nodes(neighbour: Neighbour, here: Here, mesh: Mesh) -> dict[str, Refusal]:
    """Return the refusal of each node that is not peered with.

    Args:
        neighbour: The exporting cluster, with the nodes that its mesh was made of.
        here: The importing cluster.
        mesh: The mesh; who leads in it is not routed to where its endpoint is.

    In one cluster the first name has a range that several nodes announce; a node that is refused
    takes nothing from others.
    """
    judging = _Judging(neighbour, here, unrouted_addresses(mesh, neighbour.nodes))
    refused = ((name, judging.refusal(name)) for name in sorted(neighbour.nodes))
    return {name: refusal for name, refusal in refused if refusal is not None}


class _Judging(Judging):
    """The nodes of one cluster with Kilo, while they are judged."""

    new_key = "Remove /var/lib/kilo/key on one of them and restart its agent; it makes a new key."

    @override
    def __init__(self, neighbour: Neighbour, here: Here, unrouted: Container[str]) -> None:
        super().__init__(neighbour, here)
        self._unrouted = unrouted

    def refusal(self, name: str) -> Refusal | None:
        """Return why a node is not peered with; one that is has its pods' range from now on."""
        where, reach = self.where(name), reach_of(self.neighbour.nodes[name])
        if reach is None:
            return where.refuse(
                "NotAPeer",
                "a key, an endpoint or a pod range that cannot be read",
                "See its annotations kilo.squat.ai/key and kilo.squat.ai/endpoint, and "
                "spec.podCIDR.",
            )
        refusal = next(self._faults(where, reach), None)
        if refusal is None:
            self.take_pods(name, (reach.pod_cidr,))
        return refusal

    def _faults(self, where: Where, reach: Reach) -> Iterator[Refusal]:
        yield from self.key_faults(where)
        yield from self._address_faults(where, reach)
        yield from self.pod_faults(where, reach.pod_cidr)

    def _address_faults(self, where: Where, reach: Reach) -> Iterator[Refusal]:
        """Yield what stands against a node's private IP, if it is to be routed at all."""
        cidr = reach.private_cidr
        if cidr is None or where.node in self._unrouted:
            return
        address = cidr.partition("/")[0]
        if not self.here.policy.admits_range(cidr):
            if reach.host != address:  # its endpoint is reached without a tunnel
                yield self.not_admitted(where, f"the address {address}")
            return
        if touches(self.here.taken, span_of_text(cidr)):
            yield where.refuse(
                "AddressTaken",
                f"the address {address}, which is in a range of pods, Services or tunnels",
                "Give the node another address, or set kilo.squat.ai/force-internal-ip.",
            )
        if at := self.here.book.elsewhere(cidr, where.exporting):
            yield where.refuse(
                "AddressTaken",
                f"the address {address}, where node {at.node} of cluster {at.cluster} is reached",
                "Give the node another address, or set kilo.squat.ai/force-internal-ip to none.",
            )
        first = self.here.book.addresses.get(cidr)
        if first is not None and not is_node(first, where):
            yield where.refuse(
                "AddressTaken",
                f"the address {address}, which node {first.node} of cluster {first.cluster} has",
                "Give the node another address, or set kilo.squat.ai/force-internal-ip to none.",
            )
