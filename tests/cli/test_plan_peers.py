"""`heliograph plan peers`: which Peers would be set, by API servers alone; and as kgctl prints."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from heliograph.cli.app import run
from heliograph.lab.access import write_kubeconfig
from heliograph.lab.kilo import peer_crd
from heliograph.lab.memory import JsonObject, MemoryCluster
from tests.cli.support import cluster_in_a_thread
from tests.support.builders import kilo
from tests.support.peering import PEERS, namespace

K1, K2, K3 = ("AQEB" * 10 + "AQE=", "AgIC" * 10 + "AgI=", "AwMD" * 10 + "AwM=")
SERVICES = "10.110.0.0/16"
E1 = f"""\
apiVersion: kilo.squat.ai/v1alpha1
kind: Peer
metadata:
  name: a-cp
spec:
  allowedIPs:
  - 10.42.0.0/24
  - 10.0.0.4/32
  - 10.4.0.1/32
  - 10.43.0.0/16
  endpoint:
    dnsOrIP:
      ip: 203.0.113.10
    port: 51820
  publicKey: {K1}
"""


class Ground:
    """Clusters east and west, and commands on them."""

    def __init__(self, clusters: dict[str, MemoryCluster], folder: Path) -> None:
        self.clusters, self.kubeconfig = clusters, folder / "kubeconfig"
        write_kubeconfig(self.kubeconfig, [c.access for c in clusters.values()])

    def node(self, name: str, cidr: str, number: int, *, in_: str = "east", **said: str) -> None:
        """Apply a node as Kilo's agent leaves it."""
        annotations = {
            "endpoint": f"203.0.113.{number}:51820",
            "internal_ip": f"10.0.0.{number}/24",
            "wireguard_ip": "10.4.0.1/16",
            "granularity": "full",
            "last_seen": str(int(time.time())),
        } | said
        metadata = {"name": name, "annotations": kilo(**annotations)}
        spec = {"podCIDR": cidr, "podCIDRs": [cidr]}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}
        self.clusters[in_].apply(node)

    def of(self, name: str) -> str:
        """Return how a cluster is named on the command line."""
        return f"{name}={self.kubeconfig}@{name}"

    def plan(self, *more: str) -> int:
        """Plan east's Peers in west; return the exit code."""
        where = ["--from", self.of("east"), "--to", self.of("west")]
        return run(["plan", "peers", *where, *more])

    def as_kgctl(self, *more: str) -> int:
        """Print east's nodes as kgctl does; return the exit code."""
        return run(["plan", "peers", "--from", self.of("east"), "--as-kgctl", *more])


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """Two clusters that know Peers."""
    with ExitStack() as stack:
        clusters = {}
        for number, name in enumerate(("east", "west")):
            cidr = f"10.{110 + number}.0.0/16"
            api = stack.enter_context(cluster_in_a_thread(name, service_cidr=cidr))
            api.apply(peer_crd())
            api.apply(namespace("heliograph"))
            clusters[name] = api
        yield Ground(clusters, tmp_path)


@pytest.fixture
def one(ground: Ground) -> Ground:
    """East has the node of kgctl's first worked example (E1)."""
    ground.node("a-cp", "10.42.0.0/24", 10, internal_ip="10.0.0.4/24", key=K1)
    return ground


