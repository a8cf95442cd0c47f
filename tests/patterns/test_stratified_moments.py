import numpy as np
import pytest
from drawn_mosaics import irregular

from biopsy_ai.patterns.join_counts import GraphCounts, different_type_moments
from biopsy_ai.patterns.permutation import measure_permuted
from biopsy_ai.patterns.stratified_moments import moments_within_strata


def test_one_stratum_has_the_moments_of_join_counts():
    _, pairs = irregular(200, np.random.default_rng(0))
    n = int(pairs.max()) + 1
    marks = np.arange(n) % 5 < 2
    expected = different_type_moments(
        GraphCounts.of(pairs, n), int(marks.sum()), int((~marks).sum())
    )
    found = moments_within_strata(pairs, marks.astype(float), np.full(n, 7))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("n_strata", [3, 40])
def test_moments_within_strata_match_20000_permutations(n_strata):
    rng = np.random.default_rng(1)
    centers, pairs = irregular(150, rng)
    n = len(centers)
    share = centers[:, 0] / centers[:, 0].max()
    marks = rng.random(n) < 0.2 + 0.6 * share
    strata = (share * (n_strata - 1e-9)).astype(int)
    first, second = pairs.T
    permuted = measure_permuted(
        lambda columns: np.count_nonzero(columns[first] != columns[second], axis=0)[:, None],
        marks.astype(np.int8),
        strata,
        20000,
        rng,
    )[:, 0]
    found = moments_within_strata(pairs, marks.astype(float), strata)
    assert permuted.mean() == pytest.approx(found.mean, abs=0.03 * found.sd)
    assert permuted.var() == pytest.approx(found.variance, rel=0.05)


def test_probabilities_match_permutations():
    rng = np.random.default_rng(2)
    _, pairs = irregular(80, rng)
    n = int(pairs.max()) + 1
    marks, strata = rng.beta(0.4, 0.6, n), np.arange(n) % 4
    first, second = pairs.T
    sums = []
    for _ in range(6000):
        order = np.lexsort([rng.random(n), strata])
        dealt = np.empty(n)
        dealt[np.argsort(strata, kind="stable")] = marks[order]
        sums.append((dealt[first] + dealt[second] - 2 * dealt[first] * dealt[second]).sum())
    found = moments_within_strata(pairs, marks, strata)
    assert np.mean(sums) == pytest.approx(found.mean, abs=0.05 * found.sd)
    assert np.var(sums) == pytest.approx(found.variance, rel=0.08)


def test_pure_strata_leave_nothing_to_chance():
    pairs = np.array([[0, 1], [1, 2], [2, 3]])
    assert moments_within_strata(pairs, np.array([1.0, 1, 0, 0]), np.array([0, 0, 1, 1])) == (1, 0)
