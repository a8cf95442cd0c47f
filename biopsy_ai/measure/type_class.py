"""Fiber types as two classes: type I, and all kinds of type II."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

TYPE_I = "I"
TYPE_II = "II"
TYPE_II_KINDS = ("II", "IIA", "IIX", "IIA/IIX")
"""Names of types that count as type II; hybrids with type I count as neither."""


def type_classes(types: Iterable[object]) -> NDArray[np.object_]:
    """Give the class of each fiber type.

    Parameters
    ----------
    types : (n,) array or Series of str
        Names as in the column ``type``; missing where a fiber was not looked at.

    Returns
    -------
    (n,) ndarray of str
        ``"I"``, ``"II"``, or empty for hybrids of the two, undetermined and missing types.
    """
    names = pd.Series(list(types), dtype=object)
    classes = np.full(len(names), "", dtype=object)
    classes[(names == TYPE_I).to_numpy(bool)] = TYPE_I
    classes[names.isin(TYPE_II_KINDS).to_numpy(bool)] = TYPE_II
    return classes
