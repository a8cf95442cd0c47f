"""Statistics of a section's fibers, ready for JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from biopsy_ai.config import MeasurementConfig
from biopsy_ai.measure.brooke_engel import Sex, summarize_factors, variability_coefficient
from biopsy_ai.measure.exclusion import is_excluded
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.measure.small_fibers import summarize_obliquity, summarize_small_fibers

SIZE_QUANTITIES = ("area_um2", "min_feret_um", "lesser_diameter_um", "equivalent_diameter_um")
SHAPE_QUANTITIES = ("circularity", "solidity", "feret_aspect_ratio", "angularity")

_MAX_BINS = 400


def summarize_fibers(
    fibers: pd.DataFrame,
    *,
    field_area_um2: float | None,
    tissue_area_um2: float | None = None,
    sex: Sex | None = None,
    age: float | None = None,
    muscle: str | None = None,
    config: MeasurementConfig | None = None,
) -> dict[str, Any]:
    """Summarize the fiber table of one section.

    Parameters
    ----------
    fibers : DataFrame
        From `measure_fibers`. Excluded fibers count in the number, the density and the area
        fraction, and in no other statistic; shape statistics take fibers whose shape is
        assessable.
    field_area_um2 : float or None
        Area of the whole image; None where only outlines are known. There is no density then,
        unless the area of the tissue is given.
    tissue_area_um2 : float, optional
        Area of tissue in it, if known. Densities are per tissue area then, else per field.
    sex : {"male", "female"}, optional
        Decides the limits of normal fiber size.
    age : float, optional
        Years; decides them in children.
    muscle : str, optional
    config : MeasurementConfig, optional
        For its limits.

    Returns
    -------
    dict
        Plain numbers, strings, lists and None. Never NaN.

    Raises
    ------
    ValueError
        If ``sex`` is something else or an area is not positive.
    """
    if sex not in ("male", "female", None):
        raise ValueError(f"sex is 'male', 'female' or None, not {sex!r}")
    limits = DEFAULTS if config is None else Limits(config.limits)
    left_out = is_excluded(fibers)
    measured = fibers[~left_out]
    assessable = measured[measured["shape_assessable"].astype(bool)]
    sized = measured[np.isfinite(measured["min_feret_um"])]
    diameters = sized["min_feret_um"].to_numpy(float)
    excluded = fibers.loc[left_out, "excluded"].value_counts()
    quantities = {name: describe(measured[name].to_numpy(float)) for name in SIZE_QUANTITIES}
    quantities |= {name: describe(assessable[name].to_numpy(float)) for name in SHAPE_QUANTITIES}
    obliquity = summarize_obliquity(sized, limits)
    oblique = bool(obliquity and obliquity["oblique"])
    return {
        "n_fibers": len(fibers),
        "n_measured": len(measured),
        "n_shape_assessable": len(assessable),
        "excluded": {str(reason): int(count) for reason, count in sorted(excluded.items())},
        **_density(fibers, field_area_um2, tissue_area_um2),
        "quantities": quantities,
        "sd_of_circularity": quantities["circularity"]["sd"],
        "variability_coefficient": _variability(diameters, limits),
        "atrophy_hypertrophy": summarize_factors(diameters, sex, limits),
        "small_fibers": summarize_small_fibers(measured, sex, limits, age=age, muscle=muscle),
        "obliquity": obliquity,
        "histograms": {
            "min_feret_um_5": histogram(diameters, 5.0),
            "min_feret_um_10": histogram(diameters, 10.0),
            "area_um2_500": histogram(measured["area_um2"].to_numpy(float), 500.0),
        },
        "notes": _notes(len(measured), len(assessable), oblique, limits),
    }


def describe(values: np.ndarray) -> dict[str, Any]:
    """Describe a sample by its usual and its robust statistics.

    Parameters
    ----------
    values : (n,) ndarray of float
        NaN is left out.

    Returns
    -------
    dict
        ``n``, ``mean``, ``sd`` (n - 1), ``median``, ``mad`` (median absolute deviation, not
        scaled), ``p5``, ``p95``, ``cv`` (sd / mean); None where a statistic does not exist.
    """
    finite = values[np.isfinite(values)]
    names = ("mean", "sd", "median", "mad", "p5", "p95", "cv")
    if not len(finite):
        return {"n": 0, **dict.fromkeys(names)}
    mean, median = float(finite.mean()), float(np.median(finite))
    sd = float(finite.std(ddof=1)) if len(finite) > 1 else None
    p5, p95 = (float(edge) for edge in np.percentile(finite, [5, 95]))
    return {
        "n": len(finite),
        "mean": mean,
        "sd": sd,
        "median": median,
        "mad": float(np.median(np.abs(finite - median))),
        "p5": p5,
        "p95": p95,
        "cv": sd / mean if sd is not None and mean != 0 else None,
    }


def histogram(values: np.ndarray, bin_width: float) -> dict[str, Any]:
    """Count values in bins of equal width from 0; each bin holds its lower edge.

    Parameters
    ----------
    values : (n,) ndarray of float
        Not negative; NaN is left out.
    bin_width : float

    Returns
    -------
    dict
        ``edges`` (one more than bins), ``counts``, and ``n_above``, the values above the last
        edge, which is at most 400 bins away.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return {"bin_width": bin_width, "edges": [0.0], "counts": [], "n_above": 0}
    bins = np.floor(finite / bin_width).astype(np.int64)
    n_bins = int(min(bins.max() + 1, _MAX_BINS))
    counts = np.bincount(bins[bins < n_bins], minlength=n_bins)
    return {
        "bin_width": bin_width,
        "edges": [float(k * bin_width) for k in range(n_bins + 1)],
        "counts": [int(count) for count in counts],
        "n_above": int(np.count_nonzero(bins >= n_bins)),
    }


