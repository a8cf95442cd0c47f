"""Two overlapping modes in a sample: a mixture of two Gaussians against a single one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.measure.reference import DEFAULTS, Limits

Floats = NDArray[np.float64]

_STARTS = (0.1, 0.3, 0.5, 0.7, 0.9)
_MAX_STEPS = 300
_TOLERANCE = 1e-7
_BIN = 0.01
"""Width of the bins that the sample is put into, as a share of its standard deviation."""
_NARROWEST = 0.05
"""Least standard deviation of a mode, as a share of that of the sample: a mode may not shrink onto
a few equal values, where the likelihood has no upper bound."""


@dataclass(frozen=True)
class TwoModes:
    """A mixture of two Gaussians fitted to a sample, the lower one first.

    Attributes
    ----------
    weights, means, sds : (2,) tuples of float
        Shares of the sample, in 0..1, and the parameters of the two modes.
    delta_bic : float
        BIC of one Gaussian less that of the two; above 0 where two fit better.
    ashman_d : float
        Distance of the modes, ``sqrt(2) |m1 - m2| / sqrt(s1² + s2²)``; above 2 where they part.
    """

    weights: tuple[float, float]
    means: tuple[float, float]
    sds: tuple[float, float]
    delta_bic: float
    ashman_d: float

    def are_apart(self, limits: Limits = DEFAULTS) -> bool:
        """Whether better fit, distance and both weights all speak for two modes (criteria §1.5)."""
        return (
            self.delta_bic > limits["modes_delta_bic_above"]
            and self.ashman_d > limits["modes_ashman_d_above"]
            and min(self.weights) > limits["modes_weight_above"]
        )


def fit_two_modes(values: Floats) -> TwoModes | None:
    """Fit a mixture of two Gaussians by expectation and maximization.

    Parameters
    ----------
    values : (n,) ndarray of float
        Finite; for fiber sizes their logarithms, which are near to Gaussian in one population.

    Returns
    -------
    TwoModes or None
        The best of five starts, cut at quantiles; None for fewer than 10 values or no spread.

    Notes
    -----
    Both Gaussians have a standard deviation of their own. BIC = k ln n - 2 ln L, with k = 2 for one
    Gaussian and 5 for two (Schwarz 1978, Ann Stat 6:461). Ashman's D after Ashman, Bird & Zepf
    1994, Astron J 108:2348.
    """
    sample = np.sort(np.asarray(values, float))
    n = len(sample)
    spread = float(sample.std()) if n else 0.0
    if n < 10 or sample[0] == sample[-1]:
        return None
    x, held = _binned(sample, _BIN * spread)
    one = -0.5 * n * (np.log(2 * np.pi * spread**2) + 1)
    fits = [_fit_from(x, held, share, _NARROWEST * spread) for share in _STARTS]
    two, weights, means, sds = max(fits, key=lambda fit: fit[0])
    low, high = np.argsort(means)
    delta = (2 * np.log(n) - 2 * one) - (5 * np.log(n) - 2 * two)
    distance = np.sqrt(2) * (means[high] - means[low]) / np.sqrt(float(np.sum(sds**2)))
    return TwoModes(
        (float(weights[low]), float(weights[high])),
        (float(means[low]), float(means[high])),
        (float(sds[low]), float(sds[high])),
        float(delta),
        float(distance),
    )


def _binned(sample: Floats, width: float) -> tuple[Floats, Floats]:
    """Means and numbers of the values in narrow bins, so that large samples cost no more."""
    bins = np.floor((sample - sample[0]) / width).astype(np.int64)
    _, at, held = np.unique(bins, return_inverse=True, return_counts=True)
    return np.bincount(at, sample) / held, held.astype(float)


def _fit_from(
    x: Floats, held: Floats, share: float, narrowest: float
) -> tuple[float, Floats, Floats, Floats]:
    """Log likelihood, weights, means and standard deviations, from a cut of the sorted sample."""
    n = held.sum()
    lower = np.cumsum(held) <= share * n
    lower[0], lower[-1] = True, False
    parts = np.array([lower, ~lower]).astype(float)
    likelihood, before = -np.inf, -np.inf
    for _ in range(_MAX_STEPS):
        total = np.maximum(parts @ held, 1e-9)
        weights = total / n
        means = (parts * held) @ x / total
        squares = (parts * held * (x - means[:, None]) ** 2).sum(axis=1)
        sds = np.maximum(np.sqrt(squares / total), narrowest)
        logs = (
            np.log(weights / sds)[:, None]
            - 0.5 * ((x - means[:, None]) / sds[:, None]) ** 2
            - 0.5 * np.log(2 * np.pi)
        )
        both = np.logaddexp(logs[0], logs[1])
        likelihood = float(held @ both)
        if likelihood - before < _TOLERANCE * n:
            break
        before = likelihood
        parts = np.exp(logs - both)
    return likelihood, weights, means, sds
