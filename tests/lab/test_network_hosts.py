"""Hosts and links of the laboratory, without Kubernetes: what passes, and that all of it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heliograph.lab.network import (
    ClusterSpec,
    CommandFailed,
    Laboratory,
    LaboratorySpec,
    NodeSpec,
)
from tests.support.network import ask, echo, require_network, running_laboratory

SPEC = LaboratorySpec(
    kubernetes=False,
    clusters=(
        ClusterSpec(name="west", nodes=(NodeSpec(name="w1"), NodeSpec(name="w2", nat=True))),
        ClusterSpec(name="east", nodes=(NodeSpec(name="e1"), NodeSpec(name="e2")), uplink_mtu=1400),
    ),
)
OWNER = """\
import asyncio, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.lab.test_network_hosts import SPEC
from heliograph.lab.network import Laboratory

laboratory = Laboratory(SPEC, Path(sys.argv[2]))
asyncio.run(laboratory.__aenter__())
laboratory.clusters["west"].node("w1").spawn(("setsid", "sleep", "infinity"))
print(laboratory.router.host.pid, flush=True)
signal.pause()
"""


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """Give one network, every node of which echoes; whoever disturbs it leaves it as it was."""
    require_network()
    with running_laboratory(SPEC, tmp_path_factory.mktemp("laboratory")) as running:
        for cluster in running.clusters.values():
            for node in cluster.nodes:
                asyncio.run(echo(node))
        yield running


def eventually(condition: Callable[[], bool], within_s: float = 20.0) -> bool:
    """Poll until the condition holds; return whether it did in time."""
    deadline_s = time.monotonic() + within_s
    while not (held := condition()) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return held


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of all processes that name a file in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            line = (process / "cmdline").read_text().replace("\0", " ")
            if str(folder) in line or str(folder) in str((process / "cwd").readlink()):
                found.append(line)
    return found


def state_of(pid: int | None) -> str:
    """Return the letter of a process's state (proc_pid_stat(5)): T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def networks() -> set[str]:
    """Return the networks of all processes of the machine."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found.add(str((process / "ns" / "net").readlink()))
    return found


def links() -> str:
    """Return the machine's own links."""
    return subprocess.run(
        ("/bin/sh", "-c", "ip -brief link"), check=True, capture_output=True, text=True
    ).stdout


async def test_nodes_reach_nodes_of_their_own_and_of_other_clusters(laboratory: Laboratory) -> None:
    """Packets pass from node to node, with the sender's own address."""
    west, east = laboratory.clusters["west"], laboratory.clusters["east"]

    assert await ask(west.node("w2"), west.node("w1").address) == [str(west.node("w2").address)] * 3
    assert await ask(west.node("w1"), east.node("e1").address) == [str(west.node("w1").address)] * 3
    assert await ask(east.node("e2"), west.node("w1").address) == [str(east.node("e2").address)] * 3


async def test_a_node_behind_nat_reaches_out_and_is_not_reached(laboratory: Laboratory) -> None:
    """Others see the gateway's address, answer to it, and reach nothing by the node's own."""
    west, east = laboratory.clusters["west"], laboratory.clusters["east"]
    hidden, other = west.node("w2"), east.node("e2")

    assert await ask(hidden, other.address) == [str(west.plan.uplink)] * 3
    assert await ask(other, hidden.address) == []
    assert await ask(west.node("w1"), hidden.address) == [str(west.node("w1").address)] * 3


async def test_a_router_that_loses_packets_loses_them(laboratory: Laboratory) -> None:
    """Of 200 packets and their answers, each lost one time in three, some come; of all, none."""
    west, east = laboratory.clusters["west"], laboratory.clusters["east"]
    await laboratory.router.lose(33.3)
    try:
        lossy = await ask(west.node("w1"), east.node("e1").address, 200, within_s=0.05)
        within = await ask(west.node("w2"), west.node("w1").address, 50)
        await laboratory.router.lose(100)
        nothing = await ask(west.node("w1"), east.node("e1").address)
    finally:
        await laboratory.router.lose(0)
    whole = await ask(west.node("w1"), east.node("e1").address, 50)

    assert 30 < len(lossy) < 150  # 89 on average; so far off once in 10^15 runs
    assert len(within) == len(whole) == 50
    assert nothing == []


async def test_a_node_can_be_blocked_at_the_router_alone(laboratory: Laboratory) -> None:
    """A blocked node is out of other clusters' reach, and in its own cluster's, until unblocked."""
    west, east = laboratory.clusters["west"], laboratory.clusters["east"]
    one, other = east.node("e1"), east.node("e2")
    await laboratory.router.block(one)
    try:
        from_outside = await ask(west.node("w1"), one.address)
        from_inside = await ask(other, one.address)
    finally:
        await laboratory.router.unblock(one)

    assert (from_outside, len(from_inside)) == ([], 3)
    assert len(await ask(west.node("w1"), one.address)) == 3


async def test_a_node_can_be_cut_off(laboratory: Laboratory) -> None:
    """Nothing passes to a node that was cut off and from it, its own cluster included."""
    west, east = laboratory.clusters["west"], laboratory.clusters["east"]
    one = east.node("e1")
    await one.cut()
    try:
        answers = await ask(east.node("e2"), one.address), await ask(west.node("w1"), one.address)
    finally:
        await one.mend()

    assert answers == ([], [])
    assert len(await ask(east.node("e2"), one.address)) == 3


