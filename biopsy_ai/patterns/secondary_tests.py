"""Secondary tests of type grouping: enclosed fibers and the largest group of either type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.patterns.enclosed import Neighborhoods, hexagonal_expectation
from biopsy_ai.patterns.join_counts import exact_entry
from biopsy_ai.patterns.mosaic_statistics import MosaicStatistics
from biopsy_ai.patterns.multiple_tests import holm
from biopsy_ai.patterns.permutation import measure_permuted, permutation_entry
from biopsy_ai.patterns.type_groups import largest_groups, shares_in_groups, summarize_groups
from biopsy_ai.patterns.type_mosaic import TypeMosaic, class_name


def summarize_secondary(
    mosaic: TypeMosaic,
    observed: MosaicStatistics,
    permuted: MosaicStatistics,
    groups: pd.DataFrame,
    rng: np.random.Generator,
    limits: Limits = DEFAULTS,
) -> dict[str, Any]:
    """Test the enclosed fibers and the largest groups of either type.

    Parameters
    ----------
    mosaic : TypeMosaic
    observed, permuted : MosaicStatistics
        Enclosed fibers of the mosaic and of its permutations.
    groups : DataFrame
        From `biopsy_ai.patterns.type_groups.table_of_groups`.
    rng : numpy.random.Generator
    limits : Limits, optional
        Groups take ``largest_group_permutations``, fewer than the other tests.

    Returns
    -------
    dict
        ``enclosed``, ``largest_group`` and ``groups``, each by class ``I`` and ``II``. Enclosed
        fibers stand beside their exact moments without strata, which are over-dispersed
        (``variance_over_mean``; neither binomial nor Poisson limits fit), and beside what a
        hexagonal lattice would give. ``p_adjusted`` is by Holm over the four tests; the groups
        are described, not tested.
    """
    pairs, codes = mosaic.contacts, mosaic.is_type_i.astype(np.int8)
    null = f"types dealt out at random {mosaic.strata_words}"

    def measure(columns: np.ndarray) -> np.ndarray:
        grouped = [shares_in_groups(pairs, column, mosaic.inner, 2) for column in columns.T]
        return np.hstack([largest_groups(pairs, columns, 2), grouped])

    number = int(limits["largest_group_permutations"])
    chance = measure_permuted(measure, codes, mosaic.strata, number, rng)
    largest = largest_groups(pairs, codes, 2)
    neighborhoods = Neighborhoods.of(pairs, len(codes), mosaic.inner)
    n_inner = int(np.count_nonzero(mosaic.inner))
    result: dict[str, Any] = {"enclosed": {}, "largest_group": {}, "groups": {}}
    for code in (1, 0):
        name, n = class_name(bool(code)), int(np.count_nonzero(codes == code))
        if n_inner:
            moments = neighborhoods.moments(n)
            count = float(observed.enclosed[0, code])
            result["enclosed"][name] = permutation_entry(
                count, permuted.enclosed[:, code], tail="greater", n=n_inner, null=null
            ) | {
                "unstratified": exact_entry(count, moments),
                "variance_over_mean": moments.variance / moments.mean if moments.mean else None,
                "hexagonal_expected": hexagonal_expectation(n_inner, n / len(codes)),
            }
        else:
            result["enclosed"][name] = {"why_not": "no fiber has all its neighbors seen and typed"}
        median = float(np.median(chance[:, code]))
        result["largest_group"][name] = permutation_entry(
            float(largest[code]), chance[:, code], tail="greater", n=n, null=null
        ) | {
            "median_by_chance": median,
            "ratio": float(largest[code] / median) if median else None,
            "share": float(largest[code] / n),
        }
        result["groups"][name] = summarize_groups(groups, name, n) | {
            "share_grouped_by_chance": float(chance[:, 2 + code].mean()),
            "n_permutations": number,
        }
    entries = [
        entry
        for entry in (*result["enclosed"].values(), *result["largest_group"].values())
        if "p" in entry
    ]
    for entry, adjusted in zip(entries, holm([entry["p"] for entry in entries]), strict=True):
        entry["p_adjusted"] = float(adjusted)
    return result
