import numpy as np
import pytest
from drawn_mosaics import clumped, hexagons

from biopsy_ai.measure.reference import Limits
from biopsy_ai.patterns.assortativity import assortativity
from biopsy_ai.patterns.sensitivity import analyze_sensitivity, perturb_mosaic

NONE = {"flip": 0.0, "split": 0.0, "merge": 0.0}


def test_nothing_perturbed_is_the_same():
    _, pairs = hexagons(9, 9)
    types, strata = np.arange(81) % 3 == 0, np.arange(81) % 4
    found = perturb_mosaic(pairs, types, strata, np.random.default_rng(0), **NONE)
    assert np.array_equal(found[0], pairs[np.lexsort(pairs.T[::-1])])
    assert np.array_equal(found[1], types)
    assert np.array_equal(found[2], strata)


def test_every_kind_of_error_changes_what_it_should():
    rng = np.random.default_rng(1)
    _, pairs = hexagons(30, 30)
    types, strata = rng.random(900) < 0.4, np.arange(900) % 4
    flipped = perturb_mosaic(pairs, types, strata, rng, **NONE | {"flip": 0.1})
    assert np.array_equal(flipped[0], np.unique(pairs, axis=0))
    assert np.count_nonzero(flipped[1] != types) == pytest.approx(90, abs=25)
    split = perturb_mosaic(pairs, types, strata, rng, **NONE | {"split": 0.1})
    assert len(split[1]) == len(split[2]) == 990
    # a new fiber adds three contacts (Euler)
    assert len(split[0]) - len(pairs) == pytest.approx(270, abs=40)
    merged = perturb_mosaic(pairs, types, strata, rng, **NONE | {"merge": 0.1})
    assert len(merged[1]) == pytest.approx(810, abs=8)
    assert merged[0].max() < len(merged[1])
    assert (merged[0][:, 0] < merged[0][:, 1]).all()
    assert len(np.unique(merged[0], axis=0)) == len(merged[0])


@pytest.mark.parametrize(("split", "expected"), [(0.02, 0.007), (0.05, 0.017), (0.10, 0.033)])
def test_fibers_in_two_pieces_fake_grouping(split, expected):
    """Criteria §4.7: assortativity of random mosaics in which fibers are split."""
    rng = np.random.default_rng(2)
    _, pairs = hexagons(40, 40)
    strata = np.zeros(1600, int)
    values = []
    for _ in range(60):
        types = rng.random(1600) < 0.5
        changed, marks, _ = perturb_mosaic(pairs, types, strata, rng, **NONE | {"split": split})
        values.append(assortativity(changed, marks.astype(int)))
    assert np.mean(values) == pytest.approx(expected, abs=0.007)


def test_strong_grouping_survives_and_chance_does_not_become_grouping():
    rng = np.random.default_rng(3)
    _, pairs = hexagons(25, 25)
    strata = np.zeros(625, int)
    few = Limits({"sensitivity_perturbations": 30})
    random = analyze_sensitivity(pairs, np.arange(625) % 7 < 3, strata, rng, limits=few)
    assert random["share_below_level"] == 0
    told = []
    grouped = analyze_sensitivity(
        pairs,
        clumped(pairs, 625, rng),
        strata,
        rng,
        limits=few,
        progress=lambda *step: told.append(step),
    )
    assert grouped["n"] == 30
    assert grouped["share_below_level"] == 1
    assert grouped["low_quartile"] < grouped["median"] < grouped["high_quartile"]
    assert grouped["iqr"] == pytest.approx(grouped["high_quartile"] - grouped["low_quartile"])
    assert told[-1] == ("sensitivity of grouping", 30, 30)


def test_a_mosaic_of_one_type_says_nothing():
    _, pairs = hexagons(5, 5)
    limits = Limits({"sensitivity_perturbations": 3, "sensitivity_flip": 1e-9})
    found = analyze_sensitivity(
        pairs, np.ones(25, bool), np.zeros(25, int), np.random.default_rng(0), limits=limits
    )
    assert found["n"] == 0
    assert found["median"] is None
    assert found["share_below_level"] is None
