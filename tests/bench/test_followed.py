"""The benchmark of `heliograph events` measures what it says, for a second."""

from __future__ import annotations

import pytest

from heliograph.bench.followed import followed
from heliograph.errors import InputError
from heliograph.progress import Step


@pytest.mark.nats
async def test_every_change_is_told() -> None:
    """As many as were published, by a real follower, whose memory and work are measured."""
    told: list[Step] = []
    figures = await followed(200, 1.0, told.append)

    assert figures.messages == 200
    assert min(figures.per_second, figures.bytes_before, figures.bytes_after) > 0
    assert told[-1].complete


@pytest.mark.parametrize(("rate", "seconds"), [(0, 1.0), (100, 0.0), (1, 0.5)])
async def test_what_cannot_be_measured_is_refused(rate: int, seconds: float) -> None:
    """One sentence, before anything is started."""
    with pytest.raises(InputError, match="cannot be"):
        await followed(rate, seconds, lambda _: None)
