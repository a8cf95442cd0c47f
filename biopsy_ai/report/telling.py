"""Which fibers show a finding best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Order:
    """By what the fibers of a finding are put in order.

    Attributes
    ----------
    column
        Of the fiber table.
    words
        Which fibers come first.
    descending
        Whether those with the largest values come first.
    grouped
        Whether the column numbers groups: one fiber of each comes first, the largest group before
        the others.
    """

    column: str
    words: str
    descending: bool = True
    grouped: bool = False


_SMALLEST = Order("min_feret_um", "the smallest", descending=False)
_ROUNDEST = Order("circularity", "the roundest")
_MOST_NUCLEI = Order("n_internal_nuclei", "those with most nuclei inside")

ORDERS = {
    "small_angular_fibers": Order("angularity", "the most angular"),
    "concave_small_fibers": Order("solidity", "the most concave", descending=False),
    "small_round_fibers": _ROUNDEST,
    "rounding": _ROUNDEST,
    "atrophic_fibers": _SMALLEST,
    "nuclear_clumps": _SMALLEST,
    "type_1_atrophy": _SMALLEST,
    "type_2_atrophy": _SMALLEST,
    "perifascicular_atrophy": _SMALLEST,
    "hypertrophy": Order("min_feret_um", "the largest"),
    "grouped_atrophy": Order("atrophy_cluster", "those of the largest clusters", grouped=True),
    "type_grouping": Order("group", "those of the largest groups", grouped=True),
    "internal_nuclei": _MOST_NUCLEI,
    "central_nuclei": _MOST_NUCLEI,
    "necrosis": Order("necrotic", "the clearest"),
    "regeneration": Order("regenerating", "the clearest"),
    "splitting": Order("split", "the clearest"),
    "hypercontraction": Order("hypercontracted", "the clearest"),
    "vacuoles": Order("vacuolated", "the clearest"),
    "obliquity": Order("feret_aspect_ratio", "the most elongated"),
}
"""By name of the finding. Where it is not among these, its fibers stay as the finding has them."""


def most_telling(
    table: pd.DataFrame, finding: str, labels: Sequence[int], most: int
) -> tuple[list[int], str]:
    """Choose the fibers that show a finding best.

    Parameters
    ----------
    table
        One row per fiber: ``label``, and what `ORDERS` names, where known.
    finding
        Its name.
    labels
        Fibers that show it; those that the table does not hold are left out.
    most
        How many to choose, at most.

    Returns
    -------
    labels : list of int
        In order.
    words : str
        Which come first; empty where they stay as given.
    """
    rows = table.set_index("label")
    known = [label for label in dict.fromkeys(labels) if label in rows.index]
    order = ORDERS.get(finding)
    if order is None or order.column not in rows:
        return known[:most], ""
    values = pd.to_numeric(rows.loc[known, order.column], errors="coerce")
    if not values.notna().any():
        return known[:most], ""
    if order.grouped:
        # the turn of a fiber in its group, then the size of the group
        size = values.map(values.value_counts()).fillna(0).to_numpy(float)
        turn = values.groupby(values).cumcount().reindex(values.index).fillna(len(known))
        keys: tuple[np.ndarray, ...] = (
            -size,
            np.where(values.isna(), len(known), turn.to_numpy(float)),
        )
    else:
        sign = -1.0 if order.descending else 1.0
        keys = (sign * values.to_numpy(float),)
    at = np.lexsort(keys)  # missing values come last, and equal ones stay in order
    return [known[i] for i in at[:most]], order.words
