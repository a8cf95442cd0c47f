"""From probabilities of types to names: what each fiber is called, and how sure that is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.measure.type_class import TYPE_II_KINDS
from biopsy_ai.patterns.stain_polarity import NEITHER, TYPES, UNDETERMINED, Polarity
from biopsy_ai.patterns.type_mixture import Floats

Probabilities = dict[str, Floats]
"""Probability of each type, (n,) by name; NaN where a fiber was not looked at."""


def probabilities_of_levels(polarity: Polarity, levels: Floats, between: Floats) -> Probabilities:
    """Probability by type from those of the levels and of what lies between two of them.

    Parameters
    ----------
    polarity : Polarity
        Type of each level.
    levels : (n, k) ndarray of float
    between : (n, k - 1) ndarray of float
        From `biopsy_ai.patterns.stain_levels.level_posteriors`.
    """
    kinds = list(polarity.pale_to_dark)
    columns = list(levels.T)
    for k, share in enumerate(between.T):
        pair = {kinds[k], kinds[k + 1]}
        if pair <= set(TYPE_II_KINDS):
            kinds.append("II")
        else:
            kinds.append(polarity.between if "I" in pair else UNDETERMINED)
        columns.append(share)
    summed: Probabilities = {}
    for kind, column in zip(kinds, columns, strict=True):
        summed[kind] = summed[kind] + column if kind in summed else column.copy()
    return summed


def probability_of_type_i(probabilities: Probabilities, undetermined: float | None) -> Floats:
    """Probability of type 1; hybrids with type I count half.

    Parameters
    ----------
    probabilities : dict of str to (n,) ndarray of float
    undetermined : float, optional
        How much of what is none of the types is type 1. Without it that is left out, and where it
        is more than half, nothing is known.
    """
    rest = probabilities.get(UNDETERMINED)
    none = np.zeros(len(next(iter(probabilities.values()))))
    if "I" not in probabilities and not any(kind in probabilities for kind in NEITHER):
        # what is no IIA may be anything
        type_i = none if rest is None else np.where(rest > 0.5, np.nan, 0.0)
        return type_i + 0 * sum(probabilities.values(), none)
    type_i = probabilities.get("I", none) + 0.5 * sum(
        (probabilities[kind] for kind in NEITHER if kind in probabilities), none
    )
    if rest is None:
        return np.asarray(type_i)
    if undetermined is not None:
        return np.asarray(type_i + undetermined * rest)
    return np.where(rest > 0.5, np.nan, type_i / np.maximum(1 - rest, 1e-9))


def name_types(
    labels: NDArray[np.int64],
    probabilities: Probabilities,
    type_i: Floats,
    left_out: NDArray[np.bool_],
    limits: Limits = DEFAULTS,
) -> pd.DataFrame:
    """Name the type of each fiber by its posteriors.

    Parameters
    ----------
    labels : (n,) ndarray of int
    probabilities : dict of str to (n,) ndarray of float
        NaN where the stain of a fiber could not be read.
    type_i : (n,) ndarray of float
        From `probability_of_type_i`.
    left_out : (n,) ndarray of bool
        Fibers that this stain does not tell.
    limits : Limits, optional

    Returns
    -------
    DataFrame
        See `biopsy_ai.patterns.fiber_types.FiberTypes.fibers`.
    """
    least = limits["type_posterior_from"]
    kinds = [kind for kind in (*TYPES, UNDETERMINED) if kind in probabilities]
    shares = np.stack([probabilities[kind] for kind in kinds], axis=1)
    seen = np.isfinite(shares).all(axis=1)
    shares[left_out] = np.nan
    read = seen & ~left_out
    filled = np.where(read[:, None], shares, 0.0)
    best = np.argmax(filled, axis=1)
    top = filled[np.arange(len(best)), best]
    second = filled[:, [kind in TYPE_II_KINDS for kind in kinds]].sum(axis=1)
    names = np.array(kinds, dtype=object)[best]
    sure = read & (top >= least) & (names != UNDETERMINED)
    either = read & ~sure & (second >= least)
    names[~sure] = UNDETERMINED
    names[either] = "II"
    names[~seen] = ""
    posterior = np.where(sure, top, np.where(either, second, np.nan))
    frame = pd.DataFrame(
        {
            "label": labels,
            "type": names,
            "type_posterior": posterior,
            "type_i_posterior": np.where(read, type_i, np.nan),
        }
    )
    for k, kind in enumerate(kinds):
        frame[f"p_{kind}"] = shares[:, k]
    return frame


def count_types(frame: pd.DataFrame) -> dict[str, Any]:
    """Count the fibers by type, and say how often a call of type 1 or 2 should be wrong."""
    kinds = frame["type"].to_numpy(str)
    number = {
        str(kind): int(n) for kind, n in zip(*np.unique(kinds, return_counts=True), strict=True)
    }
    type_i = frame["type_i_posterior"].to_numpy(float)
    type_i = type_i[np.isin(kinds, ("I", *TYPE_II_KINDS)) & np.isfinite(type_i)]
    return {
        "counts": {kind: number[kind] for kind in TYPES if kind in number},
        "n_undetermined": number.get(UNDETERMINED, 0),
        "n_without_stain": number.get("", 0),
        "expected_error": float(np.minimum(type_i, 1 - type_i).mean()) if len(type_i) else None,
    }
