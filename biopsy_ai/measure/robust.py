"""Center and spread that a few extreme values do not move."""

from __future__ import annotations

import numpy as np

MAD_TO_SD = 1.4826
"""Standard deviations per median absolute deviation of a normal distribution."""


def median_and_spread(values: np.ndarray) -> tuple[float, float]:
    """Median, and 1.4826 median absolute deviations from it.

    Parameters
    ----------
    values : (n,) ndarray of float
        Not empty, without NaN.

    Returns
    -------
    median, spread : float
        In the unit of the values; the spread is 0 where more than half of them are the same.
    """
    median = float(np.median(values))
    return median, MAD_TO_SD * float(np.median(np.abs(values - median)))
