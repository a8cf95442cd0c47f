"""Target and core-like fibers: a pale middle where a stain shows mitochondria."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.measure.brooke_engel import share_of
from biopsy_ai.measure.exclusion import is_excluded
from biopsy_ai.measure.fiber_quantiles import Rows, quantiles_by_fiber
from biopsy_ai.measure.reference import DEFAULTS, Limits

TARGET = "target"
"""Three zones: a pale middle, a dark ring, and the rest of the fiber."""
CORE_LIKE = "core-like"
"""Two zones, without the ring; not specific."""

ZONES = (
    "center_ratio",
    "center_radius",
    "center_um",
    "center_overlap",
    "ring_ratio",
    "center_density",
)
"""What is measured of the zones of a fiber, in order."""
COLUMNS = ("core", "core_depth_ratio")
"""Columns of the fiber table."""
LIMITS = (
    "core_density_share_below",
    "core_radius_from",
    "core_radius_to",
    "core_least_um",
    "core_overlap_below",
    "core_ring_above",
    "core_least_radius_um",
    "core_least_density",
    "core_glass_density",
)
"""Numbers of ``reference.yaml`` that decide."""

NOT_MITOCHONDRIAL = "the stain shows no mitochondria: NADH-TR, SDH or COX does"
NO_COLORS = "the picture is no bright-field color image"
NO_FIBER = "no fiber is thick and dark enough for its zones to be told apart"

N_STEPS = 10
"""Zones of equal width from the middle of a fiber to its border. [default]"""
CENTER_STEPS = 2
"""Innermost of them, which are the center. [default]"""
RIM_FROM_STEP = 7
"""From here on they are the rim; a dark ring lies before it. [default]"""
RIM_UM = 2.0
"""So much at the border is left out: mitochondria gather there, and it is blurred. [default]"""
MIN_UM2_PIXELS = 6
"""A center or rim of fewer pixels is not measured. [default]"""


def measure_zones(
    densities: NDArray[np.float32],
    depth: NDArray[np.float32],
    of_fiber: Rows,
    n_fibers: int,
    limits: Limits = DEFAULTS,
) -> NDArray[np.float64]:
    """Measure how pale the middle of each fiber is beside its rim.

    Parameters
    ----------
    densities : (p,) array of float32
        Optical density of the pixels of all fibers, base 10, mean of red, green and blue.
    depth : (p,) array of float32
        Of each pixel below the border of its fiber, µm.
    of_fiber : (p,) array of int32
        Row of the fiber that each pixel belongs to.
    n_fibers : int
    limits : Limits, optional

    Returns
    -------
    (n_fibers, 6) ndarray of float
        Columns `ZONES`. ``center_ratio`` is the median density of the center over that of the rim;
        ``center_radius`` how far the pale middle reaches, up to where the density is half way
        between both, from 0 in the middle to 1 at the border, and ``center_um`` how wide it is
        there; ``center_overlap`` the upper quartile of the center over the lower quartile of the
        rim, below 1 where the two stand apart in spite of the texture; ``ring_ratio`` the median
        of the darkest zone between them over that of the rim; ``center_density`` the median of the
        center. NaN in fibers that are too thin, or whose rim is too pale.

    Notes
    -----
    Criteria §5. Zones follow the distance from the border over the deepest one, so that they have
    the shape of the fiber. Medians of whole zones do not follow single dark mitochondria, and a
    slope of the light across a fiber leaves them as they are.
    """
    measured = np.full((n_fibers, len(ZONES)), np.nan)
    deepest = np.zeros(n_fibers, np.float32)
    np.maximum.at(deepest, of_fiber, depth)
    at = np.flatnonzero(deepest[of_fiber] >= limits["core_least_radius_um"])
    densities, depth, of_fiber = densities[at], depth[at], of_fiber[at]
    radius = 1.0 - depth / deepest[of_fiber]
    step = np.minimum((N_STEPS * radius).astype(np.int32), N_STEPS - 1)

    def quartiles(chosen: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
        n = np.bincount(of_fiber[chosen], minlength=n_fibers)
        found = quantiles_by_fiber(densities[chosen], of_fiber[chosen], n, (0.25, 0.5, 0.75))
        return [np.where(n >= MIN_UM2_PIXELS, values, np.nan) for values in found]

    _, center, center_high = quartiles(step < CENTER_STEPS)
    rim_low, rim, _ = quartiles((step >= RIM_FROM_STEP) & (depth > RIM_UM))
    zone = of_fiber * N_STEPS + step
    n = np.bincount(zone, minlength=n_fibers * N_STEPS)
    profile = quantiles_by_fiber(densities, zone, n, (0.5,))[0].reshape(n_fibers, N_STEPS)

    known = np.isfinite(center) & (np.nan_to_num(rim) >= limits["core_least_density"])
    center, center_high, rim, rim_low, profile = (
        values[known] for values in (center, center_high, rim, rim_low, profile)
    )
    reach = _reach(profile, 0.5 * (center + rim))
    between = (np.arange(N_STEPS) < RIM_FROM_STEP) & (
        np.arange(N_STEPS) >= N_STEPS * reach[:, None]
    )
    ring = np.nanmax(np.where(between, profile, 0.0), axis=1, initial=0.0)
    width = 2.0 * reach * deepest[known]
    overlap = center_high / np.maximum(rim_low, 1e-6)
    measured[known] = np.stack([center / rim, reach, width, overlap, ring / rim, center], axis=1)
    return measured


def _reach(profile: NDArray[np.float64], level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Radius at which profiles from the middle outward, (n, N_STEPS), first come up to a level."""
    dark = profile >= level[:, None]
    first = np.where(dark.any(axis=1), dark.argmax(axis=1), N_STEPS)
    rows = np.arange(len(profile))
    inner = profile[rows, np.maximum(first - 1, 0)]
    outer = profile[rows, np.minimum(first, N_STEPS - 1)]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.nan_to_num((level - inner) / (outer - inner))
    # from the middle of one zone to that of the next
    crossing = (first - 0.5 + np.clip(part, 0.0, 1.0)) / N_STEPS
    return np.asarray(np.where((first == 0) | (first == N_STEPS), first / N_STEPS, crossing))