async def test_a_capture_has_what_passed(laboratory: Laboratory) -> None:
    """A capture on a link holds what was sent over it, and nothing that was not."""
    west, east = laboratory.clusters["west"], laboratory.clusters["east"]
    crossed = await laboratory.router.capture("west")
    await ask(west.node("w1"), east.node("e1").address)
    stayed = await laboratory.router.capture("west")
    await ask(east.node("e2"), east.node("e1").address)

    assert b"in plain text" in crossed.stop()
    assert b"in plain text" not in stayed.stop()


async def test_a_narrow_link_says_so(laboratory: Laboratory) -> None:
    """A packet larger than the way's MTU is refused, and its sender then knows the way's MTU."""
    west, east = laboratory.clusters["west"], laboratory.clusters["east"]
    one, far = west.node("w1"), east.node("e1")
    await ask(one, far.address, 3, size=1400)
    route = (await one.run(("ip", "route", "get", str(far.address)))).text()

    assert "mtu 1400" in route


async def test_a_command_that_fails_says_where(laboratory: Laboratory) -> None:
    """The error names the host, the command, its exit code and what it wrote."""
    node = laboratory.clusters["west"].node("w1")
    outcome = await node.run(("sh", "-c", "echo wrong >&2; exit 3"))

    with pytest.raises(CommandFailed, match=r"west/w1, .* ended with exit code 3: wrong"):
        outcome.text()


async def test_programs_inside_are_paused_stopped_and_killed(laboratory: Laboratory) -> None:
    """Signals are for the program itself, and its end is seen from outside."""
    node = laboratory.clusters["west"].node("w1")
    script = "trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 0.01; done"
    program = node.spawn(("sh", "-c", script), name="trapped")
    await program.wait_ready_async(lambda: "ready" in program.log_tail)
    pid = program.pid
    program.pause()
    state = state_of(pid)
    program.stop()

    assert state == "T"
    assert not program.running
    assert "asked" in program.log_tail
    program.start()
    await program.wait_ready_async(lambda: program.log_tail.count("ready") == 1)
    program.pause()
    program.kill()
    assert not program.running
    assert "asked" not in program.log_tail


def test_hosts_see_nothing_of_the_machine(laboratory: Laboratory) -> None:
    """A host has its own links, processes, name and /run, and no resolver of the machine's."""
    one, other = laboratory.clusters["west"].nodes
    script = "hostname; ls /sys/class/net; cat /etc/resolv.conf; touch /run/mine"
    seen = asyncio.run(one.run(("sh", "-c", script))).text()
    processes = asyncio.run(one.run(("sh", "-c", "echo /proc/[0-9]*"))).text()
    elsewhere = asyncio.run(other.run(("ls", "/run"))).text()

    assert seen.split() == ["w1", "eth0", "lo"]
    assert f"/proc/{os.getpid()}" not in processes.split()
    assert "mine" not in elsewhere.split()
    assert not Path("/run/mine").exists()


async def test_two_laboratories_stand_side_by_side(laboratory: Laboratory, tmp_path: Path) -> None:
    """A second one has the same addresses, and the first one's hosts stay out of its reach."""
    async with Laboratory(SPEC, tmp_path) as second:
        ours, theirs = (each.clusters["east"].node("e2") for each in (laboratory, second))

        assert theirs.address == ours.address
        assert await ask(second.clusters["west"].node("w1"), theirs.address) == []
        assert await ask(laboratory.clusters["west"].node("w1"), ours.address) != []


async def test_a_node_that_dies_takes_its_programs_along(tmp_path: Path) -> None:
    """After a node's power failure its programs are gone, daemons too, and nobody answers."""
    require_network()
    async with Laboratory(SPEC, tmp_path) as dying:
        east = dying.clusters["east"]
        node = east.node("e1")
        program = await echo(node)
        node.spawn(("setsid", "--fork", "sleep", "infinity"))
        await program.until(
            lambda: any("sleep" in line for line in processes_of(node.folder)), within_s=10
        )
        node.kill()

        assert not program.running
        assert not node.alive
        assert eventually(lambda: processes_of(node.folder) == [])
        assert await ask(east.node("e2"), node.address) == []


@pytest.mark.parametrize("victim", ["holder", "owner"])
def test_nothing_remains(tmp_path: Path, victim: str) -> None:
    """After SIGKILL for the holder, or for the process that owns it, no trace of it is left."""
    require_network()
    before, known = links(), networks()
    root = Path(__file__).parents[2]
    owner = subprocess.Popen(
        (sys.executable, "-c", OWNER, str(root), str(tmp_path)), stdout=subprocess.PIPE, cwd=root
    )
    with owner:
        assert owner.stdout is not None
        holder = int(owner.stdout.readline())
        made = networks() - known
        during = links()
        os.kill(holder if victim == "holder" else owner.pid, signal.SIGKILL)
        try:
            assert eventually(lambda: not networks() & made)
            assert eventually(lambda: [p for p in processes_of(tmp_path) if OWNER not in p] == [])
        finally:
            owner.kill()

    assert len(made) == 9
    assert before == during == links()
    assert processes_of(tmp_path) == []
