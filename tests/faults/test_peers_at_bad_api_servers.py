"""An importing API server in bad times, towards the peerer: right in the end, and quietly.

The API servers are in memory; west's is behind a proxy that answers in its place and counts what
the peerer asks for. East's nodes change meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from heliograph.kube.watch import ListWatch
from heliograph.lab.access import write_kubeconfig
from services.peerer import peerer
from tests.support.api_proxy import WRITES, ApiProxy
from tests.support.joined import bus_server, eventually
from tests.support.peering import Peered, key_of, peered

pytestmark = pytest.mark.nats

SERVICES = "10.110.0.0/16"
N1, N2, N3 = (f"east.node.n{number}" for number in (1, 2, 3))
DENIALS = {
    "as invalid": (422, "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"),
    "as forbidden": (403, "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"),
    "by a webhook": (403, 'admission webhook "w" denied the request: no'),
}


class Bad:
    """East's nodes are Peers in west, whose peerer reaches its API server by a proxy."""

    def __init__(self, lab: Peered, proxy: ApiProxy) -> None:
        self.lab, self.proxy = lab, proxy

    def change(self) -> None:
        """Let a node change its key, one go, and one come; and somebody edit a Peer."""
        edited = self.lab.peers("west")[N1]
        edited["spec"]["allowedIPs"] = ["10.99.9.0/24"]
        self.lab["west"].api.apply(edited)
        self.lab.annotate("east", "n1", key=key_of("new"))
        self.lab.remove_node("east", "n2")
        self.lab.add_node("east", "n3", 3)

    @property
    def right(self) -> bool:
        """Whether west has what `change` made of it, and nothing else."""
        peers = self.lab.peers("west")
        return (
            sorted(peers) == [N1, N3]
            and peers[N1]["spec"]["publicKey"] == key_of("new")
            and {"10.42.1.0/24", "10.4.0.1/32"} <= set(self.lab.allowed("west", N1))
            and {"10.42.3.0/24", "10.4.0.2/32"} <= set(self.lab.allowed("west", N3))
            and len(self.lab.holders("west", SERVICES)) == 1
        )

    async def settled(self) -> None:
        """Wait until all is right, and nothing is left to do."""
        await eventually(lambda: self.right and self.lab["west"].peerer.idle, within_s=30)

    def asked(self, since_s: float, verbs: Iterable[str]) -> dict[str, int]:
        """Return how often each verb was used on Peers."""
        found = self.proxy.count(since_s=since_s, verbs=frozenset(verbs))
        return {what.split()[0]: n for what, n in found.items() if what.endswith(" peers")}

    def refused(self) -> tuple[str, ...]:
        """Return why something of east is not peered with."""
        return self.lab["west"].peerer.refused("east")  # type: ignore[arg-type]


@asynccontextmanager
async def bad_west(folder: Path) -> AsyncIterator[Bad]:
    """Run both clusters; all of west's programs go by a proxy."""
    async with (
        bus_server(folder / "nats") as server,
        peered(folder, "east", "west", url=server.url, start=False) as lab,
        ApiProxy(lab["west"].api.access).running() as proxy,
    ):
        write_kubeconfig(folder / "west", [proxy.access])
        await lab.start("east", "west")
        try:
            yield Bad(lab, proxy)
        finally:
            await lab.lab.stop_all()


async def test_refusing_all(tmp_path: Path) -> None:
    """500 for everything: nobody asks all the time, and afterwards everything is made good."""
    async with bad_west(tmp_path) as bad:
        bad.proxy.refuse(500)
        bad.proxy.cut_watches()
        since_s = time.monotonic()
        bad.change()
        await asyncio.sleep(2)  # the faulty time itself
        asked = bad.asked(since_s, (*WRITES, "list", "watch", "get"))
        assert max(asked.values(), default=0) <= 20, asked
        bad.proxy.heal()
        await bad.settled()


async def test_saying_when_to_come_back(tmp_path: Path) -> None:
    """429 with Retry-After: each write is tried once, and again when that time is over."""
    async with bad_west(tmp_path) as bad:
        bad.proxy.refuse(429, verbs=WRITES, retry_after_s=3)
        since_s = time.monotonic()
        bad.lab.add_node("east", "n3", 3)
        await eventually(lambda: bad.asked(since_s, WRITES))
        await asyncio.sleep(1.5)  # the faulty time itself
        assert bad.asked(since_s, WRITES) == {"create": 1}
        bad.proxy.heal()
        bad.change()
        await bad.settled()


async def test_slow_answers(tmp_path: Path) -> None:
    """Half a second for each request: slow is not broken, so nothing is asked for twice."""
    async with bad_west(tmp_path) as bad:
        since_s = time.monotonic()
        bad.proxy.delay_s = 0.5
        bad.proxy.cut_watches()  # so that the new ones are slow as well
        bad.change()
        await bad.settled()
        asked = bad.asked(since_s, WRITES)
        assert (asked["create"], asked["delete"]) == (1, 1)
        assert asked["update"] <= 6, asked  # n1: key, drift, its echo, the claim; the tunnel IPs


