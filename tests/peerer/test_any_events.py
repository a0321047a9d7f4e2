"""Whatever happens, in whatever order: the same Peers in the end, and nothing broken on the way."""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable, Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from heliograph.contract.messages import ClusterAnnounced, NodeAnnounced
from heliograph.contract.names import ClusterId
from heliograph.kilo.peer import Peer, PeerSpec
from heliograph.kilo.validation import why_invalid
from heliograph.marks import SOURCE_CLUSTER_LABEL, is_ours
from services.peerer.desired import DesiredPeers, desire_peers
from services.peerer.judging import Neighbour
from services.peerer.obstacles import pass_foreign
from services.peerer.operations import Operation
from services.peerer.own import exporting_of, segment_of
from tests.support.kilo_model import KiloModel, Order, in_order
from tests.support.peer_world import PeerWorld
from tests.support.peers import EAST, HERE, NUMBERS, SOUTH, WEST, but, foreign, key, node
from tests.support.ranges import overlap

CLUSTERS = st.sampled_from([EAST, SOUTH, WEST])
NAMES = st.sampled_from(["a", "b", "c", "d"])
NUMBER = st.integers(1, 4)
GRANULARITIES = {EAST: "full", SOUTH: "location", WEST: "full"}
KEYS = st.builds(key, NUMBER, st.sampled_from([HERE, EAST, SOUTH, WEST]))
OF_OTHERS = st.sampled_from(
    [
        *("10.1.1.0/24", "10.1.0.0/16", "10.2.2.7/32", "172.16.1.1/32", "10.101.0.0/16"),
        *("10.102.7.0/24", "10.99.0.1/32", "10.201.0.1/32", "0.0.0.0/0", "nonsense"),
    ]
)


@st.composite
def announced_nodes(draw: st.DrawFn) -> tuple[ClusterId, NodeAnnounced]:
    """Return a node of a cluster: mostly as it should be, sometimes with what is another's."""
    cluster, number = draw(CLUSTERS), draw(NUMBER)
    at = NUMBERS[cluster]
    odd: dict[str, st.SearchStrategy[object]] = {
        "public_key": KEYS,
        "private_ip": st.sampled_from([None, "172.16.0.1", "172.16.1.1", "10.100.0.1", "1.2.3.4"]),
        "pod_cidrs": st.sampled_from([(f"10.{at}.{pods}",) for pods in ("1.0/24", "0.0/22")]),
        "endpoint": st.sampled_from(["172.16.1.1:51820", "gw.example.com:51820", None]),
        "tunnel_ip": st.sampled_from([None, "10.100.0.1/16"]),
        "leader": st.booleans(),
    }  # fmt: skip
    chosen = draw(st.lists(st.sampled_from(sorted(odd)), max_size=2, unique=True))
    usual = {
        "ready": draw(st.booleans()),
        "location": draw(st.sampled_from(["", "lab", "Büro 2"])),
        "granularity": GRANULARITIES[cluster],
    }
    return cluster, node(number, cluster, **usual, **{field: draw(odd[field]) for field in chosen})


