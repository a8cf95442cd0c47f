"""Counts of atrophic fibers and of their groups, ready for JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.measure.brooke_engel import share_of
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.measure.small_fibers import SizeSets
from biopsy_ai.patterns.multiple_tests import holm


def describe_sets(
    table: pd.DataFrame, sets: SizeSets, nodes: pd.DataFrame, age: float | None
) -> dict[str, Any]:
    """Say which fibers are atrophic, angular atrophic and hypertrophic, and by which reference.

    Parameters
    ----------
    table : DataFrame
        The fiber table.
    sets : SizeSets
        Of that table.
    nodes : DataFrame
        The fibers whose size was judged: ``atrophic``, and ``type`` where known.
    age : float or None
        Years.

    Returns
    -------
    dict
        JSON-ready.
    """
    judged = int(sets.judged.sum())
    words = list(sets.reference.words)
    if age is not None and age > 60:
        words.append(
            "Above 60 years type II fibers are normally smaller (area of IIA by 36 % in women, of "
            "type II by 29 % in men) and less regular, and slight grouping is normal."
        )
    return {
        "reference": words,
        "limits_low_um": list(sets.reference.lows),
        "limits_high_um": list(sets.reference.highs),
        "cannot_tell": sets.reference.why_not or None,
        "n_not_judged": len(table) - judged,
        "n_in_graph": len(nodes),
        "atrophic": share_of(int(sets.atrophic.sum()), judged),
        "angular": share_of(int(sets.angular.sum()), int(sets.shape_judged.sum())),
        "hypertrophic": share_of(int(sets.hypertrophic.sum()), judged),
        "atrophic_by_type": _by_type(nodes),
    }


def describe_groups(
    clusters: pd.DataFrame,
    tests: dict[str, dict[str, Any]],
    nodes: pd.DataFrame,
    limits: Limits = DEFAULTS,
) -> dict[str, Any]:
    """Count the groups of atrophic fibers, with what chance gives beside.

    Parameters
    ----------
    clusters : DataFrame
        From `biopsy_ai.patterns.atrophy_clusters.describe_clusters`.
    tests : dict
        Entries of the tests ``largest``, ``n_groups`` and ``n_grouped``.
    nodes : DataFrame
        The fibers whose size was judged: ``atrophic`` and ``angular``.
    limits : Limits, optional

    Returns
    -------
    dict
        JSON-ready; the p values of the largest group and of the number of groups are corrected
        for each other as ``p_holm``.
    """
    n = clusters["n_fibers"].to_numpy(float)
    n_atrophic = int(nodes["atrophic"].sum())
    largest, number = tests["largest"], tests["n_groups"]
    p_largest, p_number = (float(p) for p in holm([largest["p"], number["p"]]))
    grouped = clusters[["n_angular", "n_fibers"]].sum()
    outside = int(nodes["angular"].sum()) - int(grouped["n_angular"])
    return {
        "n": len(clusters),
        "n_small": int((clusters["size"] == "small").sum()),
        "n_large": int((clusters["size"] == "large").sum()),
        "per_1000_fibers": 1000.0 * len(clusters) / len(nodes),
        "mean_fibers": float(n.mean()) if len(n) else None,
        "max_fibers": int(n.max()) if len(n) else 0,
        "grouped": share_of(int(n.sum()), n_atrophic),
        "grouped_expected": tests["n_grouped"]["expected"] / n_atrophic,
        "angular_in_groups": share_of(int(grouped["n_angular"]), int(n.sum())),
        "angular_outside": share_of(outside, n_atrophic - int(n.sum())),
        "composition": {
            name: int((clusters["composition"] == name).sum())
            for name in ("mixed", "pure", "undetermined")
        },
        "largest": {**largest, "p_holm": p_largest},
        "number": {**number, "p_holm": p_number},
        "from": limits.reference("atrophy_group_from").as_dict(),
        "large_from": limits.reference("large_atrophy_group_from").as_dict(),
    }


def find_mostly_atrophic(nodes: pd.DataFrame) -> dict[str, Any]:
    """Find the fascicles of which more than half is atrophic: permuting in them shows little.

    Parameters
    ----------
    nodes : DataFrame
        Columns ``fascicle`` and ``atrophic``.

    Returns
    -------
    dict
        JSON-ready: the ``fascicles``, and the share of all atrophic fibers that lie in them.
    """
    share = nodes.groupby("fascicle")["atrophic"].mean()
    most = share.index[(share > 0.5) & (share.index != 0)]
    inside = nodes["fascicle"].isin(most) & nodes["atrophic"]
    return {
        "fascicles": [int(number) for number in most],
        "atrophic_inside": share_of(int(inside.sum()), int(nodes["atrophic"].sum())),
    }


def count_in_mostly_atrophic(
    atrophic: NDArray[np.bool_], strata: NDArray[np.int64]
) -> dict[str, Any]:
    """Count the atrophic fibers in strata of which more than half is atrophic.

    Parameters
    ----------
    atrophic : (n,) array of bool
    strata : (n,) array of int

    Returns
    -------
    dict
        JSON-ready.
    """
    _, of = np.unique(strata, return_inverse=True)
    share = np.bincount(of, atrophic) / np.bincount(of)
    inside = atrophic & (share > 0.5)[of]
    return share_of(int(inside.sum()), int(atrophic.sum()))


def _by_type(nodes: pd.DataFrame) -> dict[str, Any] | None:
    if "type" not in nodes:
        return None
    types = nodes["type"].fillna("").astype(str).replace("", "not typed")
    counts = nodes.groupby(types)["atrophic"].agg(["sum", "count"])
    return {
        str(name): share_of(int(row["sum"]), int(row["count"])) for name, row in counts.iterrows()
    }
