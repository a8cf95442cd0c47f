"""Intervals of blocks, sections and fibers whose scatter is known."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from drawn_runs import Slide, fibers_of

from biopsy_ai.patients.bootstrap import Sampled, estimate, seed_of
from biopsy_ai.patients.measures import add_up, value_of
from biopsy_ai.score import load_evidence

MEAN = partial(value_of, "mean_min_feret_um")


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def of_fibers(block: str, values: np.ndarray) -> Sampled:
    """A section whose fibers are drawn one by one."""
    sums = np.column_stack([np.ones(len(values)), values, values**2])
    return Sampled(block, float(values.mean()), sums)


def test_a_mean_over_blocks_is_none_over_sections() -> None:
    sections = [Sampled("A", 10.0), Sampled("A", 20.0), Sampled("A", 30.0), Sampled("B", 50.0)]
    assert estimate(sections, MEAN, rng()).mean == 35.0


def test_without_sections_there_is_nothing() -> None:
    found = estimate([], MEAN, rng())
    assert (found.mean, found.low, found.high, found.interval) == (None, None, None, "")


def test_two_blocks_span_the_interval() -> None:
    """One of the two is drawn at a time, which gives the variance s² / 2 of their mean."""
    found = estimate([Sampled("A", 0.0), Sampled("B", 10.0)], MEAN, rng())
    assert (found.mean, found.low, found.high) == (5.0, 0.0, 10.0)
    assert found.interval == "2 blocks, few"


def test_many_blocks_give_the_interval_of_their_mean() -> None:
    values = np.linspace(0.0, 100.0, 40)
    found = estimate([Sampled(str(v), v) for v in values], MEAN, rng(), replicates=4000)
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    assert found.interval == "40 blocks"
    assert found.low == pytest.approx(50 - half, abs=0.1 * half)
    assert found.high == pytest.approx(50 + half, abs=0.1 * half)


def test_many_fibers_of_one_section_give_the_interval_of_their_mean() -> None:
    values = rng().normal(50.0, 10.0, 400)
    found = estimate([of_fibers("A", values)], MEAN, rng(), replicates=4000)
    half = 1.96 * values.std() / 20
    assert found.interval == "fibers of one section"
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)


def test_sections_of_one_block() -> None:
    found = estimate([Sampled("A", 1.0), Sampled("A", 2.0), Sampled("A", 3.0)], MEAN, rng())
    assert found.interval == "3 sections of one block"
    assert (found.low, found.high) == (1.0, 3.0)


def test_one_section_with_no_fibers_of_its_own_has_no_interval() -> None:
    found = estimate([Sampled("A", 4.0)], MEAN, rng())
    assert (found.mean, found.low, found.high) == (4.0, None, None)
    assert found.interval == "none: one section"
    one_fiber = of_fibers("A", np.array([3.0]))
    assert estimate([one_fiber], MEAN, rng()).interval == "none: one section"


def test_blocks_that_differ_make_it_wider_than_their_fibers_would() -> None:
    values = {
        name: rng().normal(mean, 5.0, 300) for name, mean in zip("ABC", (40, 50, 60), strict=True)
    }
    clustered = estimate([of_fibers(n, v) for n, v in values.items()], MEAN, rng())
    pooled = estimate([of_fibers("A", np.concatenate(list(values.values())))], MEAN, rng())
    assert clustered.mean == pytest.approx(pooled.mean)
    assert clustered.high - clustered.low > 5 * (pooled.high - pooled.low)


def test_fibers_that_resemble_their_neighbors_do_not_count_as_independent() -> None:
    """A section that is coarse at one side and fine at the other."""
    order = np.arange(1000)
    fibers = fibers_of(Slide("a", 30.0 + 40.0 * (order % 50 < 25)))
    sums = add_up(fibers, load_evidence().interval).sums["mean_min_feret_um"]
    near = estimate([Sampled("A", 50.0, sums)], MEAN, rng())
    alone = estimate([of_fibers("A", fibers["min_feret_um"].to_numpy())], MEAN, rng())
    assert sums[:, 0].sum() == 1000
    assert near.high - near.low > 2 * (alone.high - alone.low)


def test_the_interval_holds_the_truth_far_more_often_than_that_of_independent_fibers() -> None:
    draws = rng()
    held = alone = 0
    for _ in range(100):
        blocks = [draws.normal(50 + draws.normal(0, 4), 12, 200) for _ in range(8)]
        found = estimate(
            [of_fibers(str(k), values) for k, values in enumerate(blocks)],
            MEAN,
            draws,
            replicates=100,
        )
        held += found.low <= 50 <= found.high
        fibers = np.concatenate(blocks)
        alone += abs(fibers.mean() - 50) < 1.96 * fibers.std() / np.sqrt(len(fibers))
    assert held >= 80
    assert alone <= 50


def test_the_spread_of_diameters() -> None:
    values = np.array([40.0, 50.0, 60.0, 50.0])
    sums = np.array([4.0, values.sum(), (values**2).sum()])
    known = 1000 * values.std(ddof=1) / values.mean()
    assert value_of("variability_coefficient", sums, 4) == pytest.approx(known)
    with np.errstate(all="raise"):
        assert np.isnan(value_of("variability_coefficient", np.array([1.0, 40.0, 1600.0]), 1))


def test_seeds_are_of_the_patient_and_the_measure() -> None:
    draws = [seed_of(*name).random() for name in (("A", "x"), ("B", "x"), ("A", "y"))]
    assert len(set(draws)) == 3
    assert seed_of("A", "x").random() == draws[0]
    assert seed_of("A", "x", 1).random() != draws[0]
    seed_of("Pr\udce4parat", "x")
