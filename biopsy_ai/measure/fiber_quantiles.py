"""Quantiles of the pixels of each of many fibers at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MAX_VALUE = 16.0

Rows = NDArray[np.int32]


def quantiles_by_fiber(
    values: NDArray[np.float32],
    of_fiber: Rows,
    n: NDArray[np.int64],
    shares: tuple[float, ...],
    highest: float = _MAX_VALUE,
) -> list[NDArray[np.float64]]:
    """Quantiles of the values of each fiber, as `numpy.quantile` gives them; NaN without values.

    Values are taken to lie between 0 and ``highest``.
    """
    # sorted by fiber, and by value within it
    keys = np.sort(of_fiber + np.clip(values, 0, highest) / (highest * 1.001))
    first = np.cumsum(n) - n
    found = []
    for share in shares:
        place = first + share * np.maximum(n - 1, 0)
        below = np.minimum(place.astype(np.int64), max(len(keys) - 1, 0))
        above = np.minimum(below + (place > below), max(len(keys) - 1, 0))
        quantile = np.full(len(n), np.nan)
        there = n > 0
        low, high = (keys[at[there]] - np.flatnonzero(there) for at in (below, above))
        part = (place - below)[there]
        quantile[there] = (low + part * (high - low)) * (highest * 1.001)
        found.append(quantile)
    return found
