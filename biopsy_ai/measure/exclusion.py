"""Which fibers are left out of the statistics, and why."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

BETWEEN_REASONS = "; "
"""What parts several reasons of one fiber."""


def is_excluded(fibers: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which fibers are left out of the statistics.

    Parameters
    ----------
    fibers : DataFrame
        Column ``excluded``: the reason, empty or missing where there is none.

    Returns
    -------
    (n,) ndarray of bool

    Raises
    ------
    ValueError
        If the column holds something else than text.
    """
    reasons = fibers["excluded"]
    if pd.api.types.is_bool_dtype(reasons) or pd.api.types.is_numeric_dtype(reasons.dropna()):
        if reasons.notna().any():
            raise ValueError("the column excluded holds the reason as text, not true or false")
        return np.zeros(len(fibers), dtype=bool)
    return (reasons.fillna("").astype(str) != "").to_numpy(bool)


def join_reasons(*reasons: Iterable[object]) -> NDArray[np.object_]:
    """Put the reasons that several rules give for each fiber into one text.

    Parameters
    ----------
    reasons : (n,) arrays of str
        One or more; empty where a rule has nothing against the fiber.

    Returns
    -------
    (n,) ndarray of str
        Each reason once, in the order given; empty where there is none.
    """
    joined = [
        BETWEEN_REASONS.join(dict.fromkeys(str(reason) for reason in of_fiber if reason))
        for of_fiber in zip(*reasons, strict=True)
    ]
    return np.array(joined, dtype=object)
