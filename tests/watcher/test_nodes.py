"""Which nodes are offered as peers, by what Kilo says of them and by the clock."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.contract.messages import NodeAnnounced, decode, encode
from heliograph.contract.subjects import Kind
from heliograph.kilo.facts import node_facts
from heliograph.kube.objects import Node, NodeSpec, ObjectMeta
from heliograph.ranges import join_ranges
from heliograph.wireguard.notation import parse_endpoint, parse_public_key
from services.watcher.nodes import NodeTable
from tests.support.builders import KEY, NOW_S, OTHER_KEY, kilo, kilo_node, node, subject

USUAL = NodeAnnounced(
    public_key=KEY,
    endpoint="203.0.113.10:51820",
    pod_cidrs=("10.42.0.0/24",),
    private_ip="10.0.0.4",
    tunnel_ip="10.4.0.1/16",
    granularity="location",
)
REGION = "topology.kubernetes.io/region"
GRACE_S = 120
FRESH_S = 60
ZERO_KEY = "A" * 43 + "="


def changed(**fields: Any) -> NodeAnnounced:  # noqa: ANN401 - fields of NodeAnnounced
    return msgspec.structs.replace(USUAL, **fields)


def labelled(region: str, **said: str) -> Node:
    plain = kilo_node(**said)
    meta = msgspec.structs.replace(plain.metadata, labels={REGION: region})
    return msgspec.structs.replace(plain, metadata=meta)


def with_ranges(*cidrs: str, first: str = "") -> Node:
    return msgspec.structs.replace(kilo_node(), spec=NodeSpec(pod_cidr=first, pod_cidrs=cidrs))


FACTS: dict[str, tuple[Node, NodeAnnounced]] = {
    "usual": (kilo_node(), USUAL),
    "forced endpoint": (
        kilo_node(force_endpoint="gw.example.com:51821"),
        changed(endpoint="gw.example.com:51821"),
    ),
    "forced endpoint that is none": (kilo_node(force_endpoint="gw.example.com"), USUAL),
    "only a forced endpoint": (
        kilo_node(endpoint="absent", force_endpoint="[2001:db8::1]:51820"),
        changed(endpoint="[2001:db8::1]:51820"),
    ),
    "forced private IP": (
        kilo_node(force_internal_ip="55.55.55.55/32"),
        changed(private_ip="55.55.55.55"),
    ),
    "forced private IP without mask": (kilo_node(force_internal_ip="10.9.9.9"), USUAL),
    "forced private IP that is none": (kilo_node(force_internal_ip="10.9.9.999/32"), USUAL),
    "no private IP, by force": (kilo_node(force_internal_ip=""), changed(private_ip=None)),
    "no private IP, by a dash": (kilo_node(force_internal_ip="-"), changed(private_ip=None)),
    "no private IP": (kilo_node(internal_ip=""), changed(private_ip=None)),
    "private IPv6": (kilo_node(internal_ip="fd00::5/64"), changed(private_ip="fd00::5")),
    "private IP with a zone": (kilo_node(internal_ip="fe80::5%eth0/64"), changed(private_ip=None)),
    "not a leader": (kilo_node(wireguard_ip=""), changed(tunnel_ip=None)),
    "candidate, whatever the value": (kilo_node(leader="false"), changed(leader=True)),
    "location by annotation": (labelled("eu", location="lab"), changed(location="lab")),
    "location by label": (labelled("eu"), changed(location="eu")),
    "no location, by annotation": (labelled("eu", location=""), changed(location="")),
    "full mesh": (kilo_node(granularity="full"), changed(granularity="full")),
    "another granularity": (kilo_node(granularity="cross"), changed(granularity="")),
    "no granularity": (kilo_node(granularity="absent"), changed(granularity="")),
    "keepalive": (kilo_node(persistent_keepalive="25"), changed(persistent_keepalive=25)),
    "keepalive of 17 bits": (kilo_node(persistent_keepalive="65536"), USUAL),
    "negative keepalive": (kilo_node(persistent_keepalive="-1"), USUAL),
    "keepalive that int() refuses": (kilo_node(persistent_keepalive="²"), USUAL),
    "keepalive without end": (kilo_node(persistent_keepalive="9" * 5000), USUAL),
    "dual stack": (
        with_ranges("10.42.0.0/24", "fd00:42::/64"),
        changed(pod_cidrs=("10.42.0.0/24", "fd00:42::/64")),
    ),
    "one range only": (with_ranges(first="10.42.0.0/24"), USUAL),
    "ranges with host bits": (with_ranges("10.42.0.7/24"), USUAL),
    "a range that is none": (with_ranges("10.42.0.0/24", "10.42.0.0/99"), USUAL),
}
NO_FACTS = {
    "no annotations": node(),
    "others' annotations": node(annotations={"example.com/key": KEY}),
    "no key": kilo_node(key="absent"),
    "a bad key": kilo_node(key="short"),
    "no endpoint": kilo_node(endpoint="absent"),
    "a bad endpoint": kilo_node(endpoint="203.0.113.10"),
    "no heartbeat": kilo_node(last_seen="absent"),
    "a heartbeat of zero": kilo_node(last_seen="0"),
    "a heartbeat that int() refuses": kilo_node(last_seen="²"),
    "no pod range": with_ranges(),
    "a bad pod range": with_ranges("everything"),
}
ENDPOINTS = {
    "IPv4": ("203.0.113.10:51820", True),
    "IPv6": ("[2001:db8::1]:51820", True),
    "a name": ("gw.example.com:51820", True),
    "a short name": ("gw:1", True),
    "the last port": ("gw:65535", True),
    "IPv6 without brackets": ("2001:db8::1:51820", False),
    "IPv6 with a zone": ("[fe80::1%eth0]:51820", False),
    "IPv4 in brackets": ("[203.0.113.10]:51820", False),
    "no port": ("203.0.113.10", False),
    "an empty port": ("203.0.113.10:", False),
    "port zero": ("203.0.113.10:0", False),
    "port too high": ("203.0.113.10:65536", False),
    "port with a sign": ("203.0.113.10:+1", False),
    "port in other digits": ("203.0.113.10:٣", False),
    "no host": (":51820", False),
    "a name that is none": ("gw_1.example.com:51820", False),
    "capitals, which Kilo refuses": ("GW.example.com:51820", False),
    "spaces": (" gw:51820", False),
    "nothing": ("", False),
}
KEYS = {
    "a key": (KEY, True),
    "of zeros": (ZERO_KEY, False),
    "too short": (base64.b64encode(b"\x01" * 31).decode(), False),
    "too long": (base64.b64encode(b"\x01" * 33).decode(), False),
    "other characters": (KEY.replace("Q", "-"), False),
    "a newline, which Go passes over": (KEY + "\n", True),
    "more padding": (KEY + "=", False),
    "other letters": ("é" * 44, False),
    "nothing": ("", False),
}


@pytest.mark.parametrize(("given_node", "message"), FACTS.values(), ids=FACTS)
def test_what_kilo_says(given_node: Node, message: NodeAnnounced) -> None:
    """Annotations become facts by Kilo's own rules."""
    facts = node_facts(given_node)
    assert facts is not None
    assert facts.announced == message
    assert facts.last_seen_s == NOW_S