def call_cores(
    interior: pd.DataFrame | None, labels: np.ndarray, limits: Limits = DEFAULTS
) -> pd.DataFrame:
    """Call target and core-like fibers.

    Parameters
    ----------
    interior : DataFrame, optional
        Columns `ZONES`, rows in the order of ``labels``. Nothing can be called without them.
    labels : (n,) array of int
    limits : Limits, optional

    Returns
    -------
    DataFrame
        ``label`` and `COLUMNS`: ``core`` is ``"target"``, ``"core-like"`` or empty,
        ``core_depth_ratio`` the density of the center over that of the rim, NaN where it cannot
        be assessed.

    Notes
    -----
    Criteria §5, engineering proposals: the center is less than 0.6 times as dense as the rim, and
    the pale zone reaches over 20 to 60 % of the radius. One that reaches further is a fiber with a
    dark rim, which mitochondria below the sarcolemma make; one as pale as glass is a hole. It is
    10 µm wide and more, and pale throughout, as gaps in a coarse texture are not. A ring of 1.2
    times the density of the rim makes a target of it.
    """
    table = pd.DataFrame({"label": labels, "core": "", "core_depth_ratio": np.nan})
    if interior is None or not set(ZONES) <= set(interior):
        return table
    ratio, radius, width, overlap, ring, density = (
        interior[name].to_numpy(float) for name in ZONES
    )
    pale = (
        (ratio < limits["core_density_share_below"])
        & (radius >= limits["core_radius_from"])
        & (radius <= limits["core_radius_to"])
        & (width >= limits["core_least_um"])
        & (overlap < limits["core_overlap_below"])
        & (density >= limits["core_glass_density"])
    )
    ringed = ring >= limits["core_ring_above"]
    table["core"] = np.select([pale & ringed, pale], [TARGET, CORE_LIKE], "")
    table["core_depth_ratio"] = ratio
    return table


def summarize_cores(
    fibers: pd.DataFrame, why_not: str = "", limits: Limits = DEFAULTS
) -> dict[str, Any]:
    """Count target and core-like fibers.

    Parameters
    ----------
    fibers : DataFrame
        Columns ``excluded`` and `COLUMNS`.
    why_not : str, optional
        Why no fiber of the section can be assessed.
    limits : Limits, optional

    Returns
    -------
    dict
        JSON-ready: ``assessable``, ``why_not`` (None where it is), for ``target`` and
        ``core_like`` ``n`` of ``of`` fibers that are not excluded and could be assessed,
        ``percent`` and its 95 % Wilson interval (as shares), and the ``limits`` with source and
        mark.
    """
    assessed = np.isfinite(fibers["core_depth_ratio"].to_numpy(float)) & ~is_excluded(fibers)
    called = fibers["core"].to_numpy(object)[assessed]
    if not why_not and not assessed.any():
        why_not = NO_FIBER
    counts = {}
    for key, name in (("target", TARGET), ("core_like", CORE_LIKE)):
        share = share_of(int(np.count_nonzero(called == name)), len(called))
        part = share["share"]
        counts[key] = {
            "n": share["n"],
            "of": share["of"],
            "percent": None if part is None else 100.0 * part,
            "wilson_95": share["wilson_95"],
        }
    return {
        "assessable": not why_not,
        "why_not": why_not or None,
        **counts,
        "limits": {name: limits.reference(name).as_dict() for name in LIMITS},
    }
