"""How angular a fiber is, compared with the fibers of normal size of the same section."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from biopsy_ai.measure.exclusion import is_excluded
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.measure.robust import MAD_TO_SD, median_and_spread

_SIGNS = {"circularity": -1.0, "solidity": -1.0, "triangularity": 1.0}
"""What makes a fiber angular, and whether more of it or less."""

_SOFTNESS = 3.0
"""Robust standard deviations from normal at which a sign counts 0.73. [E]"""

_LEAST_SPREAD = 1e-6
"""Signs that all normal fibers share count as equal within this."""


@dataclass(frozen=True)
class SizeCenter:
    """Center and spread of the fiber sizes of one section, on the log scale.

    Attributes
    ----------
    log_median : float
        Median of ln(min Feret / µm).
    log_sd : float
        Robust standard deviation of the upper half.
    """

    log_median: float
    log_sd: float

    def z(self, min_feret_um: np.ndarray) -> np.ndarray:
        """Distance from the center in standard deviations, on the log scale."""
        return (np.log(min_feret_um) - self.log_median) / self.log_sd

    def at(self, z: float) -> float:
        """Min Feret at a distance from the center in standard deviations, µm."""
        return float(np.exp(self.log_median + z * self.log_sd))


def size_center(min_feret_um: np.ndarray, limits: Limits = DEFAULTS) -> SizeCenter | None:
    """Find the center and spread of fiber size that a section's own fibers suggest.

    Parameters
    ----------
    min_feret_um : (n,) ndarray of float
    limits : Limits, optional

    Returns
    -------
    SizeCenter or None
        None without enough fibers or without any spread.

    Notes
    -----
    The spread is 1.4826 times the median distance of the larger half from the median. Atrophic
    fibers widen the lower half only, and would otherwise raise the limit that they are judged by.
    When more than half of the fibers are atrophic, the median is one of theirs and the section
    cannot serve as its own reference. [E: engineering rule]
    """
    logs = np.log(min_feret_um[min_feret_um > 0])
    if len(logs) < limits["size_normal_min_fibers"]:
        return None
    median = float(np.median(logs))
    spread = MAD_TO_SD * float(np.median(logs[logs >= median] - median))
    return SizeCenter(median, spread) if spread > 0 else None


def angularity_scores(
    fibers: pd.DataFrame, limits: Limits = DEFAULTS, *, reference: pd.DataFrame | None = None
) -> np.ndarray:
    """Score how angular each fiber is, from 0 to 1; fibers of normal size average about 0.5.

    Parameters
    ----------
    fibers : DataFrame
        Columns ``min_feret_um``, ``circularity``, ``solidity``, ``triangularity``,
        ``shape_assessable``, ``excluded``.
    limits : Limits, optional
    reference : DataFrame, optional
        All fibers of the section, where `fibers` are some of them; the same columns.

    Returns
    -------
    (n,) ndarray of float
        NaN for fibers whose shape cannot be judged or that are excluded, and for all where too
        few fibers have normal size.

    Notes
    -----
    For 1 - circularity, 1 - solidity and triangularity the distance z from the median of the
    fibers of normal size of the same section is taken, in robust standard deviations, 1.4826 times
    the median distance from that median. The score is the mean of 1 / (1 + exp(-z / 3)). Normal
    size is within two robust standard deviations of `size_center`. There is no published cut-off
    for angularity. [E]

    Normal fibers are polygons and moderately angular, more so in some stains and species; each
    section is its own standard. Ranks among the normal fibers would say as much of those, but come
    to an end at 1, where nearly all angular fibers lie: what they then differ in is chance. The
    aspect ratio says how obliquely a fiber was cut as well, and the sharpest corner, or the number
    of acute ones, changes with half a pixel.
    """
    scores = np.full(len(fibers), np.nan)
    judged = _judged(fibers)
    among = fibers if reference is None else reference
    normal = _normal(among, limits)
    if not judged.any() or np.count_nonzero(normal) < limits["size_normal_min_fibers"]:
        return scores
    signs = [
        sign_strength(
            sign * fibers[name].to_numpy(float)[judged], sign * among[name].to_numpy(float)[normal]
        )
        for name, sign in _SIGNS.items()
    ]
    # Fibers of one shape differ in the last digits: rounded, they are equal, and as written.
    scores[judged] = np.round(np.mean(signs, axis=0), 6)
    return scores


def _judged(fibers: pd.DataFrame) -> np.ndarray:
    return fibers["shape_assessable"].to_numpy(bool) & ~is_excluded(fibers)


def _normal(fibers: pd.DataFrame, limits: Limits) -> np.ndarray:
    """Fibers of normal size whose shape can be judged."""
    normal = _judged(fibers)
    size = fibers["min_feret_um"].to_numpy(float)
    center = size_center(size[~is_excluded(fibers)], limits)
    if center is None:
        return np.zeros(len(fibers), dtype=bool)
    normal[normal] = np.abs(center.z(size[normal])) <= abs(limits["small_z"])
    return normal


def sign_strength(
    values: np.ndarray, normal: np.ndarray, *, softness: float = _SOFTNESS
) -> np.ndarray:
    """How far values lie above those of normal fibers, from 0 to 1; 0.5 at their median.

    Parameters
    ----------
    values : (n,) ndarray
    normal : (m,) ndarray
        Not empty.
    softness : float, optional
        Robust standard deviations above the median that give 0.73.

    Returns
    -------
    (n,) ndarray of float
        In 0..1, with no value beyond which all are equal.
    """
    from scipy.special import expit

    center, spread = median_and_spread(normal)
    away = (values - center) / max(spread, _LEAST_SPREAD)
    return np.asarray(expit(away / softness), float)
