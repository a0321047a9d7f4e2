"""What `kgctl showconf node NODE --as-peer` prints, as of version 0.7.0. Pure.

Byte for byte, with one exception: of an endpoint that is a DNS name kgctl prints the port where
the name belongs, and "<nil>" as address, which Kilo then ignores; here the name is printed.
"""

from __future__ import annotations

import json
import re
from typing import Final, Literal

import msgspec
import yaml

from heliograph.errors import TerminalError
from heliograph.kilo.mesh import Mesh, Segment
from heliograph.kilo.peer import PEERS, PeerEndpoint, PeerSpec

Output = Literal["yaml", "json", "wireguard"]

_READS_AS_NO_TEXT: Final = re.compile(
    r"y|n|yes|no|on|off|true|false|null"
    r"|0x[0-9a-f]+|0o[0-7]+|0b[01]+|[0-9]+(\.[0-9]*)?(e[-+]?[0-9]+)?"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
    r"|[0-9]+(:[0-5]?[0-9])+"
)
"""Names and addresses that YAML 1.1 would read as truth, number, date, or number to the base 60."""


class NodeNotReady(TerminalError):
    """There is no Peer to print for a node: it is unknown, or it is not ready."""

    def __init__(self, node: str, *, any_ready: bool) -> None:
        known = (
            f"node {node} is unknown, or Kilo does not call it ready"
            if any_ready
            else f"no node is ready, so neither is {node}"
        )
        super().__init__(
            f"{known}: that takes a pod range, Kilo's key, an endpoint, and a heartbeat younger "
            f"than 60 s."
        )
        self.node = node


class _Dumper(yaml.SafeDumper):
    """Quotes as Go's library does."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _READS_AS_NO_TEXT.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def segment_led_by(mesh: Mesh, node: str) -> Segment | None:
    """Return the segment that a node leads; None if another node leads its segment.

    kgctl then prints nothing but a sentence on stderr, and exits with 0.

    Raises:
        NodeNotReady: The node is in no segment of the mesh.
    """
    for segment in mesh.segments:
        if node in segment.nodes:
            return segment if segment.leader == node else None
    raise NodeNotReady(node, any_ready=any(segment.ready for segment in mesh.segments))


def showconf(name: str, spec: PeerSpec, output: Output) -> str:
    """Return the text for a Peer of this name; YAML and the WireGuard form end with a newline."""
    if output == "wireguard":
        return _wireguard(spec)
    body = {"kind": PEERS.kind, "apiVersion": PEERS.api_version}
    peer = body | {"metadata": {"name": name}, "spec": msgspec.to_builtins(spec)}
    if output == "json":
        return json.dumps(peer, indent=2, ensure_ascii=False)
    return yaml.dump(peer, Dumper=_Dumper, width=2**31, allow_unicode=True)


def _wireguard(spec: PeerSpec) -> str:
    lines = {
        "AllowedIPs": ", ".join(spec.allowed_ips),
        "Endpoint": _host_and_port(spec.endpoint) if spec.endpoint else "",
        "PersistentKeepalive": str(spec.persistent_keepalive),
        "PresharedKey": spec.preshared_key,
        "PublicKey": spec.public_key,
    }
    return "[Peer]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items() if value)


def _host_and_port(endpoint: PeerEndpoint) -> str:
    host = endpoint.dns_or_ip.dns or endpoint.dns_or_ip.ip or ""
    return f"[{host}]:{endpoint.port}" if ":" in host else f"{host}:{endpoint.port}"
