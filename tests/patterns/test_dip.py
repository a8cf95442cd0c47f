from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from biopsy_ai.patterns.dip import NULL_SIZE, dip_statistic, simulate_dips


def least_distance(values: np.ndarray) -> float:
    """The dip by its definition: the closest distribution for every place of the mode."""
    x, number = np.unique(values, return_counts=True)
    above = np.cumsum(number) / number.sum()
    below = above - number / number.sum()
    return min(_least_distance_with_mode(x, above, below, m) for m in range(len(x)))


def _least_distance_with_mode(
    x: np.ndarray, above: np.ndarray, below: np.ndarray, mode: int
) -> float:
    # heights at each value (at the mode just left of it), then just right of the mode, then t
    k = len(x)
    rows, limits = [], []

    def at_most(terms: list[tuple[int, float]], limit: float) -> None:
        row = np.zeros(k + 2)
        for index, factor in terms:
            row[index] += factor
        rows.append(row)
        limits.append(limit)

    def right_of(i: int) -> int:
        return k if i == mode else i

    def bend(i: int, before: int, sign: float) -> None:
        left, right = 1 / (x[i] - x[i - 1]), 1 / (x[i + 1] - x[i])
        at_most([(i, sign * (left + right)), (before, -sign * left), (i + 1, -sign * right)], 0)

    for i in range(k):
        for height, sign, of in (
            (right_of(i), -1, -above[i]),
            (right_of(i), 1, above[i]),
            (i, 1, below[i]),
            (i, -1, -below[i]),
        ):
            at_most([(height, sign), (k + 1, -1)], of)
    at_most([(mode, 1), (k, -1)], 0)
    for i in range(k - 1):
        at_most([(right_of(i), 1), (i + 1, -1)], 0)
    for i in range(1, mode):
        bend(i, i - 1, 1)
    for i in range(mode + 1, k - 1):
        bend(i, right_of(i - 1), -1)
    aim = np.zeros(k + 2)
    aim[-1] = 1
    solved = linprog(aim, A_ub=np.array(rows), b_ub=limits, bounds=[(0, 1)] * (k + 2))
    return float(solved.fun)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 50])
def test_evenly_spaced_values_have_the_least_dip(n: int) -> None:
    assert dip_statistic(np.arange(n, dtype=float)) == pytest.approx(1 / (2 * n))


def test_two_places_have_the_greatest_dip() -> None:
    assert dip_statistic(np.array([0.0, 0, 0, 1, 1, 1])) == pytest.approx(0.25)
    assert dip_statistic(np.array([2.0, 2, 2])) == 0
    with pytest.raises(ValueError, match="value"):
        dip_statistic(np.array([]))


def test_it_is_the_distance_to_the_closest_distribution_with_one_mode() -> None:
    rng = np.random.default_rng(0)
    for draw in range(36):
        n = int(rng.integers(4, 12))
        values = (
            rng.random(n),
            rng.integers(0, 6, n).astype(float),
            np.where(rng.random(n) < 0.5, rng.normal(0, 0.2, n), rng.normal(2, 0.2, n)),
        )[draw % 3]
        if len(np.unique(values)) > 1:
            assert dip_statistic(values) == pytest.approx(least_distance(values), abs=1e-8)


def test_order_place_and_scale_do_not_matter() -> None:
    values = np.random.default_rng(1).normal(size=200)
    dip = dip_statistic(values)
    assert dip_statistic(values[::-1] * 7 + 3) == pytest.approx(dip)
    assert dip_statistic(-values) == pytest.approx(dip)


def test_simulated_dips_of_large_samples_are_scaled_ones() -> None:
    few = simulate_dips(NULL_SIZE, n_simulations=50)
    assert simulate_dips(4 * NULL_SIZE, n_simulations=50) == pytest.approx(few / 2)
    large = [dip_statistic(np.random.default_rng(k).random(4 * NULL_SIZE)) for k in range(50)]
    assert np.mean(large) == pytest.approx(few.mean() / 2, rel=0.15)
    assert simulate_dips(40, n_simulations=5, seed=3) == pytest.approx(
        simulate_dips(40, n_simulations=5, seed=3)
    )