@pytest.mark.parametrize("given_node", NO_FACTS.values(), ids=NO_FACTS)
def test_what_is_not_enough_for_a_peer(given_node: Node) -> None:
    """Without key, endpoint, pod range or heartbeat there is no peer."""
    assert node_facts(given_node) is None


@pytest.mark.parametrize(("text", "usable"), ENDPOINTS.values(), ids=ENDPOINTS)
def test_endpoints(text: str, usable: bool) -> None:  # noqa: FBT001 - a case
    """Host and port, where the host is an address or a name that Kilo takes."""
    assert parse_endpoint(text) == (text if usable else None)


@pytest.mark.parametrize(("text", "usable"), KEYS.values(), ids=KEYS)
def test_public_keys(text: str, usable: bool) -> None:  # noqa: FBT001 - a case
    """Base64 of 32 bytes that are not all zero."""
    assert parse_public_key(text) == (text.strip() if usable else None)


ANNOTATIONS = st.dictionaries(
    st.sampled_from(
        [
            *("key", "endpoint", "force-endpoint", "last-seen", "internal-ip", "location"),
            *("force-internal-ip", "wireguard-ip", "persistent-keepalive", "granularity"),
        ]
    ).map(lambda name: f"kilo.squat.ai/{name}"),
    st.text() | st.sampled_from([KEY, "gw:1", "²", "10.0.0.1/8", "::1/128", "1", "-"]),
)


@given(ANNOTATIONS)
def test_no_annotation_breaks_the_watcher(annotations: dict[str, str]) -> None:
    """Whatever people write on a node, what is announced keeps the contract."""
    usual = kilo_node().metadata.annotations
    for said in (annotations, dict(usual) | annotations):
        facts = node_facts(node(annotations=said))
        if facts is not None:
            assert decode(subject(Kind.NODE, "n1"), encode(facts.announced)) == facts.announced


