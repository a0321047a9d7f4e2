"""Figures of benchmarks: percentiles, and ratios with the same keys."""

from __future__ import annotations

from heliograph.bench.figures import at_rest, compare, latencies, ratio


def test_percentiles_of_a_sample() -> None:
    """Median, 99th percentile and maximum are those of the sample."""
    figures = latencies([n / 1000 for n in range(1, 102)])

    assert (figures.p50, figures.p99, figures.max) == (0.051, 0.1, 0.101)


def test_ratios_are_ours_divided_by_the_floors() -> None:
    """A ratio above 1 means that we are slower than the floor."""
    compared = compare([0.2, 0.2, 0.4], [0.1, 0.1, 0.1])

    assert compared.ratio["p50"] == 2.0
    assert compared.ratio["max"] == 4.0
    assert ratio(3.0, 2.0) == {"wall": 1.5}


def test_memory_rests_when_several_samples_running_are_alike() -> None:
    """Growth of one program keeps the measurement waiting; noise of some pages does not."""
    still = {"watcher": 70 << 20, "reflector": 80 << 20}
    noise = {"watcher": (70 << 20) + 4096, "reflector": 80 << 20}
    grown = {"watcher": 70 << 20, "reflector": 81 << 20}

    assert at_rest([still, still, noise], 3)
    assert not at_rest([still, still, grown], 3)
    assert not at_rest([still, still], 3)
