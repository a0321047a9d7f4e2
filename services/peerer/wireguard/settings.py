"""Settings of a node's WireGuard agent, beside those of every peerer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import msgspec

from heliograph.admission.policy import is_special
from heliograph.kilo.addresses import parse_address
from heliograph.ranges import canonical
from heliograph.wireguard.endpoints import join_endpoint
from heliograph.wireguard.notation import endpoint_name, parse_endpoint
from services.peerer.settings import PeererSettings

_INTERFACE = re.compile(r"[A-Za-z0-9_-]{1,15}")
NOBODY: Final = "none"
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What --backend wireguard needs to know beside; all have defaults but `node`.

    Attributes:
        node: Name of the Node that the agent runs on.
        interface: The WireGuard interface that it owns; nothing else may use it.
        listen_port: UDP port of the tunnels.
        endpoint: Where other clusters reach this node: HOST or HOST:PORT. Without it, the Node's
            ExternalIP, else its InternalIP; "none" for a node that nobody can reach first.
        tunnel_cidr: Range of the nodes' addresses in the tunnels, the same for all nodes of the
            cluster; without it, a block of 100.64.0.0/10 derived from the cluster's id.
        mtu: MTU of the interface; 0 follows the network below it.
        persistent_keepalive: Seconds between keepalives, which keep NAT open; 0 turns them off.
        key_file: Where the node's key is kept; made with mode 0600 if it is not there.
        userspace: The program that makes the tunnel where the kernel has no WireGuard.
    """

    node: str = ""
    interface: str = "heliograph0"
    listen_port: Port = 51820
    endpoint: str = ""
    tunnel_cidr: str = ""
    mtu: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    persistent_keepalive: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 25
    key_file: Path = Path("/var/lib/heliograph/wireguard.key")
    userspace: str = "wireguard-go"

    def __post_init__(self) -> None:
        """Refuse what is no range, no endpoint and no name of an interface."""
        if self.tunnel_cidr and (cidr := canonical(self.tunnel_cidr)) != self.tunnel_cidr:
            hint = f"give {cidr}" if cidr else "give such as 100.72.16.0/20 or fd00:72::/64"
            raise ValueError(f"{self.tunnel_cidr!r} is no range in canonical form; {hint}")
        if self.endpoint not in {"", NOBODY} and not is_usable(self.endpoint, self.listen_port):
            raise ValueError(
                f"{self.endpoint!r} is no endpoint; give HOST or HOST:PORT as other clusters reach "
                f"this node, or {NOBODY}"
            )
        if not _INTERFACE.fullmatch(self.interface):
            raise ValueError(f"{self.interface!r} is no name of an interface (up to 15 letters)")


def with_port(host: str, port: int) -> str:
    """Return "host:port" of a host, which may have a port, or be an IPv6 address as it is."""
    address = parse_address(host.strip("[]"))
    if address is not None:
        return join_endpoint(str(address), port)
    return host if ":" in host else f"{host}:{port}"


def is_usable(endpoint: str, port: int) -> bool:
    """Tell whether other machines could reach an endpoint, as far as its text tells."""
    text = with_port(endpoint, port)
    if parse_endpoint(text) is None:
        return False
    return bool(endpoint_name(text)) or not is_special(text.rpartition(":")[0].strip("[]"))


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All that the agent of one node needs to know."""

    peerer: PeererSettings
    own: AgentSettings
