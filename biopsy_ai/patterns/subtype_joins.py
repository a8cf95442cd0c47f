"""Joins between more than two types of fibers."""

from __future__ import annotations

from itertools import combinations
from typing import Any, Literal

import numpy as np

from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.patterns.assortativity import assortativity
from biopsy_ai.patterns.join_counts import (
    GraphCounts,
    Moments,
    count_joins,
    different_type_moments,
    exact_entry,
    same_type_moments,
    total_different_moments,
)
from biopsy_ai.patterns.multiple_tests import holm
from biopsy_ai.patterns.permutation import measure_permuted, permutation_entry
from biopsy_ai.patterns.type_mosaic import SUBTYPES, TypeMosaic


def summarize_subtype_joins(
    mosaic: TypeMosaic, rng: np.random.Generator, limits: Limits = DEFAULTS
) -> dict[str, Any] | None:
    """Count and test the joins between all types, subtypes of type II apart.

    Parameters
    ----------
    mosaic : TypeMosaic
        Hybrids within type II are left out here, with their contacts.
    rng : numpy.random.Generator
    limits : Limits, optional

    Returns
    -------
    dict or None
        None where there are fewer than three types of enough fibers. ``types`` with their
        numbers; ``assortativity`` over all of them; ``total_different`` and ``pairs``, of each
        two types, and ``same``, within each: observed joins against permutations within strata
        and against the exact moments without strata. p is one-sided for few joins between types,
        Holm-adjusted over the pairs; exploratory.
    """
    names = [
        name
        for name in SUBTYPES
        if np.count_nonzero(mosaic.types == name) >= limits["grouping_least_rarer"]
    ]
    if len(names) < 3:
        return None
    codes = np.full(len(mosaic.labels), -1, dtype=np.int64)
    for code, name in enumerate(names):
        codes[mosaic.types == name] = code
    n_types = len(names)
    numbers = [int(np.count_nonzero(codes == code)) for code in range(n_types)]
    edges = mosaic.pairs[(codes[mosaic.pairs] >= 0).all(axis=1)]
    if not len(edges):
        return None
    row = np.cumsum(codes >= 0) - 1
    graph = GraphCounts.of(row[edges], int(row[-1]) + 1)
    low, high = np.triu_indices(n_types)

    def measure(columns: np.ndarray) -> np.ndarray:
        first, second = columns[edges[:, 0]], columns[edges[:, 1]]
        place = np.minimum(first, second) * np.int8(n_types) + np.maximum(first, second)
        return np.column_stack(
            [
                np.count_nonzero(place == a * n_types + b, axis=0)
                for a, b in zip(low, high, strict=True)
            ]
        )

    number = int(limits["exploratory_permutations"])
    permuted = measure_permuted(measure, codes, mosaic.strata, number, rng)
    observed = count_joins(edges, codes, n_types)
    at = {(int(a), int(b)): k for k, (a, b) in enumerate(zip(low, high, strict=True))}
    null = f"types dealt out at random {mosaic.strata_words}"

    def entry(
        count: float, chance: np.ndarray, tail: Literal["less", "greater"], moments: Moments
    ) -> dict[str, Any]:
        of_strata = permutation_entry(count, chance, tail=tail, n=len(edges), null=null)
        return of_strata | {"unstratified": exact_entry(count, moments)}

    between = {
        f"{names[a]}-{names[b]}": entry(
            float(observed[a, b]),
            permuted[:, at[a, b]],
            "less",
            different_type_moments(graph, numbers[a], numbers[b]),
        )
        for a, b in combinations(range(n_types), 2)
    }
    adjusted = holm([pair["p"] for pair in between.values()])
    for pair, p in zip(between.values(), adjusted, strict=True):
        pair["p_adjusted"] = float(p)
    same = {
        f"{name}-{name}": entry(
            float(observed[a, a]),
            permuted[:, at[a, a]],
            "greater",
            same_type_moments(graph, numbers[a]),
        )
        for a, name in enumerate(names)
    }
    value = assortativity(edges, codes, n_types)
    return {
        "types": dict(zip(names, numbers, strict=True)),
        "n_edges": len(edges),
        "assortativity": value if np.isfinite(value) else None,
        "total_different": entry(
            float(np.triu(observed, 1).sum()),
            permuted[:, low != high].sum(axis=1),
            "less",
            total_different_moments(graph, numbers),
        ),
        "pairs": between,
        "same": same,
        "note": "Exploratory: p values of the pairs are adjusted by Holm among themselves only.",
    }