async def test_no_memory(tmp_path: Path) -> None:
    """410 for every watch: Peers are listed again and again, but not all the time."""
    async with bad_west(tmp_path) as bad:
        bad.proxy.refuse(410, verbs={"watch"})
        bad.proxy.cut_watches()
        since_s = time.monotonic()
        bad.change()
        await asyncio.sleep(2)  # the faulty time itself
        assert bad.asked(since_s, {"list"})["list"] <= 16
        bad.proxy.heal()
        await bad.settled()


async def test_expired_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch that went silent and cannot go on: Peers are listed once, and made good."""
    monkeypatch.setitem(ListWatch.__init__.__kwdefaults__, "inactivity_s", 2.0)
    async with bad_west(tmp_path) as bad:
        since_s = time.monotonic()
        bad.proxy.silence_watches()
        bad.change()
        bad.lab["west"].api.compact_history()
        await bad.settled()
        await eventually(lambda: bad.asked(since_s, {"list"}).get("list") == 1)


async def test_conflicts(tmp_path: Path) -> None:
    """409: what a hand did a moment ago is read, judged, and mended; its labels stay."""
    async with bad_west(tmp_path) as bad:
        bad.proxy.hold_watches()
        peer = bad.lab.peers("west")[N1]
        peer["metadata"]["labels"]["team"] = "shop"
        bad.lab["west"].api.apply(peer)
        bad.lab["west"].api.delete("Peer", "", N2)
        since_s = time.monotonic()

        bad.lab.annotate("east", "n1", key=key_of("new"))
        bad.lab.annotate("east", "n2", key=key_of("newer"))
        await eventually(
            lambda: (
                {p["spec"]["publicKey"] for p in bad.lab.peers("west").values()}
                == {key_of("new"), key_of("newer")}
            )
        )
        assert bad.lab.peers("west")[N1]["metadata"]["labels"]["team"] == "shop"
        assert bad.asked(since_s, WRITES)["update"] <= 5
        bad.proxy.heal()
        await bad.lab.settled("east", "west")
        assert len(bad.lab.holders("west", SERVICES)) == 1


async def test_names_that_were_taken_a_moment_ago(tmp_path: Path) -> None:
    """409 on create: what stands there is another's, and is left alone; ours gets another name."""
    async with bad_west(tmp_path) as bad:
        bad.proxy.hold_watches()
        foreign = bad.lab.apply_peer("west", N3, key_of("somebody"), "10.99.0.7/32")
        bad.lab.add_node("east", "n3", 3)
        await eventually(lambda: len(bad.lab.peers("west")) == 4)
        bad.proxy.heal()
        await bad.lab.settled("west")
        assert bad.lab.peers("west")[N3] == foreign
        (ours,) = set(bad.lab.peers("west")) - {N1, N2, N3}
        assert ours.startswith("east.node.n3.")


@pytest.mark.parametrize(("status", "message"), DENIALS.values(), ids=DENIALS)
async def test_one_peer_that_is_not_taken(
    status: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others go on, handovers and deletions too; it is told, and mended with the policy."""
    monkeypatch.setattr(peerer, "_REJECTED_S", 1.5)
    async with bad_west(tmp_path) as bad:
        since_s = time.monotonic()
        bad.proxy.refuse(status, verbs=WRITES, about=N3, message=message)
        bad.change()
        await eventually(lambda: bad.refused() == ("Rejected",))
        await eventually(lambda: sorted(bad.lab.peers("west")) == [N1])
        await eventually(lambda: bad.lab.holders("west", SERVICES) == [N1])

        tries = bad.asked(since_s, {"create"})["create"]
        await eventually(lambda: bad.asked(since_s, {"create"})["create"] > tries)
        assert bad.refused() == ("Rejected",)

        bad.proxy.heal()
        await bad.settled()
        await eventually(lambda: bad.refused() == ())


async def test_what_is_not_taken_is_not_tried_all_the_time(tmp_path: Path) -> None:
    """It is tried again when its node changes, whatever else changes meanwhile."""
    async with bad_west(tmp_path) as bad:
        bad.proxy.refuse(422, verbs=WRITES, about=N3)
        bad.lab.add_node("east", "n3", 3)
        await eventually(lambda: bad.refused() == ("Rejected",))
        for number in range(4, 9):
            bad.lab.add_node("east", f"n{number}", number)
            await eventually(lambda n=number: f"east.node.n{n}" in bad.lab.peers("west"))  # type: ignore[misc]
        tried = [r for r in bad.proxy.requests if (r.plural, r.status) == ("peers", 422)]
        assert len(tried) == 1

        bad.lab.annotate("east", "n3", key=key_of("new"))
        bad.proxy.heal()
        await eventually(lambda: N3 in bad.lab.peers("west"))
