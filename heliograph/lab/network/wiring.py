"""The lines of `ip -batch` and nft that wire hosts together. Pure.

    pod -- node --- lan of the gateway --- router --- lan of the gateway --- node -- pod

The router knows the segments of nodes alone. Pods' ranges are known inside their cluster only, by
routes from node to node, as a CNI plugin makes them where nodes share a segment ("host-gw").
Each pod's link is like the CNI plugin ptp makes it: the node's address on it is the first one of
its range, and everything a pod sends goes there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address
from typing import Final

import msgspec

from heliograph.lab.network.addresses import ClusterPlan, NodePlan

LAN: Final = "lan"
UPLINK: Final = "uplink"
PORT: Final = "eth0"

FORWARDING: Final = {"ipv4/ip_forward": "1"}
QUIET: Final = {"ipv6/conf/default/disable_ipv6": "1"}
"""No IPv6 but on loopback: there is none in this network, and its searching only delays links."""

_ALL: Final = 100_000

BRIDGING: Final = {"bridge/bridge-nf-call-iptables": "0"}
"""What is bridged is no matter of the gateway's rules (br_netfilter, where it is loaded)."""


class End(msgspec.Struct, frozen=True):
    """One end of a link: the process in whose network it is, and its name there."""

    pid: int
    name: str


def link(one: End, other: End, mtu: int) -> str:
    """Return the line that makes a link between two networks; it takes process ids of its reader.

    Source: ip-link(8) on veth.
    """
    ends = f"name {one.name} mtu {mtu} netns {one.pid} type veth peer"
    return f"link add {ends} name {other.name} mtu {mtu} netns {other.pid}"


def router(clusters: Iterable[tuple[str, ClusterPlan]]) -> list[str]:
    """Return what the router does: one link for each cluster, and a route to its segment."""
    lines: list[str] = []
    for name, plan in clusters:
        lines += _up(name, f"{plan.router}/30")
        lines.append(f"route add {plan.segment} via {plan.uplink}")
    return lines


def gateway(plan: ClusterPlan, ports: Iterable[str]) -> list[str]:
    """Return what a gateway does: it bridges its cluster's links and leads out of it."""
    lines = [f"link add name {LAN} type bridge mcast_snooping 0"]
    for port in ports:
        lines += (f"link set dev {port} master {LAN}", f"link set dev {port} up")
    lines += _up(LAN, f"{plan.gateway}/{plan.segment.prefixlen}")
    lines += _up(UPLINK, f"{plan.uplink}/30")
    lines.append(f"route add default via {plan.router}")
    return lines


def member(address: IPv4Address, plan: ClusterPlan) -> list[str]:
    """Return what a host on the segment does: a node, or the control plane's."""
    lines = _up(PORT, f"{address}/{plan.segment.prefixlen}")
    lines.append(f"route add default via {plan.gateway}")
    others = (node for node in plan.nodes.values() if node.address != address)
    lines += (f"route add {node.pods} via {node.address}" for node in others)
    return lines


def pod_of_node(port: str, address: IPv4Address, node: NodePlan) -> list[str]:
    """Return what a node does for one of its pods."""
    return [*_up(port, f"{node.pods[1]}/32"), f"route add {address}/32 dev {port}"]


def pod(address: IPv4Address, node: NodePlan) -> list[str]:
    """Return what a pod does for itself."""
    first = node.pods[1]
    ways = (f"route add {first} dev {PORT} scope link", f"route add default via {first}")
    return [*_up(PORT, f"{address}/32"), *ways]


def nat(behind: Sequence[IPv4Address]) -> str:
    """Return the gateway's nft script: hosts that reach out, and that nobody outside reaches."""
    hosts = ", ".join(map(str, behind))
    return f"""\
table ip nat {{
  chain postrouting {{
    type nat hook postrouting priority srcnat
    oifname "{UPLINK}" ip saddr {{ {hosts} }} masquerade
  }}
  chain forward {{
    type filter hook forward priority filter
    iifname "{UPLINK}" ip daddr {{ {hosts} }} ct state new drop
  }}
}}
"""


def silence(port: str, *, cut: bool) -> str:
    """Return a gateway's nft script: nothing passes a port of its bridge, or everything does again.

    Its carrier stays, so the host behind it notices nothing but silence.
    """
    table = f"table bridge cut-{port}"
    hooks = {"prerouting": "iifname", "postrouting": "oifname"}
    chains = "".join(
        f"""\
  chain {hook} {{
    type filter hook {hook} priority filter
    {which} "{port}" drop
  }}
"""
        for hook, which in hooks.items()
    )
    made = f"{table} {{\n{chains}}}\n" if cut else ""
    return f"{table}\ndelete {table}\n{made}"


def weather(loss_percent: float, blocked: Iterable[IPv4Address]) -> str:
    """Return the router's nft script: what it loses, at random and on purpose; replaces the last.

    A table that is there is emptied and filled in one transaction. Source: nft(8).
    """
    rules = [f"ip saddr {host} drop\n    ip daddr {host} drop" for host in sorted(blocked)]
    share = round(loss_percent * 1000)
    if share:
        some = f"numgen random mod 100000 < {share} " if share < _ALL else ""  # nft compares below
        rules.append(f"{some}drop")
    chain = "\n    ".join(("type filter hook forward priority filter", *rules))
    return f"""\
table ip weather
delete table ip weather
table ip weather {{
  chain forward {{
    {chain}
  }}
}}
"""


def _up(port: str, address: str) -> list[str]:
    return [f"address add {address} dev {port}", f"link set dev {port} up"]