class Peering(RuleBasedStateMachine):
    """Three exporting clusters, one importing one, and people who make and edit Peers."""

    by_hand = Bundle("by_hand")

    @initialize()
    def begin(self) -> None:
        """Start with two nodes in each cluster, peered with."""
        self.world = PeerWorld(EAST, SOUTH, WEST)
        self.kilo = self.world.kilo
        self.doubled: list[str] = []
        self.kilo.watched = self.look
        for cluster, granularity in GRANULARITIES.items():
            for number, name in enumerate("ab", start=1):
                usual = {"granularity": granularity, "location": name}
                self.world.announce(cluster, name, node(number, cluster, **usual))
        self.world.settle()
        self.away: set[ClusterId] = set()

    def look(self) -> None:
        """No write of ours gives a second Peer a key; people may have done so before."""
        found = self.kilo.doubled_keys()
        assert set(found) <= set(self.doubled)
        self.doubled = found

    @rule(made=announced_nodes(), name=NAMES)
    def announce(self, made: tuple[ClusterId, NodeAnnounced], name: str) -> None:
        """A node joins, or is another one now."""
        cluster, announced = made
        if cluster not in self.away:
            self.world.announce(cluster, name, announced)

    @rule(cluster=CLUSTERS, name=NAMES, ready=st.booleans(), rekeyed=st.none() | KEYS)
    def change(self, cluster: ClusterId, name: str, rekeyed: str | None, *, ready: bool) -> None:
        """A node falls silent or is back, perhaps with a new key."""
        standing = self.world.picture.tables[cluster].nodes.get(name)
        if standing is not None:
            changed = but(standing, ready=ready, public_key=rekeyed or standing.public_key)
            self.world.announce(cluster, name, changed)

    @rule(cluster=CLUSTERS, one=NAMES, other=NAMES)
    def exchange(self, cluster: ClusterId, one: str, other: str) -> None:
        """Two nodes exchange their names, or what they announce: whichever way one sees it."""
        known = dict(self.world.picture.tables[cluster].nodes)
        for name, became in ((one, known.get(other)), (other, known.get(one))):
            if became is not None and cluster not in self.away:
                self.world.announce(cluster, name, became)

    @rule(before=CLUSTERS, after=CLUSTERS, name=NAMES, number=NUMBER, leaves=st.booleans())
    def move(
        self, before: ClusterId, after: ClusterId, name: str, number: int, *, leaves: bool
    ) -> None:
        """A machine joins another cluster with its key, and leaves the first one, or not yet."""
        moving = self.world.picture.tables[before].nodes.get(name)
        if moving is not None and not {before, after} & self.away:
            there = node(number, after, granularity=GRANULARITIES[after])
            if leaves:
                self.world.withdraw(before, name)
            self.world.announce(after, name, but(there, public_key=moving.public_key))

    @rule(cluster=CLUSTERS, name=NAMES)
    def withdraw(self, cluster: ClusterId, name: str) -> None:
        """A node leaves."""
        if cluster not in self.away:
            self.world.withdraw(cluster, name)

    @rule(cluster=CLUSTERS)
    def leave_or_come_back(self, cluster: ClusterId) -> None:
        """A cluster leaves the ClusterSet, or is back."""
        if cluster in self.away:
            self.world.come_back(cluster)
        else:
            self.world.leave(cluster)
        self.away ^= {cluster}

    @rule(
        target=by_hand,
        name=st.sampled_from(["east.node.a", "laptop", "zz"]),
        held=KEYS | st.just(key(99)),
        allowed=st.lists(OF_OTHERS, max_size=2),
    )
    def make_by_hand(self, name: str, held: str, allowed: list[str]) -> str:
        """Somebody makes a Peer."""
        if name not in self.kilo.peers:
            self.kilo.edit(foreign(name, held, *allowed))
        return name

    @rule(name=by_hand)
    def remove_by_hand(self, name: str) -> None:
        """Somebody deletes it again; or ours, which has the same name."""
        self.kilo.peers.pop(name, None)

    @rule(data=st.data(), held=KEYS, allowed=st.lists(OF_OTHERS, max_size=2))
    def edit_ours(self, data: st.DataObject, held: str, allowed: list[str]) -> None:
        """Somebody edits a Peer of ours, relabels it, or deletes it."""
        ours = sorted(name for name, peer in self.kilo.peers.items() if is_ours(peer))
        if not ours:
            return
        peer = self.kilo.peers[data.draw(st.sampled_from(ours))]
        labels = {**peer.metadata.labels, SOURCE_CLUSTER_LABEL: data.draw(CLUSTERS)}
        edits = {
            "range": but(peer, spec=but(peer.spec, allowed_ips=tuple(allowed))),
            "key": but(peer, spec=but(peer.spec, public_key=held)),
            "label": but(peer, metadata=but(peer.metadata, labels=labels)),
            "segment": but(peer, metadata=but(peer.metadata, annotations={})),
        }
        edit = data.draw(st.sampled_from([*edits, "delete"]))
        if edit == "delete":
            del self.kilo.peers[peer.metadata.name]
        else:
            self.kilo.edit(edits[edit])

    @rule(cluster=CLUSTERS, data=st.data())
    def work_a_little(self, cluster: ClusterId, data: st.DataObject) -> None:
        """One phase of one cluster's plan is carried out, in any order; then something happens."""
        self.doubled = self.kilo.doubled_keys()
        self.world.step(cluster, shuffled(data))

    @rule()
    def restart(self) -> None:
        """The peerer starts anew."""
        self.world.restart()

    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """All is carried out: now everything must be right."""
        self.doubled = self.kilo.doubled_keys()
        self.settle_watching(shuffled(data))
        self.check()

    def teardown(self) -> None:
        """What began to happen comes to an end."""
        if hasattr(self, "world"):
            self.doubled = self.kilo.doubled_keys()
            self.settle_watching(in_order)
            self.check()

    def settle_watching(self, order: Order) -> None:
        """Settle; what has a holder before and after has one all the time.

        Not of a cluster that waits for a key: its Peer with the old key is of no use, and goes.
        """
        waiting = {c for c in self.world.exporting if self.world.plan(c).awaited}
        theirs, before = self.foreign(), self.holders(but_of=waiting)
        gaps: set[str] = set()

        def look() -> None:
            self.look()
            gaps.update(before.keys() - self.holders().keys())

        self.kilo.watched = look
        self.world.settle(order)
        self.kilo.watched = self.look
        assert self.foreign() == theirs
        assert not gaps & self.holders().keys()

    def holders(self, but_of: Container[ClusterId] = ()) -> dict[str, str]:
        """Return the Peers of ours that have Services' ranges of their own cluster, by range."""
        said = self.announced().items()
        mine = {c.service_cidrs[0]: at for at, c in said if at not in but_of}
        held = self.kilo.holders()
        found = {cidr: held[cidr] for cidr in mine if cidr in held}
        ours = {peer.metadata.name: exporting_of(peer) for peer in self.ours()}
        return {cidr: name for cidr, name in found.items() if ours.get(name) == mine[cidr]}

    def announced(self) -> dict[ClusterId, ClusterAnnounced]:
        """Return what each exporting cluster says of itself."""
        exporters = self.world.exporters
        return {cluster: exporters[cluster].announced for cluster in (EAST, SOUTH, WEST)}

    @invariant()
    def only_known_nodes_are_refused(self) -> None:
        """A refusal names a node that is announced, or a Peer that stands."""
        for cluster in self.world.exporting if hasattr(self, "world") else ():
            for refusal in self.world.plan(cluster).refusals:
                table = self.world.picture.tables[refusal.exporting]
                assert refusal.exporting == cluster
                assert {
                    "node": refusal.name in table.nodes,
                    "peer": refusal.name in self.kilo.peers,
                    "cluster": refusal.name == cluster,
                }[refusal.kind], refusal

    # What must be right in the end.

    def check(self) -> None:
        """Look at everything."""
        desired = {cluster: self.desired(cluster) for cluster in (EAST, SOUTH, WEST)}
        for cluster in self.world.exporting:
            assert self.world.plan(cluster).operations == ()
        left_alone = self.standing(desired.values())  # as people edited them
        for peer in self.ours():
            assert peer.metadata.name in left_alone or why_invalid(peer.spec) is None
        self.check_overlaps(desired.values())
        for one in desired.values():
            self.check_claims(one)
        self.check_same_end(desired.values())

    def check_overlaps(self, desired: Iterable[DesiredPeers]) -> None:
        """No two Peers share an address, but for those that people made for nodes of ours."""
        exempt = set(self.standing(desired))
        held = {peer.spec.public_key for one in desired for peer in one.peers or ()}
        mine = [peer for peer in self.ours() if peer.metadata.name not in exempt]
        theirs = [peer for peer in self.foreign().values() if peer.spec.public_key not in held]
        for peer, other in itertools.combinations([*mine, *theirs], 2):
            if is_ours(peer) or is_ours(other):
                ranges = (p.spec.allowed_ips for p in (peer, other))
                one, two = ([c for c in cidrs if c != "nonsense"] for cidrs in ranges)
                assert not overlap(one, two), (peer, other)

    def check_claims(self, desired: DesiredPeers) -> None:
        """Every claim is on exactly one Peer, on a healthy one whenever there is any."""
        passable = pass_foreign(desired, self.foreign().values(), HERE)
        mine = {segment_of(p): p for p in self.ours() if exporting_of(p) == desired.exporting}
        waiting = {s for s in passable.peers if s not in mine}
        able = {s: p for s, p in passable.peers.items() if s not in waiting}
        standing = [peer for segment, peer in mine.items() if segment not in able]
        for cidr in passable.shared:
            holders = [s for s, peer in mine.items() if cidr in peer.spec.allowed_ips]
            kept = any(cidr in peer.spec.allowed_ips for peer in standing)
            assert len(holders) == (1 if able or kept else 0)
            if holders and not kept:
                healthy = [s for s, peer in able.items() if peer.healthy]
                assert holders[0] in (healthy or able)

    def check_same_end(self, desired: Iterable[DesiredPeers]) -> None:
        """Whoever starts with nothing but what others made comes to the same Peers."""
        fresh = KiloModel(*self.foreign().values())
        world = PeerWorld(EAST, SOUTH, WEST, kilo=fresh)
        world.exporters, world.record = self.world.exporters, self.world.record
        world.restart()
        world.settle()
        exempt = self.standing(desired)
        shared = {cidr for one in desired for cidr in one.shared}
        assert dict(ends(self.kilo, shared, exempt)) == dict(ends(fresh, shared, ()))

    def desired(self, cluster: ClusterId) -> DesiredPeers:
        """Return what should be of a cluster."""
        picture = self.world.picture
        declaration = picture.declaration(cluster)
        if declaration is None or cluster in self.away:
            return DesiredPeers(exporting=cluster, peers=())
        neighbour = Neighbour(declaration=declaration, nodes=picture.tables[cluster].nodes)
        return desire_peers(neighbour, picture.here())

    def ours(self) -> list[Peer]:
        """Return the Peers of ours."""
        return [peer for peer in self.kilo.peers.values() if is_ours(peer)]

    def foreign(self) -> dict[str, Peer]:
        """Return the Peers of others."""
        return {name: peer for name, peer in self.kilo.peers.items() if not is_ours(peer)}

    def standing(self, desired: Iterable[DesiredPeers]) -> list[str]:
        """Return the Peers of ours that are left alone, as somebody else's has their node's key."""
        theirs = {peer.spec.public_key for peer in self.foreign().values()}
        doubled = {
            (one.exporting, peer.segment)
            for one in desired
            for peer in one.peers or ()
            if peer.spec.public_key in theirs
        }
        found = ((p.metadata.name, (exporting_of(p), segment_of(p))) for p in self.ours())
        return [name for name, where in found if where in doubled]


def shuffled(data: st.DataObject) -> Order:
    """Return an order that is drawn anew for each phase."""

    def order(operations: tuple[Operation, ...]) -> list[Operation]:
        return list(data.draw(st.permutations(operations)))

    return order


def ends(
    kilo: KiloModel, shared: Iterable[str], exempt: Iterable[str]
) -> Iterator[tuple[tuple[str, str], PeerSpec]]:
    """Yield our Peers by cluster and segment, without their claims: these depend on the past."""
    for name, peer in kilo.peers.items():
        if is_ours(peer) and name not in exempt:
            left = tuple(cidr for cidr in peer.spec.allowed_ips if cidr not in shared)
            yield (exporting_of(peer), segment_of(peer)), but(peer.spec, allowed_ips=left)


Peering.TestCase.settings = settings(max_examples=50, stateful_step_count=25)
TestAnyEvents = pytest.mark.timeout(600)(Peering.TestCase)