def test_yaml_is_kgctls_byte_for_byte(one: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    """The first worked example, as kgctl 0.7.0 printed it."""
    assert one.as_kgctl("--node", "a-cp", "--allowed-ips", "10.43.0.0/16", "-o", "yaml") == 0
    assert capsys.readouterr().out == E1


def test_json_is_kgctls_byte_for_byte(one: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    """Two spaces, `kind` before `apiVersion`, no newline at the end."""
    assert one.as_kgctl("--node", "a-cp", "-o", "json") == 0
    text = capsys.readouterr().out
    assert text.startswith('{\n  "kind": "Peer",\n  "apiVersion": "kilo.squat.ai/v1alpha1",\n')
    assert text.endswith("}\n}")
    assert json.loads(text)["spec"]["publicKey"] == K1


def test_the_wireguard_form_is_the_default(one: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    """As with kgctl, whose keepalive line is always there."""
    assert one.as_kgctl("--node", "a-cp") == 0
    assert capsys.readouterr().out == (
        "[Peer]\nAllowedIPs = 10.42.0.0/24, 10.0.0.4/32, 10.4.0.1/32\n"
        f"Endpoint = 203.0.113.10:51820\nPersistentKeepalive = 0\nPublicKey = {K1}\n"
    )


def test_a_silent_node_has_no_peer_for_kgctl(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    """E3: exit code 1, and those behind it move up; a heartbeat 55 s old is fresh."""
    now_s = int(time.time())
    ground.node("n1", "10.42.1.0/24", 11, key=K1, last_seen=str(now_s - 61))
    ground.node("n2", "10.42.2.0/24", 12, key=K2, last_seen=str(now_s - 50))
    assert ground.as_kgctl("--node", "n1") == 1
    assert "n1" in capsys.readouterr().err
    assert ground.as_kgctl("--node", "n2") == 0
    assert "10.42.2.0/24, 10.0.0.12/32, 10.4.0.1/32" in capsys.readouterr().out


def test_a_node_that_does_not_lead(ground: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    """E4: nothing on standard output, a sentence on the other, exit code 0."""
    for number, key in ((1, K1), (2, K2)):
        said = {"granularity": "location", "location": "lab"}
        ground.node(f"n{number}", f"10.42.{number}.0/24", number, key=key, **said)
    assert ground.as_kgctl("--node", "n2") == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "n2" in told.err


def test_the_plan_is_a_diff(one: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each Peer and the counts; nothing is written, and the exit code may tell."""
    writes = one.clusters["west"].writes
    assert one.plan() == 0
    assert capsys.readouterr().out == "+ create   Peer east.node.a-cp\n1 to create\n"
    assert one.plan("--exit-code") == 1
    assert one.clusters["west"].writes == writes


def test_what_changes_is_a_list_for_programs(
    one: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of mirrors: an object for each change, with the Peer as it would be."""
    assert one.plan("--json") == 0
    (change,) = json.loads(capsys.readouterr().out)
    assert (change["action"], change["kind"], change["name"]) == (
        *("create", "Peer"),
        "east.node.a-cp",
    )
    assert change["object"]["spec"]["publicKey"] == K1


def test_whole_peers_are_what_would_be_applied(
    one: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    """With our names and marks, the service range on one of them, and a range more if asked."""
    one.node("b", "10.42.1.0/24", 11, key=K2)
    assert one.plan("-o", "yaml", "--allowed-ips", "10.99.0.0/16") == 0
    peers = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [peer["metadata"]["name"] for peer in peers] == ["east.node.a-cp", "east.node.b"]
    for cidr in (SERVICES, "10.99.0.0/16"):
        assert sum(cidr in peer["spec"]["allowedIPs"] for peer in peers) == 1
    assert peers[0]["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "heliograph"

    assert one.plan("-o", "json", "--node", "b") == 0
    assert json.loads(capsys.readouterr().out)["metadata"]["name"] == "east.node.b"


def test_a_refused_cluster_is_framed(one: Ground, capsys: pytest.CaptureFixture[str]) -> None:
    """Ranges are compared first: no Peer is planned, and nobody overlooks why."""
    one.node("w", "10.44.0.0/24", 20, in_="west", key=K3)  # its tunnel range is east's
    assert one.plan("--exit-code") == 1
    told = capsys.readouterr()
    assert "+ create" not in told.out
    assert "RangeOverlap" in told.err
    assert "10.4.0.0/16" in told.err


BAD = {
    "no importing cluster": (["--from", "EAST"], "--to is missing"),
    "a node that is none": (["--from", "EAST", "--to", "WEST", "--node", "x"], "'x' is no peer"),
    "a range without mask": (["--from", "EAST", "--allowed-ips", "10.0.0.0"], "'10.0.0.0' is no"),
    "two forms": (["--from", "EAST", "--to", "WEST", "--json", "-o", "yaml"], "give one"),
    "one cluster twice": (["--from", "EAST", "--to", "EAST"], "is in --from and in --to"),
}


@pytest.mark.parametrize(("given", "said"), BAD.values(), ids=BAD)
def test_bad_input(
    one: Ground, capsys: pytest.CaptureFixture[str], given: list[str], said: str
) -> None:
    """One sentence, exit code 2."""
    names = {"EAST": one.of("east"), "WEST": one.of("west")}
    assert run(["plan", "peers", *(names.get(word, word) for word in given)]) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert len(told.err.splitlines()) == 1


def by_hand(ground: Ground) -> JsonObject:
    """Make the Peer of a-cp in west as Kilo's page says."""
    spec = {"publicKey": K1, "allowedIPs": ["10.42.0.0/24"]}
    peer = {"apiVersion": PEERS, "kind": "Peer", "metadata": {"name": "a-cp"}, "spec": spec}
    return ground.clusters["west"].apply(peer)


def test_a_peer_made_by_hand_is_told_and_adopted(
    one: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    """`plan` names it, `adopt peers` marks it in place, and then `plan` brings it to order."""
    before = by_hand(one)
    assert one.plan() == 0
    assert "! refuse   Peer a-cp in cluster west" in capsys.readouterr().out

    where = ["--from", one.of("east"), "--to", one.of("west")]
    assert run(["adopt", "peers", *where]) == 0
    assert "Peer a-cp in cluster west is managed by Heliograph now" in capsys.readouterr().out
    after = one.clusters["west"].get("Peer", "", "a-cp")
    assert after is not None
    assert (after["spec"], after["metadata"]["uid"]) == (
        before["spec"],
        before["metadata"]["uid"],
    )
    assert run(["adopt", "peers", *where]) == 0
    assert "no Peer of cluster west that others manage" in capsys.readouterr().out
    assert one.plan() == 0
    assert "~ change   Peer a-cp" in capsys.readouterr().out


ADOPT_BAD = {
    "peers of nobody": (["peers"], "'adopt peers' needs to know whose nodes"),
    "a Service with clusters": (["a/b", "--to", "west=x"], "belong to 'adopt peers'"),
}


@pytest.mark.parametrize(("given", "said"), ADOPT_BAD.values(), ids=ADOPT_BAD)
def test_adopt_is_told_what_belongs_together(
    capsys: pytest.CaptureFixture[str], given: list[str], said: str
) -> None:
    """One sentence, exit code 2."""
    assert run(["adopt", *given]) == 2
    assert said in capsys.readouterr().err
