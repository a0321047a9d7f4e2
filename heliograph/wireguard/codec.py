"""The netlink messages that are sent one by one: pyroute2 packs them and takes them apart. Pure.

What is sent by the thousand is packed by `wgmsg` and `routes`.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any, Final

import msgspec
from pyroute2.netlink import CTRL_CMD_GETFAMILY, GENL_ID_CTRL, ctrlmsg
from pyroute2.netlink.rtnl import (
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
)
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from heliograph.wireguard.nlmsg import CREATE, EXCLUSIVE, HEADER_BYTES, Message, Request

_UP: Final = 1
_NO_DUPLICATE_DETECTION: Final = 2
"""IFA_F_NODAD: there is no neighbour on a tunnel, so an address is of use at once."""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link as it stands.

    Attributes:
        index: Number of the interface.
        name: Its name.
        kind: Such as "wireguard" or "tun"; empty for a real network card.
        mtu: Bytes of its largest packet.
        up: Whether it is set up.
    """

    index: int
    name: str
    kind: str
    mtu: int
    up: bool


def get_family(name: str) -> Request:
    """Return a request for the number of a generic netlink family."""
    message = ctrlmsg()
    message["cmd"], message["version"] = CTRL_CMD_GETFAMILY, 1
    return _request(GENL_ID_CTRL, 0, message, CTRL_ATTR_FAMILY_NAME=name)


def parse_family(message: Message) -> int:
    """Return the number in the answer."""
    return int(_decoded(ctrlmsg, message).get_attr("CTRL_ATTR_FAMILY_ID"))


def create_link(name: str, kind: str) -> Request:
    """Return a request for a new link, where none has this name."""
    info = {"attrs": [("IFLA_INFO_KIND", kind)]}
    flags = CREATE | EXCLUSIVE
    return _request(RTM_NEWLINK, flags, ifinfmsg(), IFLA_IFNAME=name, IFLA_LINKINFO=info)


def remove_link(name: str) -> Request:
    """Return a request that removes a link."""
    return _request(RTM_DELLINK, 0, ifinfmsg(), IFLA_IFNAME=name)


def get_link(name: str) -> Request:
    """Return a request for a link by its name."""
    return _request(RTM_GETLINK, 0, ifinfmsg(), IFLA_IFNAME=name)


def get_link_by_index(index: int) -> Request:
    """Return a request for a link by its number."""
    return _request(RTM_GETLINK, 0, _link(index))


def set_mtu(index: int, mtu: int) -> Request:
    """Return a request that changes a link's MTU."""
    return _request(RTM_NEWLINK, 0, _link(index), IFLA_MTU=mtu)


def set_up(index: int) -> Request:
    """Return a request that sets a link up."""
    message = _link(index)
    message["flags"], message["change"] = _UP, _UP
    return _request(RTM_NEWLINK, 0, message)


def parse_link(message: Message) -> Link:
    """Return the link in an answer."""
    found = _decoded(ifinfmsg, message)
    info = found.get_attr("IFLA_LINKINFO")
    return Link(
        index=found["index"],
        name=found.get_attr("IFLA_IFNAME"),
        kind=(info.get_attr("IFLA_INFO_KIND") if info else None) or "",
        mtu=found.get_attr("IFLA_MTU"),
        up=bool(found["flags"] & _UP),
    )


def add_address(address: str, index: int) -> Request:
    """Return a request for an address of a link, such as "100.64.7.9/32"."""
    return _address(RTM_NEWADDR, CREATE | EXCLUSIVE, address, index)


def remove_address(address: str, index: int) -> Request:
    """Return a request that takes an address away."""
    return _address(RTM_DELADDR, 0, address, index)


def dump_addresses(index: int) -> Request:
    """Return a request for the addresses of a link, of both families."""
    message = ifaddrmsg()
    message["index"] = index
    return _request(RTM_GETADDR, 0, message)


def parse_address(message: Message) -> tuple[int, str] | None:
    """Return number of the link, and address with its mask; None for what is no address."""
    if message.kind != RTM_NEWADDR:
        return None
    found = _decoded(ifaddrmsg, message)
    address = found.get_attr("IFA_LOCAL") or found.get_attr("IFA_ADDRESS")
    if address is None:
        return None
    return found["index"], str(ipaddress.ip_interface(f"{address}/{found['prefixlen']}"))


def _link(index: int) -> Any:  # noqa: ANN401 - pyroute2 has no types
    message = ifinfmsg()
    message["index"] = index
    return message


def _address(kind: int, flags: int, address: str, index: int) -> Request:
    interface = ipaddress.ip_interface(address)
    version6 = isinstance(interface, ipaddress.IPv6Interface)
    message = ifaddrmsg()
    message["family"] = socket.AF_INET6 if version6 else socket.AF_INET
    message["prefixlen"] = interface.network.prefixlen
    message["flags"] = _NO_DUPLICATE_DETECTION if version6 else 0
    message["index"] = index
    text = str(interface.ip)
    return _request(kind, flags, message, IFA_LOCAL=text, IFA_ADDRESS=text)


def _request(kind: int, flags: int, message: Any, **attrs: object) -> Request:  # noqa: ANN401 - pyroute2 has no types
    message["attrs"] = list(attrs.items())
    message.encode()
    return Request(kind, flags, bytes(message.data)[HEADER_BYTES:])


def _decoded(kind: Any, message: Message) -> Any:  # noqa: ANN401 - pyroute2 has no types
    found = kind(message.raw)
    found.decode()
    return found
