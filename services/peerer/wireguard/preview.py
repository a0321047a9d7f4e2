"""What an agent would do, without doing it: `heliograph peerer --backend wireguard --dry-run`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heliograph.contract.names import parse_cluster_id
from heliograph.errors import InputError
from heliograph.imports.consume import ImportBus
from heliograph.kube.client import KubeClient, Selection
from heliograph.marks import (
    ENDPOINT_ANNOTATION,
    PUBLIC_KEY_ANNOTATION,
    TUNNEL_IP_ANNOTATION,
)
from heliograph.wireguard import keyfile
from heliograph.wireguard.device import Device
from heliograph.wireguard.interface import Interface
from services.peerer.hearing import hear_others, read_own
from services.peerer.wireguard.addresses import host_range
from services.peerer.wireguard.identity import Identity
from services.peerer.wireguard.outlook import annotation_lines, interface_lines, peer_lines
from services.peerer.wireguard.own_node import OWN_NODE, OwnNode, choose_endpoint, differing
from services.peerer.wireguard.picture import Picture
from services.peerer.wireguard.plan import plan_device, plan_interface
from services.peerer.wireguard.settings import AgentSettings, NodeSettings
from services.peerer.wireguard.tunnels import Standing, Tunnels

_ABSENT = Standing(device=Device(), interface=Interface(mtu=0, up=False))


async def preview(
    settings: NodeSettings, client: KubeClient, buses: Sequence[ImportBus]
) -> list[str]:
    """Return one line for each change on the machine and of its Node, and for each refusal.

    Raises:
        InputError: The cluster has no such Node.
    """
    own, importing = settings.own, parse_cluster_id(settings.peerer.cluster)
    node = await _own_node(client, own.node)
    picture = Picture(importing, settings.peerer, node=own.node)
    await read_own(picture, client, namespace=settings.peerer.namespace)
    await hear_others(picture, buses)
    tunnels = Tunnels(own)
    try:
        standing, mtu = await tunnels.look(), await tunnels.mtu(())
    finally:
        tunnels.close()
    address = Identity(own, picture).choose_address(node)
    lines = [
        *_missing(own, standing),
        *_changes(picture, own, standing or _ABSENT, (address, mtu)),
        *annotation_lines(own.node, differing(node, _said(own, node, address))),
    ]
    refusals = (one for some in picture.refusals().values() for one in some)
    return [*lines, *(f"refuse  {refusal.message}" for refusal in refusals)]


async def _own_node(client: KubeClient, name: str) -> OwnNode:
    found = (await client.list(OWN_NODE, Selection(name=name))).items
    if not found:
        raise InputError(f"cluster {client.cluster} has no Node {name}: see --node")
    return found[0]


def _missing(own: AgentSettings, standing: Standing | None) -> Iterator[str]:
    if keyfile.load(own.key_file) is None:
        yield f"make    key {own.key_file}"
    if standing is None:
        yield f"make    interface {own.interface}"


def _changes(
    picture: Picture, own: AgentSettings, standing: Standing, at: tuple[str, int]
) -> Iterator[str]:
    wanted = picture.wanted(standing.device, persistent_keepalive=own.persistent_keepalive)
    names = {
        key: f"{cluster}/{name}"
        for cluster, desired in picture.desired().items()
        for name, peer in desired.peers.items()
        for key in peer.keys
    }
    changes = plan_device(wanted.targets, standing.device, certain=wanted.certain)
    yield from peer_lines(changes, names)
    interface = wanted.interface(standing.interface, address=host_range(at[0]), mtu=at[1])
    yield from interface_lines(plan_interface(interface, standing.interface))


def _said(own: AgentSettings, node: OwnNode, address: str) -> dict[str, str | None]:
    """Return what the Node would say; of a key that is yet to be made, nothing is known."""
    key = keyfile.load(own.key_file)
    said = {ENDPOINT_ANNOTATION: choose_endpoint(node, own), TUNNEL_IP_ANNOTATION: address}
    return said | ({PUBLIC_KEY_ANNOTATION: key.public} if key else {})
