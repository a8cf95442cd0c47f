"""Hartigan's dip: how far a sample is from having one mode only."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NULL_SIZE = 500
"""Largest sample that the null is simulated for: from here on the dip falls as 1 / sqrt(n)."""


def dip_statistic(values: np.ndarray) -> float:
    """Greatest distance of the distribution of a sample from the closest one with a single mode.

    Parameters
    ----------
    values : (n,) array of float
        Finite, in any order; equal values may come often.

    Returns
    -------
    float
        From 1 / 2n, for evenly spaced values, to 0.25; 0 where all values are the same.

    Raises
    ------
    ValueError
        If there are no values.

    Notes
    -----
    Written after the description of the algorithm in Hartigan & Hartigan 1985, Ann Stat 13:70.
    The modal interval begins as the whole sample. Left of it the closest distribution is the
    greatest convex minorant of the empirical one, right of it the least concave majorant. Where
    the two are farthest apart a shorter interval is cut out of it, until they are no farther apart
    than the sample is from either outside of it; half of that distance is the dip. Minorant and
    majorant are isotonic regressions of the slopes between neighboring values.
    """
    x, number = np.unique(np.asarray(values, float), return_counts=True)
    n = number.sum()
    if not n:
        raise ValueError("a dip needs at least one value")
    if len(x) < 2:
        return 0.0
    # the upper and the lower corners of the steps
    above = np.cumsum(number) / n
    below = above - number / n
    first, last = 0, len(x) - 1
    dip = 1.0 / n
    while last > first:
        part = slice(first, last + 1)
        minorant, low_contacts = _hull(x[part], below[part], convex=True)
        majorant, high_contacts = _hull(x[part], above[part], convex=False)
        apart = majorant - minorant
        contacts = np.union1d(low_contacts, high_contacts)
        widest = int(contacts[np.argmax(apart[contacts])])
        if apart[widest] <= dip:
            break
        left = int(low_contacts[np.searchsorted(low_contacts, widest, side="right") - 1])
        right = int(high_contacts[np.searchsorted(high_contacts, widest)])
        # the mode may be a step: at its own ends the sample is not held to the hull
        outside = (
            (above[part] - minorant)[:left].max(initial=0.0),
            (majorant - below[part])[right + 1 :].max(initial=0.0),
        )
        dip = max(dip, *outside)
        first, last = first + left, first + right
    return float(dip / 2)


def _hull(x: Floats, y: Floats, *, convex: bool) -> tuple[Floats, NDArray[np.int64]]:
    """Greatest convex minorant or least concave majorant at each point, and where they touch."""
    from scipy.optimize import isotonic_regression

    if len(x) == 1:
        return y, np.zeros(1, np.int64)
    steps = np.diff(x)
    fit = isotonic_regression(np.diff(y) / steps, weights=steps, increasing=convex)
    hull = y[0] + np.concatenate([[0.0], np.cumsum(fit.x * steps)])
    return hull, np.asarray(fit.blocks, np.int64)


def simulate_dips(n: int, *, n_simulations: int = 999, seed: int = 0) -> Floats:
    """Dips of samples from a uniform distribution.

    Parameters
    ----------
    n : int
        Size of the sample.
    n_simulations : int, optional
    seed : int, optional

    Returns
    -------
    (n_simulations,) ndarray of float

    Notes
    -----
    The uniform distribution has the largest dip of all with one mode, so that what is drawn from
    it is never too small a p value for others. For samples of more than `NULL_SIZE` those of that
    size are simulated and made smaller by the square root of the two sizes: sqrt(n) times the dip
    settles (Hartigan & Hartigan 1985).
    """
    size = min(n, NULL_SIZE)
    return _null(size, n_simulations, seed) * np.sqrt(size / n)


@lru_cache(maxsize=32)
def _null(size: int, n_simulations: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    return np.array([dip_statistic(rng.random(size)) for _ in range(n_simulations)])
