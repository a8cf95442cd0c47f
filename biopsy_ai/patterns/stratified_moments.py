"""Exact mean and variance of the joins between different types, permuted within strata."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.patterns.join_counts import Moments

Float = NDArray[np.float64]
Int = NDArray[np.int64]


def moments_within_strata(pairs: np.ndarray, marks: np.ndarray, strata: np.ndarray) -> Moments:
    """Moments of Σ (x + y - 2xy) over the edges, with marks permuted within strata.

    Parameters
    ----------
    pairs : (m, 2) array of int
        Every edge once.
    marks : (n,) array of float
        1 for one type and 0 for the other, which makes the sum the number of joins between
        different types; or the probability of the one type, which makes it their expected number.
    strata : (n,) array of int

    Returns
    -------
    Moments
        Exact; in one stratum, those of `biopsy_ai.patterns.join_counts.different_type_moments`.

    Notes
    -----
    [D] With ε the mark less the mean μ of its stratum, the sum is a constant, a linear form
    Σ cᵢεᵢ with cᵢ = Σ (1 - 2μⱼ) over the neighbors, and -2 Σ εᵢεⱼ over the edges. Strata are
    independent and the mean of ε is 0, so that only these terms do not vanish: the variance of the
    linear form, of the product over the edges within each stratum and between each two, and the
    covariance of the first two. Each follows from the sums of powers of ε in a stratum.
    """
    _, of = np.unique(strata, return_inverse=True)
    size = np.bincount(of)
    mean = np.bincount(of, marks) / size
    rest = marks - mean[of]
    first, second = pairs[:, 0], pairs[:, 1]
    mean_first, mean_second = mean[of[first]], mean[of[second]]
    weight = np.bincount(first, 1 - 2 * mean_second, len(of))
    weight += np.bincount(second, 1 - 2 * mean_first, len(of))

    powers = [np.bincount(of, rest**k) for k in (2, 3, 4)]
    twos, threes, fours = (_falling(size, k) for k in (2, 3, 4))
    pair_mean = -_over(powers[0], twos)
    within = of[first] == of[second]
    expected = float((mean_first + mean_second - 2 * mean_first * mean_second).sum())
    expected -= 2 * float(pair_mean[of[first[within]]].sum())

    variance = _linear(weight, of, size, powers[0])
    edges = pairs[within]
    n_edges = np.bincount(of[edges[:, 0]], minlength=len(size))
    degree = np.bincount(edges.ravel(), minlength=len(of))
    touching = np.bincount(of, degree * (degree - 1.0))
    square = n_edges * _over(powers[0] ** 2 - powers[2], twos)
    square += touching * _over(2 * powers[2] - powers[0] ** 2, threes)
    apart = n_edges * (n_edges - 1.0) - touching
    square += apart * _over(3 * powers[0] ** 2 - 6 * powers[2], fours)
    variance += 4 * float((square - (n_edges * pair_mean) ** 2).sum())

    ends = np.bincount(of, weight * degree)
    others = n_edges * np.bincount(of, weight) - ends
    shared = -ends * _over(powers[1], twos) + others * _over(2 * powers[1], threes)
    variance -= 4 * float(shared.sum())
    variance += 4 * _between(pairs[~within], of, powers[0] / size, pair_mean)
    return Moments(expected, max(variance, 0.0))


def _linear(weight: np.ndarray, of: Int, size: Int, square: np.ndarray) -> float:
    """Variance of the linear form."""
    away = weight - (np.bincount(of, weight) / size)[of]
    return float((_over(square, size - 1.0) * np.bincount(of, away**2)).sum())


def _between(edges: Int, of: Int, spread: Float, pair_mean: Float) -> float:
    """Variance of the sum of products over the edges between each two strata."""
    if not len(edges):
        return 0.0
    stratum = of[edges]
    low, high = stratum.min(axis=1), stratum.max(axis=1)
    key, number = np.unique(low * len(spread) + high, return_inverse=True)
    low, high = key // len(spread), key % len(spread)
    n_edges = np.bincount(number).astype(float)
    # ordered pairs of edges that meet in a node, by the two strata and that of the node
    ends, degree = np.unique(edges.ravel() * len(key) + np.repeat(number, 2), return_counts=True)
    node, number = ends // len(key), ends % len(key)
    meets = degree * (degree - 1.0)
    at_low = of[node] == low[number]
    meet_low = np.bincount(number[at_low], meets[at_low], len(key))
    meet_high = np.bincount(number[~at_low], meets[~at_low], len(key))
    square = n_edges * spread[low] * spread[high]
    square += meet_low * spread[low] * pair_mean[high] + meet_high * spread[high] * pair_mean[low]
    apart = n_edges * (n_edges - 1) - meet_low - meet_high
    square += apart * pair_mean[low] * pair_mean[high]
    return float(square.sum())


def _falling(size: Int, k: int) -> Float:
    product = np.ones(len(size))
    for step in range(k):
        product *= np.maximum(size - step, 0)
    return product


def _over(value: np.ndarray, by: np.ndarray) -> Float:
    """Divide; 0 where there is nothing to divide by, as there is nothing to count either."""
    return np.divide(value, by, out=np.zeros(len(value)), where=by > 0)
