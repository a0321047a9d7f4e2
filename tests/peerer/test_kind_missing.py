"""Without Kilo there is no kind Peer: a sentence says so, and Peers follow when it comes."""

from __future__ import annotations

import pytest

from heliograph.lab.kilo import peer_crd
from tests.peerer.conftest import Peer
from tests.support.joined import eventually

pytestmark = pytest.mark.nats


async def test_peers_follow_when_kilo_is_installed(
    peer: Peer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program is ready meanwhile, and writes nothing; it is told once what is missing."""
    async with peer("east", "west", crd=False) as lab:
        assert lab["west"].peerer.absent
        assert lab["west"].peerer.ready
        assert capsys.readouterr().out.count("knows no kind Peer") == 2  # in each cluster

        lab["west"].api.apply(peer_crd())
        await eventually(lambda: len(lab["west"].api.list("Peer")) == 2, within_s=30)
        assert not lab["west"].peerer.absent
