from itertools import combinations

import numpy as np
import pytest
from drawn_mosaics import hexagons, inside, irregular

from biopsy_ai.patterns.enclosed import Neighborhoods, find_enclosed, hexagonal_expectation
from biopsy_ai.patterns.permutation import measure_permuted


def count(pairs, inner, codes, n_permutations, rng):
    """Enclosed fibers of code 1 in permutations."""

    def measure(columns):
        return np.array(
            [[np.sum(find_enclosed(pairs, column, inner) & (column == 1))] for column in columns.T]
        )

    return measure_permuted(measure, codes, np.zeros(len(codes)), n_permutations, rng)[:, 0]


def test_a_fiber_among_its_own_type_is_enclosed():
    centers, pairs = hexagons(5, 5)
    codes = np.zeros(25, int)
    near = np.hypot(*(centers - centers[12]).T) < 1.1
    codes[near] = 1
    enclosed = find_enclosed(pairs, codes, inside(centers))
    assert np.flatnonzero(enclosed).tolist() == [12]
    # the corners are among their own too, but have sides that are not seen
    assert not find_enclosed(pairs, codes, np.zeros(25, bool)).any()
    codes[near] = -1
    assert not find_enclosed(pairs, codes, inside(centers)).any()


def test_moments_of_every_arrangement_of_a_small_graph():
    pairs = np.array([[0, 1], [0, 2], [1, 2], [2, 3], [3, 4], [1, 4], [4, 5], [5, 6], [0, 6]])
    inner = np.array([True, True, True, False, True, True, True])
    counted = []
    for chosen in combinations(range(7), 4):
        codes = np.isin(np.arange(7), chosen).astype(int)
        counted.append(np.sum(find_enclosed(pairs, codes, inner) & (codes == 1)))
    moments = Neighborhoods.of(pairs, 7, inner).moments(4)
    assert moments.mean == pytest.approx(np.mean(counted))
    assert moments.variance == pytest.approx(np.var(counted))


def test_moments_match_permutations_and_are_over_dispersed():
    """Criteria §4.2: variance over mean 1.2 to 1.7 for shares of 0.4 to 0.7."""
    rng = np.random.default_rng(0)
    centers, pairs = irregular(330, rng)
    n, inner = len(centers), inside(centers)
    neighborhoods = Neighborhoods.of(pairs, n, inner)
    for share in (0.4, 0.55, 0.7):
        codes = (np.arange(n) < share * n).astype(np.int8)
        counts = count(pairs, inner, codes, 2000, rng)
        moments = neighborhoods.moments(int(codes.sum()))
        assert counts.mean() == pytest.approx(moments.mean, abs=0.08 * moments.sd)
        assert counts.var() == pytest.approx(moments.variance, rel=0.15)
        assert 1.2 < moments.variance / moments.mean < 1.7


@pytest.mark.slow
def test_moments_match_20000_permutations():
    rng = np.random.default_rng(3)
    centers, pairs = irregular(120, rng)
    n, inner = len(centers), inside(centers)
    codes = (np.arange(n) < n // 2).astype(np.int8)
    counts = count(pairs, inner, codes, 20000, rng)
    moments = Neighborhoods.of(pairs, n, inner).moments(int(codes.sum()))
    assert counts.mean() == pytest.approx(moments.mean, abs=0.03 * moments.sd)
    assert counts.var() == pytest.approx(moments.variance, rel=0.05)


def test_chance_encloses_fibers_of_a_frequent_type():
    """95th percentiles of random mosaics of 270 inner fibers, criteria §4.2."""
    rng = np.random.default_rng(1)
    centers, pairs = irregular(335, rng)
    inner = inside(centers)
    assert np.count_nonzero(inner) == pytest.approx(270, abs=12)
    for share, expected, slack in (
        (0.3, 1, 1),
        (0.4, 2, 1),
        (0.5, 6, 1),
        (0.6, 14, 2),
        (0.7, 33, 4),
    ):
        codes = (np.arange(len(centers)) < share * len(centers)).astype(np.int8)
        limit = np.percentile(count(pairs, inner, codes, 600, rng), 95)
        assert limit == pytest.approx(expected, abs=slack)


def test_a_large_section_is_quick_enough():
    import time

    _, pairs = hexagons(140, 143)
    start = time.process_time()
    moments = Neighborhoods.of(pairs, 140 * 143, np.ones(140 * 143, bool)).moments(10_000)
    assert time.process_time() - start < 2
    assert moments.mean == pytest.approx(hexagonal_expectation(140 * 143, 0.5), rel=0.1)
    assert 1.2 < moments.variance / moments.mean < 1.7


def test_without_inner_fibers_nothing_is_enclosed():
    _, pairs = hexagons(3, 3)
    assert Neighborhoods.of(pairs, 9, np.zeros(9, bool)).moments(4) == (0, 0)
    assert Neighborhoods.of(pairs[:0], 9, np.zeros(9, bool)).moments(4) == (0, 0)