@given(st.binary(min_size=32, max_size=32).filter(any))
def test_every_key_is_one_of_the_contract(key: bytes) -> None:
    """A key that is taken from a node is one that importers take."""
    text = base64.b64encode(key).decode()
    message = changed(public_key=parse_public_key(text))
    assert decode(subject(Kind.NODE, "n1"), encode(message)) == message


def table(*nodes: Node, now_s: float = NOW_S, granularity: str = "") -> NodeTable:
    made = NodeTable(grace_s=GRACE_S, granularity=granularity)
    made.list(nodes, now_s=now_s)
    return made


TIMES = {
    # case                          heartbeat      ready until      announced until (after NOW_S)
    "just now":                    (0,             FRESH_S,         FRESH_S + GRACE_S),
    "a while ago":                 (-50,           FRESH_S - 50,    FRESH_S + GRACE_S - 50),
    "just too long ago":           (-FRESH_S,      0,               GRACE_S),
    "in the future":               (3600,          FRESH_S,         FRESH_S + GRACE_S),
    "at the last moment":          (1 - FRESH_S - GRACE_S, 0,       1),
}  # fmt: skip
SILENT = changed(ready=False)


@pytest.mark.parametrize(("seen_s", "ready_s", "until_s"), TIMES.values(), ids=TIMES)
def test_a_heartbeat_keeps_a_node_for_its_time(seen_s: int, ready_s: int, until_s: int) -> None:
    """Ready for Kilo's 60 s, strictly; announced for the grace time beyond them."""
    nodes = table(kilo_node(seen_s=NOW_S + seen_s))
    if ready_s:
        assert nodes.expire(now_s=NOW_S + ready_s - 0.1) == set()
        assert nodes.announced("n1") == USUAL
        assert nodes.expire(now_s=NOW_S + ready_s) == {"n1"}
    assert nodes.announced("n1") == SILENT
    assert nodes.expire(now_s=NOW_S + until_s - 0.1) == set()
    assert nodes.expire(now_s=NOW_S + until_s) == {"n1"}
    assert nodes.announced("n1") is None


def test_a_node_that_is_heard_again_is_ready_again() -> None:
    """Silence is told once, and its end once."""
    nodes = table(kilo_node())
    assert nodes.expire(now_s=NOW_S + FRESH_S) == {"n1"}
    assert nodes.expire(now_s=NOW_S + FRESH_S + 1) == set()
    unchanged = kilo_node(discovered_endpoints="{}")  # some other change of the Node
    assert nodes.put(unchanged, now_s=NOW_S + FRESH_S + 2) == set()
    assert nodes.put(kilo_node(seen_s=NOW_S + 70), now_s=NOW_S + 70) == {"n1"}
    assert nodes.announced("n1") == USUAL


def test_a_clock_ahead_of_ours_revives_nobody() -> None:
    """A heartbeat from the future is heard once, however often the Node changes after that."""
    ahead = kilo_node(seen_s=NOW_S + 3600)
    nodes = table(ahead)
    assert nodes.expire(now_s=NOW_S + FRESH_S) == {"n1"}
    assert nodes.put(ahead, now_s=NOW_S + FRESH_S + 1) == set()
    assert nodes.expire(now_s=NOW_S + FRESH_S + GRACE_S) == {"n1"}
    assert nodes.put(ahead, now_s=NOW_S + 300) == set()
    assert nodes.put(kilo_node(seen_s=NOW_S + 3630), now_s=NOW_S + 330) == {"n1"}


def test_a_node_that_is_long_silent_is_not_announced() -> None:
    """At the start, an old heartbeat is as good as none."""
    assert table(kilo_node(seen_s=NOW_S - FRESH_S - GRACE_S)).names() == ()


def test_a_rollout_of_kilo_is_not_a_node_leaving() -> None:
    """Annotations that vanish and return leave the node announced, with its last good facts."""
    nodes = table(kilo_node())
    nodes.put(node(annotations=kilo(leader="true")), now_s=NOW_S + 30)
    assert nodes.announced("n1") == USUAL

    nodes.put(kilo_node(seen_s=NOW_S + 40, key=OTHER_KEY), now_s=NOW_S + 40)
    assert nodes.announced("n1") == changed(public_key=OTHER_KEY)
    assert nodes.expire(now_s=NOW_S + 39 + FRESH_S) == set()


