"""Grouping of types fascicle by fascicle, with the false discovery rate controlled."""

from __future__ import annotations

import numpy as np
import pandas as pd

from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.patterns.assortativity import assortativity
from biopsy_ai.patterns.multiple_tests import benjamini_hochberg
from biopsy_ai.patterns.permutation import permutation_p
from biopsy_ai.patterns.type_mosaic import TypeMosaic

FASCICLE_COLUMNS = (
    "fascicle",
    "n_typed",
    "type_i_share",
    "n_edges",
    "assortativity",
    "observed",
    "expected",
    "sd",
    "z",
    "p",
    "p_adjusted",
    "grouped",
    "why_not",
)
"""Columns of the map, in order; see `map_fascicles`."""


def map_fascicles(
    mosaic: TypeMosaic,
    observed: np.ndarray,
    permuted: np.ndarray,
    limits: Limits = DEFAULTS,
) -> pd.DataFrame:
    """Test the grouping of types in each fascicle.

    Parameters
    ----------
    mosaic : TypeMosaic
    observed : (f,) array
        Joins between type I and II in each fascicle, by their numbers.
    permuted : (B, f) array
        The same of each permutation.
    limits : Limits, optional

    Returns
    -------
    DataFrame
        Columns `FASCICLE_COLUMNS`, a row for each fascicle with typed fibers; ``n_typed`` are
        complete fibers, ``observed`` and ``expected`` numbers of joins, ``p`` one-sided for few of
        them, ``p_adjusted`` by Benjamini & Hochberg over the fascicles tested, ``grouped`` where
        it is at most the false discovery rate; ``why_not`` where a fascicle was not tested.
        Exploratory.
    """
    numbers, of = np.unique(mosaic.fascicles, return_inverse=True)
    n_all = np.bincount(of)
    n_type_i = np.bincount(of, mosaic.is_type_i)
    n_typed = np.bincount(of, mosaic.complete)
    of_edge = of[mosaic.pairs[:, 0]]
    rows = []
    for k, number in enumerate(numbers):
        edges = mosaic.pairs[of_edge == k]
        row = {
            "fascicle": int(number),
            "n_typed": int(n_typed[k]),
            "type_i_share": n_type_i[k] / n_all[k],
            "n_edges": len(edges),
            "assortativity": assortativity(edges, mosaic.is_type_i.astype(np.int64)),
            "observed": int(observed[k]),
            "why_not": _why_not(
                int(number), int(n_typed[k]), int(min(n_type_i[k], n_all[k] - n_type_i[k])), limits
            ),
        }
        mean, sd = float(permuted[:, k].mean()), float(permuted[:, k].std())
        if not row["why_not"] and sd == 0:
            row["why_not"] = "types do not vary within its strata"
        if not row["why_not"]:
            p = permutation_p(float(observed[k]), permuted[:, k], tail="less")
            row |= {"expected": mean, "sd": sd, "z": (observed[k] - mean) / sd, "p": p}
        rows.append(row)
    table = pd.DataFrame(rows, columns=list(FASCICLE_COLUMNS))
    table = table.astype(dict.fromkeys(("expected", "sd", "z", "p", "p_adjusted"), float))
    tested = table["p"].notna()
    table.loc[tested, "p_adjusted"] = benjamini_hochberg(table.loc[tested, "p"].to_numpy())
    grouped = (table["p_adjusted"] <= limits["fascicle_map_fdr"]).astype("boolean")
    table["grouped"] = grouped.mask(~tested)
    return table


def _why_not(number: int, n_typed: int, n_rarer: int, limits: Limits) -> str:
    if number == 0:
        return "fibers of no fascicle"
    if n_typed < limits["fascicle_map_fibers"]:
        return f"fewer than {limits['fascicle_map_fibers']:.0f} typed fibers"
    if n_rarer < limits["grouping_least_rarer"]:
        return f"fewer than {limits['grouping_least_rarer']:.0f} fibers of the rarer type"
    return ""
