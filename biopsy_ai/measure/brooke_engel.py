"""Brooke-Engel indices: variability coefficient, atrophy factor and hypertrophy factor."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from biopsy_ai.measure.reference import DEFAULTS, Limits, Reference

Sex = Literal["male", "female"]

_HIGHEST_WEIGHT = 4


def variability_coefficient(diameters_um: np.ndarray) -> float:
    """1000 times the standard deviation of the diameters over their mean.

    Parameters
    ----------
    diameters_um : (n,) ndarray of float
        Min Feret or lesser diameters; equivalent diameters are larger and do not fit the limit.

    Returns
    -------
    float
        Normal below 250 (Dubowitz & Brooke 1973). NaN for fewer than two fibers.
    """
    if len(diameters_um) < 2:
        return float("nan")
    return float(1000.0 * np.std(diameters_um, ddof=1) / np.mean(diameters_um))


def size_limits(sex: Sex, limits: Limits = DEFAULTS) -> tuple[Reference, Reference]:
    """Lower and upper limit of normal lesser diameters of adults, µm."""
    return limits.reference(f"{sex}_low_um"), limits.reference(f"{sex}_high_um")


def atrophy_factor(diameters_um: np.ndarray, low_um: float, limits: Limits = DEFAULTS) -> float:
    """Atrophy factor: fibers below the limit, weighted by how far they are below it.

    Parameters
    ----------
    diameters_um : (n,) ndarray of float
        Min Feret or lesser diameters.
    low_um : float
        Lower limit of normal, 40 µm for men and 30 µm for women.
    limits : Limits, optional
        For the width of a class.

    Returns
    -------
    float
        1000 times the mean weight; weight 1 from ``low - 10`` to below ``low``, 2 in the next
        10 µm, and so on to 4. NaN without fibers.

    Notes
    -----
    For men after Dubowitz & Brooke 1973: weights 1 for 30-40, 2 for 20-30, 3 for 10-20 and 4
    below 10 µm. For women the classes are moved down by 10 µm [D].
    """
    return _weighted(low_um - np.asarray(diameters_um, dtype=float), limits["class_step_um"])


def hypertrophy_factor(
    diameters_um: np.ndarray, high_um: float, limits: Limits = DEFAULTS
) -> float:
    """Hypertrophy factor: fibers above the limit, weighted by how far they are above it.

    Parameters
    ----------
    diameters_um : (n,) ndarray of float
        Min Feret or lesser diameters.
    high_um : float
        Upper limit of normal, 80 µm for men and 70 µm for women.
    limits : Limits, optional
        For the width of a class.

    Returns
    -------
    float
        1000 times the mean weight; weight 1 above ``high`` to ``high + 10``, 2 in the next 10 µm,
        and so on to 4. NaN without fibers.

    Notes
    -----
    "Similarly derived" in Dubowitz & Brooke 1973; the weights of the upper classes are from
    memory [M].
    """
    return _weighted(np.asarray(diameters_um, dtype=float) - high_um, limits["class_step_um"])


def _weighted(beyond_um: np.ndarray, step_um: float) -> float:
    if not len(beyond_um):
        return float("nan")
    weights = np.clip(np.ceil(beyond_um / step_um), 0, _HIGHEST_WEIGHT)
    return float(1000.0 * weights.mean())


def wilson_interval(count: int, total: int) -> tuple[float, float]:
    """95 % confidence interval of a share (Wilson 1927, J Am Stat Assoc 22:209).

    Parameters
    ----------
    count, total : int
        ``total`` must be positive.

    Returns
    -------
    low, high : float
    """
    z = 1.959963984540054
    share = count / total
    center = share + z**2 / (2 * total)
    half = z * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    scale = 1 + z**2 / total
    return max(float((center - half) / scale), 0.0), min(float((center + half) / scale), 1.0)


def share_of(count: int, total: int) -> dict[str, Any]:
    """Give a count, its share of the total and the share's 95 % Wilson interval."""
    interval = list(wilson_interval(count, total)) if total else None
    share = count / total if total else None
    return {"n": count, "of": total, "share": share, "wilson_95": interval}


def summarize_factors(
    diameters_um: np.ndarray,
    sex: Sex | None,
    limits: Limits = DEFAULTS,
    *,
    type_class: str | None = None,
) -> dict[str, Any]:
    """Atrophy and hypertrophy factor with their limits, or why there are none.

    Parameters
    ----------
    diameters_um : (n,) ndarray of float
        Min Feret of the fibers that enter the statistics.
    sex : {"male", "female"}, optional
    limits : Limits, optional
    type_class : {"I", "II"}, optional
        Class of the fibers, where they are of one: type 2 of men has a limit of its own.

    Returns
    -------
    dict
        JSON-ready.
    """
    if sex is None:
        return {
            "missing": "The limits of normal fiber size differ between men and women: give the "
            "sex (--sex male or --sex female) to get atrophy and hypertrophy factors."
        }
    if not len(diameters_um):
        return {"missing": "There are no fibers to take atrophy and hypertrophy factors from."}
    low, high = size_limits(sex, limits)
    total = len(diameters_um)
    atrophy = atrophy_factor(diameters_um, low.value, limits)
    hypertrophy = hypertrophy_factor(diameters_um, high.value, limits)
    of_men = "hypertrophy_factor_limit_male_type_2"
    own_limit = of_men if sex == "male" and type_class == "II" else "hypertrophy_factor_limit"
    factors: dict[str, Any] = {
        "sex": sex,
        "measured_on": "min_feret_um",
        "low_limit_um": low.as_dict(),
        "high_limit_um": high.as_dict(),
        "atrophy_factor": {
            "value": atrophy,
            "limit": limits.reference("atrophy_factor_limit").as_dict(),
            "above_limit": bool(atrophy > limits["atrophy_factor_limit"]),
        },
        "hypertrophy_factor": {
            "value": hypertrophy,
            "limit": limits.reference(own_limit).as_dict(),
            "above_limit": bool(hypertrophy > limits[own_limit]),
        },
        "below_low_limit": share_of(int(np.count_nonzero(diameters_um < low.value)), total),
        "above_high_limit": share_of(int(np.count_nonzero(diameters_um > high.value)), total),
        "note": "Limits are for adults and for frozen limb muscle, and are meant for one fiber "
        "type at a time"
        + ("; these factors take all types together." if type_class is None else "."),
    }
    if sex == "male" and type_class is None:
        factors["hypertrophy_factor"]["limit_type_2"] = limits.reference(of_men).as_dict()
    return factors