@pytest.mark.parametrize("silent", [False, True], ids=["ready", "silent"])
def test_a_rollout_of_kilo_concerns_nobody(silent: bool) -> None:  # noqa: FBT001 - a case
    """While the annotations are away, ready nodes stay ready, and silent ones silent."""
    nodes = table(kilo_node(seen_s=NOW_S - FRESH_S * silent))
    before, over_s = nodes.announced("n1"), NOW_S + FRESH_S * (1 - silent) + GRACE_S
    assert nodes.put(node(), now_s=NOW_S + 5) == set()
    assert nodes.expire(now_s=over_s - 1) == set()
    assert nodes.announced("n1") == before == (SILENT if silent else USUAL)
    back = kilo_node(seen_s=over_s - 1)
    assert nodes.put(back, now_s=over_s - 1) == ({"n1"} if silent else set())


def test_a_restart_during_a_rollout_of_kilo_keeps_the_node() -> None:
    """What an earlier incarnation announced of a node that says nothing stands for the grace."""
    nodes = table(node())
    nodes.remember("n1", USUAL, now_s=NOW_S)
    assert nodes.announced("n1") == USUAL
    assert nodes.expire(now_s=NOW_S + GRACE_S) == {"n1"}


SPOKEN_FOR = {
    "a node that speaks": [kilo_node(key=OTHER_KEY)],
    "a node whose agent is dead": [kilo_node(seen_s=NOW_S - 1000)],
    "a node that is gone": [node("n2")],
}


@pytest.mark.parametrize("listed", SPOKEN_FOR.values(), ids=SPOKEN_FOR)
def test_what_is_known_is_newer_than_what_was_announced(listed: list[Node]) -> None:
    """Only silence of a node that is there is bridged."""
    nodes = table(node())
    nodes.list(listed, now_s=NOW_S)
    before = nodes.announced("n1")
    nodes.remember("n1", USUAL, now_s=NOW_S)
    assert nodes.announced("n1") == before


def test_a_node_that_never_comes_back_expires() -> None:
    """Annotations that stay away do not prolong anything."""
    nodes = table(kilo_node())
    nodes.put(node(), now_s=NOW_S + 30)
    assert nodes.expire(now_s=NOW_S + 179) == set()
    assert nodes.expire(now_s=NOW_S + 180) == {"n1"}


def test_a_late_echo_of_an_old_heartbeat_changes_nothing() -> None:
    """Facts that are too old when they come neither announce nor replace."""
    nodes = table(kilo_node())
    nodes.put(kilo_node(seen_s=NOW_S - 1000, key=OTHER_KEY), now_s=NOW_S + 10)
    assert nodes.announced("n1") == USUAL


def test_a_deleted_node_leaves_at_once() -> None:
    """A Node that is gone has no grace: its machine is."""
    nodes = table(kilo_node(), kilo_node("n2", key=OTHER_KEY))
    assert nodes.drop("n1") == {"n1"}
    assert nodes.names() == ("n2",)
    assert nodes.drop("n1") == {"n1"}


def test_a_listing_drops_what_is_not_in_it() -> None:
    """After a gap in the watch, the listing says which nodes are left."""
    nodes = table(kilo_node("n1"), kilo_node("n2"), node("plain", pod_cidrs=("10.43.0.0/24",)))
    assert nodes.list([kilo_node("n2"), kilo_node("n3")], now_s=NOW_S) == {"n1", "n2", "n3"}
    assert set(nodes.names()) == {"n2", "n3"}
    assert nodes.pod_cidrs() == ("10.42.0.0/24",)


def test_pod_ranges_of_all_nodes() -> None:
    """A node that is no peer has pods too; neighbours are joined."""
    nodes = table(
        node("n1", pod_cidrs=("10.42.0.0/24", "fd00::/64")),
        node("n2", pod_cidrs=("10.42.1.0/24",)),
    )
    assert nodes.pod_cidrs() == nodes.pod_cidrs() == ("10.42.0.0/23", "fd00::/64")
    nodes.drop("n2")
    assert nodes.pod_cidrs() == ("10.42.0.0/24", "fd00::/64")


def test_ranges_of_the_tunnels() -> None:
    """The networks that announced nodes state, whatever the addresses, as long as any does."""
    nodes = table(
        kilo_node("n1"),
        kilo_node("n2", wireguard_ip="10.4.0.2/16"),
        kilo_node("n3", wireguard_ip="10.5.0.1/16"),
        kilo_node("n4", wireguard_ip=""),
        kilo_node("n5", wireguard_ip="fd00:4::1/64"),
    )
    assert nodes.tunnel_cidrs() == ("10.4.0.0/15", "fd00:4::/64")
    nodes.put(kilo_node("n3", wireguard_ip="10.4.0.3/16"), now_s=NOW_S)
    nodes.drop("n5")
    nodes.drop("n1")
    assert nodes.tunnel_cidrs() == ("10.4.0.0/16",)
    nodes.expire(now_s=NOW_S + FRESH_S)
    assert nodes.tunnel_cidrs() == ("10.4.0.0/16",)
    nodes.expire(now_s=NOW_S + FRESH_S + GRACE_S)
    assert nodes.tunnel_cidrs() == ()


