"""The messages of the bus, version 1: each the whole state of one thing, or its withdrawal. Pure.

A public contract: new fields have defaults, nothing is retyped or removed, unknown fields are
skipped. A breaking change is a new version beside this one. The stored examples under
`tests/contract/examples` must decode for ever.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from heliograph.contract.digest import Digest
from heliograph.contract.subjects import Kind, Subject
from heliograph.errors import TerminalError

Protocol = Literal["TCP", "UDP", "SCTP"]
IPFamily = Literal["IPv4", "IPv6"]
EndpointsMode = Literal["cluster-ip", "pods"]
PortNumber = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=65535)]
PublicKey = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9+/]{43}=$(?!\n)")]
Timestamp = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z$(?!\n)"
    ),
]
"""RFC 3339 in UTC, as Kubernetes writes it; such texts sort as the times do (to the second)."""


class ServicePort(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One port of a Service.

    Attributes:
        name: Empty if the Service has this port only.
        protocol: TCP, UDP or SCTP.
        port: Number at the Service's cluster IP.
        app_protocol: Hint such as "http" or "kubernetes.io/h2c"; None if not set.
    """

    name: str = ""
    protocol: Protocol = "TCP"
    port: PortNumber
    app_protocol: str | None = None


class BackendAddress(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One backend of an EndpointSlice, without what means nothing elsewhere (node, zone, pod).

    Attributes:
        addresses: IP addresses of the slice's family, in Kubernetes' order.
        ready: Whether it takes new connections.
        serving: Whether it answers, terminating or not.
        terminating: Whether it is on its way out.
        hostname: The pod's own name under a headless Service; None if it has none.
    """

    addresses: tuple[str, ...]
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    hostname: str | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages; `type` in the JSON tells which one it is."""


class ClusterAnnounced(Message, frozen=True, kw_only=True, tag="cluster.announced.v1"):
    """A cluster and its ranges; repeated on a short period, so it is the cluster's lease too.

    Attributes:
        uid: UID of the cluster's kube-system namespace: tells apart two clusters with one id.
        service_cidrs: Canonical ranges of cluster IPs.
        pod_cidrs: Canonical ranges of pods.
        tunnel_cidrs: Canonical ranges of the addresses that its nodes have inside the tunnels.
        peering: How its nodes peer.
        version: Version of the watcher.
        lease_s: The lease is out when no such message came for this many seconds.
        digests: By kind: what the stream held when this was published, with no publication in
            flight. None while the watcher does not know (starting, or the bus just came back).
    """

    uid: str = ""
    service_cidrs: tuple[str, ...] = ()
    pod_cidrs: tuple[str, ...] = ()
    tunnel_cidrs: tuple[str, ...] = ()
    peering: Literal["none", "kilo", "wireguard"] = "none"
    version: str = ""
    lease_s: float = 10.0
    digests: dict[str, Digest] | None = None


class ClusterWithdrawn(Message, frozen=True, kw_only=True, tag="cluster.withdrawn.v1"):
    """The cluster has left the ClusterSet: nothing that it ever published holds any more.

    Unlike other withdrawals it stays in the stream, so whoever was away for long hears it too.
    """


class NodeAnnounced(Message, frozen=True, kw_only=True, tag="node.announced.v1"):
    """A node that offers itself as WireGuard peer; published on every change of its facts.

    Attributes:
        public_key: WireGuard public key, base64 of 32 bytes; identifies the peer.
        endpoint: "host:port" reachable from the other clusters; None for a roaming peer.
        endpoint_ip: What the host of `endpoint` resolves to in its own cluster, where it is a DNS
            name; None if it is none, or does not resolve.
        pod_cidrs: Canonical ranges of the pods on this node, in Kubernetes' order.
        private_ip: Address inside its location, without mask; None if it has none.
        tunnel_ip: Address in the tunnel network with that network's mask; None if unknown.
        location: Kilo's location group; empty if none.
        leader: Whether it is marked to lead its location.
        granularity: Kilo's "location" or "full"; empty where Kilo says neither.
        persistent_keepalive: Seconds between keepalives; 0 turns them off.
        peering: Whose facts these are.
        ready: Whether its agent was heard lately; one that was not is announced for a while, and
            its facts are the last that were known.
        next_public_key: The key that it changes to once the other clusters' nodes have prepared
            for it; None while it stays with `public_key`.
    """

    public_key: PublicKey
    endpoint: str | None = None
    endpoint_ip: str | None = None
    pod_cidrs: tuple[str, ...] = ()
    private_ip: str | None = None
    tunnel_ip: str | None = None
    location: str = ""
    leader: bool = False
    granularity: Literal["", "location", "full"] = ""
    persistent_keepalive: Seconds = 0
    peering: Literal["kilo", "wireguard"] = "kilo"
    ready: bool = True
    next_public_key: PublicKey | None = None


class NodeWithdrawn(Message, frozen=True, kw_only=True, tag="node.withdrawn.v1"):
    """The node stopped offering itself as peer."""


class ServiceExported(Message, frozen=True, kw_only=True, gc=False, tag="service.exported.v1"):
    """A Service that other clusters may mirror.

    Attributes:
        headless: Whether it has no cluster IP by intention (`clusterIP: None`).
        ports: In the Service's order.
        cluster_ips: In the order of `ip_families`; empty when headless.
        ip_families: First the primary one.
        session_affinity_s: Time-out of client-IP affinity in seconds; None without affinity.
        endpoints: What the mirrors point at: the cluster IPs, or the pods.
        ready: Whether any backend answers.
        exported_at: When this export was created; among equal names the oldest one wins.
        importers: Clusters that may mirror it; None for all.
    """

    headless: bool = False
    ports: tuple[ServicePort, ...] = ()
    cluster_ips: tuple[str, ...] = ()
    ip_families: tuple[IPFamily, ...] = ()
    session_affinity_s: int | None = None
    endpoints: EndpointsMode = "cluster-ip"
    ready: bool
    exported_at: Timestamp
    importers: tuple[str, ...] | None = None


class ServiceWithdrawn(Message, frozen=True, kw_only=True, tag="service.withdrawn.v1"):
    """The Service is no longer exported."""


class EndpointsExported(Message, frozen=True, kw_only=True, gc=False, tag="endpoints.exported.v1"):
    """One EndpointSlice of an exported Service whose mirrors use pod addresses.

    Attributes:
        service: Name of the Service, in the same namespace.
        address_type: Family of all addresses.
        addresses: The backends.
        ports: Ports of the backends; a name ties each to a port of the Service.
        service_ports: The Service's ports, so that an importer can tell equal names apart.
    """

    service: str
    address_type: IPFamily
    addresses: tuple[BackendAddress, ...] = ()
    ports: tuple[ServicePort, ...] = ()
    service_ports: tuple[ServicePort, ...] = ()


class EndpointsWithdrawn(Message, frozen=True, kw_only=True, tag="endpoints.withdrawn.v1"):
    """The EndpointSlice is gone, or no longer shared."""


class Link(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one node sees of the tunnels to the nodes of one exporting cluster.

    Attributes:
        exporting: The cluster.
        answering: How many of its nodes answer.
        silent: Nodes of it that do not answer any more, or never did; by name, in order.
        prepared: Next keys of its nodes for which this node is prepared; in order.
    """

    exporting: str
    answering: int = 0
    silent: tuple[str, ...] = ()
    prepared: tuple[PublicKey, ...] = ()


class LinkStated(Message, frozen=True, kw_only=True, tag="link.stated.v1"):
    """What one node's agent sees of its tunnels; published when it changes, not as time goes by.

    Its subject has the name of the node.

    Attributes:
        links: One for each exporting cluster with nodes that are peers, in the order of their ids.
    """

    links: tuple[Link, ...] = ()


class LinkWithdrawn(Message, frozen=True, kw_only=True, tag="link.withdrawn.v1"):
    """The node has no tunnels any more."""


class RefusalStated(Message, frozen=True, kw_only=True, tag="refusal.stated.v1"):
    """What the publishing cluster does not take from another one, and why.

    Attributes:
        exporting: The cluster concerned.
        kind: Kind of the thing refused.
        namespace: Its namespace; empty if it has none.
        name: Its name.
        reason: One CamelCase word for programs, such as "ForeignObject".
        message: One sentence for people: what, where, whose, what was done, what to do.
    """

    exporting: str
    kind: str
    namespace: str = ""
    name: str
    reason: str
    message: str


class RefusalWithdrawn(Message, frozen=True, kw_only=True, tag="refusal.withdrawn.v1"):
    """The reason is gone."""


AnyMessage = (
    ClusterAnnounced
    | ClusterWithdrawn
    | NodeAnnounced
    | NodeWithdrawn
    | ServiceExported
    | ServiceWithdrawn
    | EndpointsExported
    | EndpointsWithdrawn
    | LinkStated
    | LinkWithdrawn
    | RefusalStated
    | RefusalWithdrawn
)

WITHDRAWALS: Final[dict[Kind, Message]] = {
    Kind.CLUSTER: ClusterWithdrawn(),
    Kind.NODE: NodeWithdrawn(),
    Kind.SERVICE: ServiceWithdrawn(),
    Kind.ENDPOINTS: EndpointsWithdrawn(),
    Kind.LINK: LinkWithdrawn(),
    Kind.REFUSAL: RefusalWithdrawn(),
}
"""The withdrawal of each kind that can be withdrawn."""

_BY_KIND: Final[dict[Kind, tuple[type[Message], ...]]] = {
    Kind.CLUSTER: (ClusterAnnounced, ClusterWithdrawn),
    Kind.NODE: (NodeAnnounced, NodeWithdrawn),
    Kind.SERVICE: (ServiceExported, ServiceWithdrawn),
    Kind.ENDPOINTS: (EndpointsExported, EndpointsWithdrawn),
    Kind.LINK: (LinkStated, LinkWithdrawn),
    Kind.REFUSAL: (RefusalStated, RefusalWithdrawn),
}
_DECODER: Final[msgspec.json.Decoder[AnyMessage]] = msgspec.json.Decoder(AnyMessage)
_ENCODER: Final = msgspec.json.Encoder()
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises: bytes that are no UTF-8, and nesting without end, come from outside too."""


class _Typed(msgspec.Struct, frozen=True):
    """A message, of which only the type is read."""

    type: str


_TYPE: Final = msgspec.json.Decoder(_Typed)
_WITHDRAWN_TYPES: Final = frozenset(
    str(message.__struct_config__.tag) for message in WITHDRAWALS.values()
)


class MalformedMessage(TerminalError):
    """Bytes that are no message of this contract, or not of the kind that their subject names."""

    def __init__(self, subject: Subject, why: str) -> None:
        super().__init__(f"message on {subject} cannot be read: {why}")
        self.subject = subject


def encode(message: Message) -> bytes:
    """Return the JSON of a message; equal messages give equal bytes."""
    return _ENCODER.encode(message)


def decode(subject: Subject, payload: bytes) -> AnyMessage:
    """Return the message that `payload` holds.

    Raises:
        MalformedMessage: It is none, it breaks a rule, or it is of another kind than its subject.
    """
    try:
        message = _DECODER.decode(payload)
    except _UNREADABLE as error:
        raise MalformedMessage(subject, str(error)) from error
    if not isinstance(message, _BY_KIND.get(subject.kind, ())):
        kind = type(message).__name__
        raise MalformedMessage(subject, f"{kind} does not belong under {subject.kind}")
    return message


def is_withdrawal(message: Message) -> bool:
    """Tell whether the message takes something back."""
    return message in WITHDRAWALS.values()


def is_withdrawn(payload: bytes) -> bool:
    """Tell whether a payload withdraws something; quick, since nothing else of it is read."""
    try:
        return _TYPE.decode(payload).type in _WITHDRAWN_TYPES
    except _UNREADABLE:
        return False


def vanishes(message: Message) -> bool:
    """Tell whether the stream forgets the message after some days.

    What is taken back need not be said for ever; that a whole cluster left must be. A cluster that
    announces itself does so again and again.
    """
    if isinstance(message, ClusterWithdrawn):
        return False
    return is_withdrawal(message) or isinstance(message, ClusterAnnounced)


def message_type(message: Message) -> str:
    """Return the `type` of the message, such as "service.exported.v1"."""
    tag = message.__struct_config__.tag
    return str(tag)
