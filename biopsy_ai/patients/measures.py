"""The measures that a patient is summarized by, as sums over neighborhoods of fibers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.measure.condition import CERTAIN
from biopsy_ai.measure.exclusion import is_excluded
from biopsy_ai.measure.type_class import TYPE_I, TYPE_II, type_classes
from biopsy_ai.score.evidence import IntervalRule
from biopsy_ai.score.resampling import divide_fibers

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

SECTION_MEASURES = (
    "fibers_per_mm2",
    "endomysium_percent",
    "perimysium_percent",
    "connective_percent",
    "fat_percent",
    "collagen_percent",
    "mean_endomysial_width_um",
    "interstitial_nuclei_per_mm2",
)
"""Measures that a section has as a whole; columns of cohort.csv."""


@dataclass(frozen=True, eq=False)
class UnitSums:
    """What the fibers of a section add up to.

    Attributes
    ----------
    sums
        By measure, (units, 3): number of fibers, sum of a value, and sum of its square.
    """

    sums: dict[str, Floats]


def _size(column: str) -> Callable[[pd.DataFrame, Flags], Floats]:
    return lambda fibers, measured: np.where(measured, _numbers(fibers, column), np.nan)


def _size_of_type(kind: str) -> Callable[[pd.DataFrame, Flags], Floats]:
    def value(fibers: pd.DataFrame, measured: Flags) -> Floats:
        return np.where(
            measured & (_classes(fibers) == kind), _numbers(fibers, "min_feret_um"), np.nan
        )

    return value


def _type_1(fibers: pd.DataFrame, measured: Flags) -> Floats:
    classes = _classes(fibers)
    return np.where(measured & (classes != ""), (classes == TYPE_I).astype(float), np.nan)


def _internal(fibers: pd.DataFrame, measured: Flags) -> Floats:
    count = _numbers(fibers, "n_internal_nuclei")
    return np.where(measured & np.isfinite(count), 100.0 * (count > 0), np.nan)


def _marked(column: str, scale: float) -> Callable[[pd.DataFrame, Flags], Floats]:
    """Fibers with a mark, among those that can have it."""
    return lambda fibers, measured: np.where(measured, scale * _numbers(fibers, column), np.nan)


def _flagged(column: str) -> Callable[[pd.DataFrame, Flags], Floats]:
    def value(fibers: pd.DataFrame, measured: Flags) -> Floats:
        probability = _numbers(fibers, column)
        return np.where(
            measured & np.isfinite(probability), 100.0 * (probability >= CERTAIN), np.nan
        )

    return value


_VALUES: dict[str, Callable[[pd.DataFrame, Flags], Floats]] = {
    "mean_min_feret_um": _size("min_feret_um"),
    "mean_area_um2": _size("area_um2"),
    "variability_coefficient": _size("min_feret_um"),
    "mean_min_feret_um_I": _size_of_type(TYPE_I),
    "mean_min_feret_um_II": _size_of_type(TYPE_II),
    "type_1_share": _type_1,
    "atrophic_fiber_share": _marked("is_atrophic", 1.0),
    "hypertrophic_fiber_percent": _marked("is_hypertrophic", 100.0),
    "internal_fiber_percent": _internal,
    "necrotic_fiber_percent": _flagged("necrotic"),
    "regenerating_fiber_percent": _flagged("regenerating"),
}

FIBER_MEASURES = tuple(_VALUES)
"""Measures whose value in a section is that of its fibers; named as in cohort.csv."""


def add_up(fibers: pd.DataFrame, rule: IntervalRule) -> UnitSums:
    """Add up the fibers of each neighborhood of a section.

    Parameters
    ----------
    fibers
        The fiber table, in the order of labels.
    rule
        How large neighborhoods are, as for the interval of the scores.
    """
    measured = ~is_excluded(fibers)
    units, _ = divide_fibers(fibers, measured, rule)
    n_units = int(units.max()) + 1 if len(units) else 0
    sums = {}
    for name, values_of in _VALUES.items():
        values = values_of(fibers, measured)
        there = np.isfinite(values)
        unit, value = units[there], values[there]
        columns = (np.ones(len(value)), value, value**2)
        added: Floats = np.array(
            [np.bincount(unit, column, n_units) for column in columns], float
        ).T
        # neighborhoods without such a fiber have nothing to say
        sums[name] = added[added[:, 0] > 0]
    return UnitSums(sums)


def value_of(name: str, totals: Floats, n: float) -> Floats:
    """Value of a measure.

    Parameters
    ----------
    name
        Out of `FIBER_MEASURES`.
    totals : (..., 3) array
        Number of fibers, which may be a sum of weights, sum and sum of squares.
    n
        Number of fibers of the section.

    Returns
    -------
    (...) ndarray
        NaN where there are too few fibers.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = totals[..., 1] / totals[..., 0]
        if name != "variability_coefficient":
            return np.asarray(mean)
        variance = np.maximum(totals[..., 2] / totals[..., 0] - mean**2, 0.0) * n / (n - 1)
        return np.asarray(1000.0 * np.sqrt(variance) / mean)


def _classes(fibers: pd.DataFrame) -> NDArray[np.object_]:
    return type_classes(fibers["type"]) if "type" in fibers else np.full(len(fibers), "", object)


def _numbers(fibers: pd.DataFrame, column: str) -> Floats:
    if column not in fibers:
        return np.full(len(fibers), np.nan)
    return np.asarray(fibers[column].to_numpy(dtype=float, na_value=np.nan))
