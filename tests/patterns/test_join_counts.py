import numpy as np
import pytest
from drawn_mosaics import irregular

from biopsy_ai.patterns.join_counts import (
    GraphCounts,
    count_joins,
    different_type_moments,
    exact_entry,
    free_different_type_moments,
    free_same_type_moments,
    same_type_moments,
    total_different_moments,
)
from biopsy_ai.patterns.permutation import measure_permuted

PATH = np.array([[0, 1], [1, 2], [2, 3]])


def test_joins_are_counted_by_pair_of_types():
    codes = np.array([0, 0, 1, 2])
    assert count_joins(PATH, codes, 3).tolist() == [[1, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert count_joins(PATH, np.array([0, -1, 1, 1]), 2).tolist() == [[0, 0], [0, 1]]
    assert count_joins(PATH[:0], codes, 3).sum() == 0


def test_a_graph_is_counted():
    graph = GraphCounts.of(PATH, 5)
    assert graph == GraphCounts(n_nodes=5, n_edges=3, n_touching=2)
    assert graph.n_apart == 2


def test_moments_of_every_arrangement_of_a_small_graph():
    """All 6!/(2! 2! 2!) arrangements of three types, counted."""
    from itertools import permutations

    pairs = np.array([[0, 1], [0, 2], [1, 2], [2, 3], [3, 4], [1, 4], [4, 5]])
    arrangements = {*permutations([0, 0, 1, 1, 2, 2])}
    joins = np.array([count_joins(pairs, np.array(codes), 3) for codes in arrangements])
    total = np.triu(joins, 1).sum(axis=(1, 2))
    graph = GraphCounts.of(pairs, 6)
    for moments, counted in (
        (same_type_moments(graph, 2), joins[:, 1, 1]),
        (different_type_moments(graph, 2, 2), joins[:, 0, 2]),
        (total_different_moments(graph, [2, 2, 2]), total),
    ):
        assert moments.mean == pytest.approx(counted.mean())
        assert moments.variance == pytest.approx(counted.var())


def test_both_forms_of_the_formulas_agree():
    """With weights, as Cliff & Ord 1981 have them (criteria §4.3)."""
    rng = np.random.default_rng(0)
    _, pairs = irregular(200, rng)
    n = int(pairs.max()) + 1
    n1 = 77
    n2 = n - n1
    degree = np.bincount(pairs.ravel(), minlength=n)
    s0, s1, s2 = 2.0 * len(pairs), 4.0 * len(pairs), 4.0 * (degree**2).sum()

    def falling(x, k):
        return np.prod([float(x - i) for i in range(k)])

    same = s0 * falling(n1, 2) / (2 * falling(n, 2))
    same_variance = (
        s1 * falling(n1, 2) / falling(n, 2)
        + (s2 - 2 * s1) * falling(n1, 3) / falling(n, 3)
        + (s0**2 + s1 - s2) * falling(n1, 4) / falling(n, 4)
    ) / 4 - same**2
    different = s0 * n1 * n2 / falling(n, 2)
    different_variance = (
        2 * s1 * n1 * n2 / falling(n, 2)
        + (s2 - 2 * s1) * n1 * n2 * (n - 2) / falling(n, 3)
        + 4 * (s0**2 + s1 - s2) * falling(n1, 2) * falling(n2, 2) / falling(n, 4)
    ) / 4 - different**2
    graph = GraphCounts.of(pairs, n)
    assert same_type_moments(graph, n1) == pytest.approx((same, same_variance))
    assert different_type_moments(graph, n1, n2) == pytest.approx((different, different_variance))
    assert total_different_moments(graph, [n1, n2]) == pytest.approx(
        (different, different_variance)
    )
    free = 0.25 * (s1 * 0.3**2 + (s2 - 2 * s1) * 0.3**3 + (s1 - s2) * 0.3**4)
    assert free_same_type_moments(graph, 0.3) == pytest.approx((0.5 * s0 * 0.3**2, free))
    assert free_different_type_moments(graph, 0.3, 0.7).mean == pytest.approx(len(pairs) * 0.42)


def test_moments_match_20000_permutations():
    rng = np.random.default_rng(1)
    _, pairs = irregular(150, rng)
    n = int(pairs.max()) + 1
    codes = np.repeat([0, 1, 2], [n // 2, n // 3, n - n // 2 - n // 3])
    first, second = pairs.T

    def measure(columns):
        a, b = columns[first], columns[second]
        return np.column_stack(
            [((a == 0) & (b == 0)).sum(0), ((a + b) == 1).sum(0), (a != b).sum(0)]
        )

    permuted = measure_permuted(measure, codes, np.zeros(n), 20000, rng)
    graph, numbers = GraphCounts.of(pairs, n), np.bincount(codes).tolist()
    for k, moments in enumerate(
        (
            same_type_moments(graph, numbers[0]),
            different_type_moments(graph, numbers[0], numbers[1]),
            total_different_moments(graph, numbers),
        )
    ):
        assert permuted[:, k].mean() == pytest.approx(moments.mean, abs=0.03 * moments.sd)
        assert permuted[:, k].var() == pytest.approx(moments.variance, rel=0.04)


def test_joins_equal_those_of_esda():
    """A development test: esda and libpysal are no dependencies."""
    esda = pytest.importorskip("esda")
    graphs = pytest.importorskip("libpysal.graph")
    rng = np.random.default_rng(2)
    _, pairs = irregular(200, rng)
    n = int(pairs.max()) + 1
    types = (rng.random(n) < 0.4).astype(int)
    focal = np.concatenate([pairs[:, 0], pairs[:, 1]])
    neighbor = np.concatenate([pairs[:, 1], pairs[:, 0]])
    theirs = esda.Join_Counts(
        types, graphs.Graph.from_arrays(focal, neighbor, np.ones(len(focal))), permutations=0
    )
    ours = count_joins(pairs, types, 2)
    assert (theirs.ww, theirs.bw, theirs.bb) == (ours[0, 0], ours[0, 1], ours[1, 1])


def test_too_few_nodes_for_a_pair_have_no_joins():
    graph = GraphCounts.of(PATH, 4)
    assert same_type_moments(graph, 1) == (0, 0)
    assert exact_entry(0, same_type_moments(graph, 1)) == {"expected": 0, "sd": 0, "z": None}
    with pytest.raises(ValueError, match="3 nodes have a type"):
        total_different_moments(graph, [1, 2])