def test_a_granularity_that_is_set() -> None:
    """It stands for what nodes say, for those too that say nothing at the moment."""
    nodes = table(kilo_node(granularity="absent"), node("n2"), granularity="full")
    assert nodes.announced("n1") == changed(granularity="full")
    nodes.remember("n2", USUAL, now_s=NOW_S)
    assert nodes.announced("n2") == changed(granularity="full")


def test_a_name_resolves_for_all_nodes_that_have_it() -> None:
    """What is announced of them has the address, until they have another endpoint."""
    there = {"endpoint": "gw.example.com:51820"}
    nodes = table(kilo_node("n1", **there), kilo_node("n2", **there), kilo_node("n3"))
    assert nodes.hosts() == ("gw.example.com",)
    named = changed(**there, endpoint_ip="203.0.113.9")
    assert nodes.answer("gw.example.com", ["203.0.113.9"], now_s=NOW_S) == {"n1", "n2"}
    assert nodes.announced("n1") == nodes.announced("n2") == named
    assert nodes.announced("n3") == USUAL
    assert nodes.put(kilo_node("n1", seen_s=NOW_S + 30, **there), now_s=NOW_S + 30) == set()
    assert nodes.put(kilo_node("n1", seen_s=NOW_S + 30), now_s=NOW_S + 30) == {"n1"}
    assert nodes.announced("n1") == USUAL
    nodes.drop("n2")
    assert nodes.hosts() == ()


def test_a_restart_keeps_what_names_resolved_to() -> None:
    """Until they are resolved anew, so that nobody hears of the restart."""
    there = {"endpoint": "gw.example.com:51820"}
    named = changed(**there, endpoint_ip="203.0.113.9")
    nodes = table(kilo_node("n1", **there), node("n2"), kilo_node("n3"))
    for name in ("n1", "n2", "n3"):
        nodes.remember(name, named, now_s=NOW_S)
    assert nodes.announced("n1") == nodes.announced("n2") == named
    assert nodes.announced("n3") == USUAL
    nodes.answer("gw.example.com", ["203.0.113.10"], now_s=NOW_S)
    nodes.remember("n1", named, now_s=NOW_S)
    assert nodes.announced("n1") == changed(**there, endpoint_ip="203.0.113.10")


def test_a_change_concerns_the_node_and_a_heartbeat_concerns_none() -> None:
    """Only what others would hear of is told."""
    nodes = table(kilo_node())
    assert nodes.put(kilo_node(seen_s=NOW_S + 30), now_s=NOW_S + 30) == set()
    assert nodes.put(kilo_node(seen_s=NOW_S + 30, leader=""), now_s=NOW_S + 31) == {"n1"}
    assert nodes.put(kilo_node("n2"), now_s=NOW_S + 31) == {"n2"}
    assert nodes.put(node("plain"), now_s=NOW_S + 31) == set()


def test_heartbeats_change_no_fact() -> None:
    """A node that only lives on says nothing new."""
    nodes = table(kilo_node())
    for later_s in range(30, 3000, 30):
        nodes.put(kilo_node(seen_s=NOW_S + later_s), now_s=NOW_S + later_s)
        assert nodes.expire(now_s=NOW_S + later_s) == set()
        assert nodes.announced("n1") == USUAL


JOINED = {
    "nothing": ((), ()),
    "neighbours": (("10.0.1.0/24", "10.0.0.0/24"), ("10.0.0.0/23",)),
    "one in another": (("10.0.0.0/8", "10.1.0.0/16"), ("10.0.0.0/8",)),
    "IPv4 first": (("fd00::/64", "10.0.0.0/24"), ("10.0.0.0/24", "fd00::/64")),
}


@pytest.mark.parametrize(("cidrs", "joined"), JOINED.values(), ids=JOINED)
def test_joined_ranges(cidrs: tuple[str, ...], joined: tuple[str, ...]) -> None:
    """Fewer ranges, the same addresses."""
    assert join_ranges(cidrs) == joined


def test_a_node_without_metadata_says_nothing() -> None:
    """Absent fields are empty, not errors."""
    assert node_facts(Node(metadata=ObjectMeta(name="n1"))) is None
