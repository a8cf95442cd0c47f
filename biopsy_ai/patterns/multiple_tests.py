"""p values of several tests at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def holm(p_values: Sequence[float] | np.ndarray) -> NDArray[np.float64]:
    """Adjust p values so that the chance of any false alarm stays what it is for one test.

    Parameters
    ----------
    p_values : (k,) array of float

    Returns
    -------
    (k,) ndarray of float
        Holm 1979, Scand J Stat 6:65.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def benjamini_hochberg(p_values: Sequence[float] | np.ndarray) -> NDArray[np.float64]:
    """Adjust p values so that those below q hold a share of at most q of false alarms.

    Parameters
    ----------
    p_values : (k,) array of float

    Returns
    -------
    (k,) ndarray of float
        Benjamini & Hochberg 1995, J R Stat Soc B 57:289.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")[::-1]
    stepped = np.minimum.accumulate(p[order] * len(p) / np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
