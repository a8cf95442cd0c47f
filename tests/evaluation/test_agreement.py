from __future__ import annotations

import math

import numpy as np
import pytest

from biopsy_ai.evaluation.agreement import bland_altman, cohen_kappa, icc

# Shrout and Fleiss 1979, table 2: six targets, four judges.
RATINGS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def test_bland_altman_of_known_differences() -> None:
    found = bland_altman([11, 22, 33, 41], [10, 20, 30, 40])
    assert (found.n, found.bias, found.median) == (4, 1.75, 1.5)
    assert found.sd == pytest.approx(math.sqrt(2.75 / 3))
    assert found.upper - found.bias == pytest.approx(1.96 * found.sd)
    assert found.bias - found.lower == pytest.approx(1.96 * found.sd)


def test_bland_altman_in_percent_of_the_reference() -> None:
    found = bland_altman([110, 90], [100, 100], percent=True)
    assert found.bias == pytest.approx(0)
    assert found.sd == pytest.approx(math.sqrt(200))


def test_bland_altman_leaves_out_missing_values_and_takes_few() -> None:
    assert bland_altman([1, np.nan, 3], [0, 1, 2]).n == 2
    one = bland_altman([3], [1])
    assert one.bias == 2
    assert math.isnan(one.sd)
    assert math.isnan(bland_altman([], []).bias)
    with pytest.raises(ValueError, match="paired"):
        bland_altman([1, 2], [1])


def test_icc_of_the_published_example() -> None:
    found = icc(RATINGS)
    assert found.icc == pytest.approx(0.29, abs=0.005)
    assert found.lower == pytest.approx(0.019, abs=0.001)
    assert found.upper == pytest.approx(0.761, abs=0.001)
    assert (found.n_targets, found.n_raters) == (6, 4)


def test_icc_sees_a_constant_difference_between_raters() -> None:
    same = np.array([1.0, 2, 3, 4])
    assert icc(np.stack([same, same], axis=1)).icc == 1
    assert icc(np.stack([same, same + 5], axis=1)).icc < 0.3
    assert math.isnan(icc(np.ones((3, 2))).icc)


@pytest.mark.parametrize("n_raters", [2, 3])
@pytest.mark.parametrize("n_targets", [3, 200])
def test_icc_of_equal_ratings_is_1_whatever_they_are(n_targets: int, n_raters: int) -> None:
    for seed in range(20):
        ratings = np.random.default_rng(seed).normal(50, 10, n_targets)
        found = icc(np.stack([ratings] * n_raters, axis=1))
        assert (found.icc, found.lower, found.upper) == (1, 1, 1)
    almost = icc(np.stack([ratings, ratings + 1e-9], axis=1))
    assert almost.lower == pytest.approx(1)


def test_icc_where_no_mean_differs_has_no_interval() -> None:
    found = icc([[1, 3], [2, 2], [3, 1]])
    assert found.icc == pytest.approx(-3)
    assert math.isnan(found.lower)
    assert math.isnan(found.upper)
    assert math.isnan(icc(np.full((4, 3), 0.1)).icc)


def test_icc_needs_two_targets_and_raters() -> None:
    with pytest.raises(ValueError, match="two raters"):
        icc([[1.0], [2.0]])
    with pytest.raises(ValueError, match="shape"):
        icc([1.0, 2.0])
    with pytest.raises(ValueError, match="two complete targets"):
        icc([[1.0, 2.0], [np.nan, 1.0]])


def test_kappa_of_a_known_table() -> None:
    # 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: observed 0.70, by chance 0.50.
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)


def test_weighted_kappa_forgives_neighbors() -> None:
    first, near, far = [0, 1, 2, 0, 1, 2], [0, 1, 1, 0, 1, 2], [0, 1, 0, 0, 1, 2]
    assert cohen_kappa(first, near) == pytest.approx(cohen_kappa(first, far))
    for weights in ("linear", "quadratic"):
        assert cohen_kappa(first, near, weights=weights) > cohen_kappa(first, far, weights=weights)
    # Two categories: every weighting is the plain kappa.
    a, b = [0, 1, 1, 0, 1], [0, 1, 0, 0, 1]
    assert cohen_kappa(a, b, weights="quadratic") == pytest.approx(cohen_kappa(a, b))


def test_kappa_of_degenerate_or_wrong_input() -> None:
    assert math.isnan(cohen_kappa(["a", "a"], ["a", "a"]))
    assert cohen_kappa([1, 2], [1, 2], categories=[1, 2, 3]) == 1
    with pytest.raises(ValueError, match="not among the categories"):
        cohen_kappa([1, 5], [1, 2], categories=[1, 2])
    with pytest.raises(ValueError, match="paired"):
        cohen_kappa([], [])