def _density(
    fibers: pd.DataFrame, field_area_um2: float | None, tissue_area_um2: float | None
) -> dict[str, Any]:
    """Fibers per mm² and their share of the area.

    A fiber cut by the image border lies half in the field on average: the second density counts
    it so.
    """
    area, basis = (
        (tissue_area_um2, "tissue") if tissue_area_um2 is not None else (field_area_um2, "field")
    )
    if area is None:
        return {"density": None, "fiber_area_fraction": None}
    if not area > 0:
        raise ValueError(f"the {basis} area is {area} µm²; it must be positive")
    whole = len(fibers) - int(np.count_nonzero(fibers["touches_border"].astype(bool))) / 2
    return {
        "density": {
            "per": basis,
            "area_um2": float(area),
            "fibers_per_mm2": len(fibers) / area * 1e6,
            "fibers_per_mm2_border_halved": whole / area * 1e6,
        },
        "fiber_area_fraction": float(np.nansum(fibers["area_um2"].to_numpy(float)) / area),
    }


def _variability(diameters: np.ndarray, limits: Limits) -> dict[str, Any]:
    limit = limits.reference("variability_coefficient_normal")
    coefficient = variability_coefficient(diameters)
    if not np.isfinite(coefficient):
        return {"value": None, "normal_below": limit.as_dict(), "normal": None}
    return {
        "value": coefficient,
        "measured_on": "min_feret_um",
        "normal_below": limit.as_dict(),
        "normal": bool(coefficient < limit.value),
    }


def _notes(n_measured: int, n_assessable: int, oblique: bool, limits: Limits) -> list[str]:
    floor, recommended = int(limits["min_fibers"]), int(limits["recommended_fibers"])
    notes = []
    if n_measured < floor:
        notes.append(
            f"Only {n_measured} fibers were measured: below {floor} the size distribution and the "
            "indices drawn from it are not reliable."
        )
    elif n_measured < recommended:
        notes.append(
            f"{n_measured} fibers were measured; {recommended} or more are recommended for a size "
            "distribution."
        )
    if n_measured and n_assessable < n_measured / 2:
        notes.append(
            f"The shape of only {n_assessable} of {n_measured} fibers can be judged: the others "
            "span too few pixels, or the image is too coarse."
        )
    if oblique:
        notes.append(
            "The section seems to be cut obliquely: areas and equivalent diameters are too large, "
            "min Feret is still good."
        )
    return notes
