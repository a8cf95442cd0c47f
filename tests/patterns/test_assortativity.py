import numpy as np
import pytest
from drawn_mosaics import clumped, hexagons, irregular, square_fascicles

from biopsy_ai.patterns.assortativity import (
    assortativity,
    assortativity_interval,
    expected_assortativity,
    soft_assortativity,
    without_typing_error,
)
from biopsy_ai.patterns.permutation import measure_permuted

LINE = np.array([[0, 1], [1, 2], [2, 3]])


def test_with_two_types_it_is_the_correlation_over_edges_in_both_directions():
    rng = np.random.default_rng(0)
    _, pairs = irregular(200, rng)
    codes = (rng.random(pairs.max() + 1) < 0.3).astype(int)
    one, other = codes[pairs].T
    expected = np.corrcoef(np.r_[one, other], np.r_[other, one])[0, 1]
    assert assortativity(pairs, codes) == pytest.approx(expected)
    assert soft_assortativity(pairs, codes.astype(float)) == pytest.approx(expected)


def test_known_values():
    assert assortativity(LINE, np.array([0, 1, 0, 1])) == pytest.approx(-1)
    assert assortativity(LINE[[0, 2]], np.array([0, 0, 1, 1])) == pytest.approx(1)
    assert assortativity(LINE[[0, 2]], np.array([0, 0, 2, 2]), 3) == pytest.approx(1)
    assert np.isnan(assortativity(LINE, np.zeros(4, int)))
    assert np.isnan(assortativity(LINE[:0], np.zeros(4, int)))
    assert np.isnan(soft_assortativity(LINE[:0], np.zeros(4)))
    assert np.isnan(soft_assortativity(LINE, np.zeros(4)))


def test_mean_and_spread_of_random_mosaics():
    """E -1 / (n - 1) and standard deviation 1 / √m, criteria §4.3."""
    rng = np.random.default_rng(1)
    centers, pairs = irregular(200, rng)
    n = len(centers)
    codes = (np.arange(n) < 0.45 * n).astype(np.int8)

    def measure(columns):
        return np.array([[assortativity(pairs, column)] for column in columns.T])

    values = measure_permuted(measure, codes, np.zeros(n), 3000, rng)[:, 0]
    assert values.mean() == pytest.approx(expected_assortativity(n), abs=0.003)
    assert values.std() == pytest.approx(1 / np.sqrt(len(pairs)), rel=0.08)
    assert values.std() == pytest.approx(0.041, abs=0.004)


@pytest.mark.parametrize(("error", "left"), [(0.05, 0.80), (0.10, 0.65), (0.20, 0.34)])
def test_typing_errors_hide_grouping_and_are_taken_out(error, left):
    """Criteria §4.7: what is left of the assortativity at a share of wrong types."""
    rng = np.random.default_rng(2)
    centers, pairs = hexagons(60, 60)
    true = clumped(pairs, len(centers), rng)
    value = assortativity(pairs, true.astype(int))
    wrong = [
        assortativity(pairs, (true ^ (rng.random(len(true)) < error)).astype(int))
        for _ in range(12)
    ]
    assert np.mean(wrong) / value == pytest.approx(left, abs=0.04)
    assert without_typing_error(float(np.mean(wrong)), error) == pytest.approx(value, rel=0.08)


def test_correction_has_its_limits():
    assert without_typing_error(0.5, 0.0) == 0.5
    assert without_typing_error(0.5, 0.3) == 1.0
    assert without_typing_error(0.1, 0.4) is None
    assert without_typing_error(0.1, -0.1) is None


def test_sure_posteriors_count_as_types_and_unsure_ones_show_nothing():
    _, pairs = hexagons(20, 20)
    true = clumped(pairs, 400, np.random.default_rng(3))
    hard = assortativity(pairs, true.astype(int))
    assert soft_assortativity(pairs, np.where(true, 1.0, 0.0)) == pytest.approx(hard)
    assert 0 < soft_assortativity(pairs, np.where(true, 0.8, 0.2)) < hard / 2
    assert soft_assortativity(pairs, np.full(400, 0.5)) == pytest.approx(0)


def test_the_interval_says_what_it_rests_on():
    rng = np.random.default_rng(4)
    centers, pairs = hexagons(40, 40)
    fascicles, _ = square_fascicles(centers, 10)
    pairs = pairs[fascicles[pairs[:, 0]] == fascicles[pairs[:, 1]]]
    grouped = clumped(pairs, 1600, rng)
    value = assortativity(pairs, grouped.astype(int))
    by_fascicle = assortativity_interval(pairs, grouped, fascicles)
    assert "fascicles" in by_fascicle.method
    assert by_fascicle.low < value < by_fascicle.high
    whole = assortativity_interval(pairs, grouped)
    assert "4 contacts" in whole.method
    few = assortativity_interval(pairs, grouped, np.minimum(fascicles, 2))
    assert few == whole
    random = assortativity_interval(pairs, rng.random(1600) < 0.5)
    assert random.se >= 1 / np.sqrt(len(pairs))


@pytest.mark.slow
@pytest.mark.parametrize("with_fascicles", [True, False])
def test_intervals_cover_the_truth(with_fascicles):
    """Random and grouped mosaics; the truth is the mean over many."""
    rng = np.random.default_rng(5)
    centers, pairs = hexagons(30, 30)
    fascicles = None
    if with_fascicles:
        fascicles, _ = square_fascicles(centers, 9)
        pairs = pairs[fascicles[pairs[:, 0]] == fascicles[pairs[:, 1]]]
    for rounds in (0, 1):
        found = []
        for _ in range(150):
            types = clumped(pairs, len(centers), rng, rounds)
            low, high, _, _ = assortativity_interval(pairs, types, fascicles)
            found.append((assortativity(pairs, types.astype(int)), low, high))
        value, low, high = np.array(found).T
        assert np.mean((low <= value.mean()) & (value.mean() <= high)) >= 0.9
