"""How angular a fiber is, compared with the fibers of normal size of the same section."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from biopsy_ai.measure.exclusion import is_excluded
from biopsy_ai.measure.reference import DEFAULTS, Limits

_MAD_TO_SD = 1.4826

_SIGNS = {"circularity": -1.0, "feret_aspect_ratio": 1.0, "max_curvature": 1.0, "solidity": -1.0}
"""What makes a fiber angular, and whether more of it or less."""


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
    spread = _MAD_TO_SD * float(np.median(logs[logs >= median] - median))
    return SizeCenter(median, spread) if spread > 0 else None


def angularity_scores(
    fibers: pd.DataFrame, limits: Limits = DEFAULTS, *, reference: pd.DataFrame | None = None
) -> np.ndarray:
    """Score how angular each fiber is, from 0 to 1; fibers of normal size average 0.5.

    Parameters
    ----------
    fibers : DataFrame
        Columns ``min_feret_um``, ``circularity``, ``feret_aspect_ratio``, ``max_curvature``,
        ``solidity``, ``shape_assessable``, ``excluded``.
    limits : Limits, optional
    reference : DataFrame, optional
        All fibers of the section, where `fibers` are some of them; the same columns.

    Returns
    -------
    (n,) ndarray of float
        Mean of the ranks, among the fibers of normal size of the same section, of 1 - circularity,
        Feret aspect ratio, sharpest corner and 1 - solidity. NaN for fibers whose shape
        cannot be judged or that are excluded, and for all where too few fibers have normal size.

    Notes
    -----
    Rank is the share of reference fibers below the value and half of those equal to it. Normal
    fibers are polygons and moderately angular, more so in some stains and species; ranks make
    each section its own standard. Normal size is within two robust standard deviations of
    `size_center`. There is no published cut-off for angularity. [E]

    Corners enter by the curvature of the sharpest one. The number of acute angles, which is a sign
    of small angular fibers, jumps where an outline moves by half a pixel.
    """
    scores = np.full(len(fibers), np.nan)
    judged = _judged(fibers)
    among = fibers if reference is None else reference
    normal = _normal(among, limits)
    if not judged.any() or np.count_nonzero(normal) < limits["size_normal_min_fibers"]:
        return scores
    ranks = [
        midranks(
            sign * fibers[name].to_numpy(float)[judged], sign * among[name].to_numpy(float)[normal]
        )
        for name, sign in _SIGNS.items()
    ]
    # Sums of ranks are often equal: rounded, they stay so, and as they are written.
    scores[judged] = np.round(np.mean(ranks, axis=0), 6)
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


def midranks(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Share of reference values below each value, ties counted half.

    Parameters
    ----------
    values : (n,) ndarray
    reference : (m,) ndarray
        Not empty.

    Returns
    -------
    (n,) ndarray of float
        In 0..1.
    """
    ordered = np.sort(reference)
    below = np.searchsorted(ordered, values, side="left")
    up_to = np.searchsorted(ordered, values, side="right")
    return (below + up_to) / (2.0 * len(ordered))
