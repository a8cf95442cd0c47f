"""How the insides of fibers are stained, for all fibers of a window at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.measure.cores import measure_zones
from biopsy_ai.measure.fiber_quantiles import Rows, quantiles_by_fiber
from biopsy_ai.measure.reference import Limits
from biopsy_ai.slides.stain_colors import optical_densities
from biopsy_ai.slides.stain_separation import StainSeparation, separate_stains

RIM_UM = 2.0
"""So much at the border of a fiber is not taken for its inside: nuclei and blur lie there (criteria
§3.1: eroded by 2 µm), and clear gaps where an outline runs a little wide. [default]"""
SAMPLE_UM = 1.0
"""One pixel in so many µm is looked at, along each axis: a quarter of the work, and the same fibers
are flagged on synthetic sections as with all pixels. [default]"""
MIN_UM2 = 6.0
"""Fibers with less inside have no stain measured. [default]"""

N_VALUES = 7
"""Density, hematoxylin, eosin, unevenness, share and number of clear holes, share under dust."""

_LOOKUP_MAX = 50_000_000


def sample_steps(mpp: tuple[float, float]) -> tuple[int, int]:
    """Pixels from one that is looked at to the next, (y, x)."""
    y, x = (max(int(round(SAMPLE_UM / side)), 1) for side in mpp)
    return y, x


def measure_stain(
    colors: NDArray[np.floating | np.integer],
    labels: NDArray[np.integer],
    origin: tuple[int, int],
    wanted: NDArray[np.int64],
    nuclei: NDArray[np.integer] | None,
    white: NDArray[np.float32],
    separation: StainSeparation | None,
    mpp: tuple[float, float],
    limits: Limits,
    zones: bool = False,
) -> NDArray[np.float64]:
    """Measure the stain of fibers that lie whole in one window.

    Parameters
    ----------
    colors : (h', w', 3) array
        Those of the pixels that are looked at: one in `sample_steps`, on the grid of the slide.
    labels : (h, w) array of int
        Fibers; what lies beyond the window is none of them.
    origin : (y, x) tuple of int
        Where the first pixel lies on the slide: which pixels are looked at does not depend on the
        window.
    wanted : (m,) array of int
        Labels to measure.
    nuclei : (h, w) array of int, optional
        Left out.
    white : (3,) array
        Intensity of empty glass.
    separation : StainSeparation, optional
        Hematoxylin and eosin; without it their amounts are NaN.
    mpp : (y, x) tuple of float
        Pixel size in µm.
    limits : Limits
    zones : bool
        Whether to measure how pale the middle of each fiber is.

    Returns
    -------
    (m, 7) ndarray of float
        See `biopsy_ai.measure.interior.measure_interior`; NaN for fibers with too few pixels. With
        ``zones``, six more columns from `biopsy_ai.measure.cores.measure_zones`.
    """
    steps = sample_steps(mpp)
    looked_at = tuple(slice(-at % step, None, step) for at, step in zip(origin, steps, strict=True))
    spacing = mpp[0] * steps[0], mpp[1] * steps[1]
    pixel_um2 = spacing[0] * spacing[1]
    rows = rows_of(np.ascontiguousarray(labels[looked_at]), wanted)
    measured = np.full((len(wanted), N_VALUES), np.nan)
    colors = np.ascontiguousarray(colors, np.float32).reshape(-1, 3)

    within = np.flatnonzero(rows >= 0)
    colors = colors.take(within, axis=0)
    densities = optical_densities(colors, white)
    of_fiber = rows.ravel()[within]
    free = np.ones(len(within), bool)
    if nuclei is not None:
        free = np.ascontiguousarray(nuclei[looked_at]).ravel()[within] == 0
    dusty = np.zeros(rows.shape, np.uint8)
    dusty.ravel()[within] = free & _is_dust(densities, of_fiber, len(wanted), limits)
    size = _spots(dusty, rows, len(wanted), pixel_um2, limits["dust_spot_um2"])[1]
    area = np.bincount(of_fiber, minlength=len(wanted)) * pixel_um2
    measured[:, 6] = size / np.maximum(area, pixel_um2)

    depth = depth_below_border(rows, spacing).ravel()[within]
    total = densities @ np.ones(3, np.float32)
    deep = free & (depth > RIM_UM)
    inner = np.flatnonzero(deep)
    of_inner = of_fiber[inner]
    n = np.bincount(of_inner, minlength=len(wanted))
    low, median, high, top = quantiles_by_fiber(total[inner], of_inner, n, (0.25, 0.5, 0.75, 0.9))
    known = n * pixel_um2 >= MIN_UM2
    stained = known & (median > 0)
    measured[known, 0] = median[known]
    if separation is not None:
        amounts = separate_stains(colors.take(inner, axis=0), separation)
        for column, name in ((1, "hematoxylin"), (2, "eosin")):
            dye = amounts[:, separation.names.index(name)]
            measured[known, column] = quantiles_by_fiber(dye, of_inner, n, (0.5,))[0][known]
    measured[stained, 3] = (high - low)[stained] / median[stained]
    # of the denser part: as much as two fifths of a fiber may be holes
    below = high - limits["clear_density_spread"] * (top - high)
    below = np.where(stained, np.minimum(limits["clear_density_share"] * high, below), 0.0)
    clear = np.zeros(rows.shape, np.uint8)
    clear.ravel()[within] = deep & (total < below.astype(np.float32)[of_fiber])
    number, size = _spots(clear, rows, len(wanted), pixel_um2, limits["clear_hole_um2"])
    area = n * pixel_um2
    measured[stained, 4] = size[stained] / area[stained]
    measured[stained, 5] = 1000.0 * number[stained] / area[stained]
    if not zones:
        return measured
    at = np.flatnonzero(free)
    middles = measure_zones(total[at] / 3.0, depth[at], of_fiber[at], len(wanted), limits)
    return np.hstack([measured, middles])


def rows_of(labels: NDArray[np.integer], wanted: NDArray[np.int64]) -> Rows:
    """Row of `wanted` that each pixel belongs to, -1 for none."""
    top = int(labels.max(initial=0))
    if top < _LOOKUP_MAX:
        lookup = np.full(top + 1, -1, np.int32)
        there = wanted <= top
        lookup[wanted[there]] = np.flatnonzero(there)
        return lookup[np.maximum(labels, 0)]
    order = np.argsort(wanted)
    at = np.minimum(np.searchsorted(wanted[order], labels), len(wanted) - 1)
    return np.where(wanted[order][at] == labels, order[at], -1).astype(np.int32)


def depth_below_border(rows: Rows, spacing: tuple[float, float]) -> NDArray[np.float32]:
    """Depth of pixels below the border of their fiber, µm; that of a pixel beside it is too low."""
    import cv2

    middle = rows >= 0
    for axis in (0, 1):
        one = tuple(slice(1, None) if k == axis else slice(None) for k in (0, 1))
        other = tuple(slice(None, -1) if k == axis else slice(None) for k in (0, 1))
        same = rows[one] == rows[other]
        middle[one] &= same
        middle[other] &= same
    middle[[0, -1]] = middle[:, [0, -1]] = False
    # from the center of the outermost pixel of a fiber, which lies half a pixel below its border
    half = 0.25 * (spacing[0] + spacing[1])
    if abs(spacing[0] - spacing[1]) <= 1e-3 * spacing[1]:
        depth = cv2.distanceTransform(
            middle.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5
        ) * np.float32(spacing[0])
    else:
        from scipy.ndimage import distance_transform_edt

        depth = distance_transform_edt(middle, sampling=spacing)
    return np.asarray(depth + half, dtype=np.float32)


def _is_dust(
    densities: NDArray[np.float32], of_fiber: Rows, n_fibers: int, limits: Limits
) -> NDArray[np.bool_]:
    """Pixels under dust, which takes all colors of the light alike.

    No dye does: what of it absorbs least stays far below what absorbs most.
    """
    red, green, blue = densities.T
    weakest = np.minimum(np.minimum(red, green), blue)
    strongest = np.maximum(np.maximum(red, green), blue)
    dusty = weakest > np.float32(limits["dust_density_above"])
    dusty &= weakest > np.float32(limits["dust_gray_above"]) * strongest
    # few fibers have any, and only these have to be looked at further
    some = np.zeros(n_fibers, bool)
    some[of_fiber[dusty]] = True
    of_some = np.flatnonzero(some[of_fiber])
    n = np.bincount(of_fiber[of_some], minlength=n_fibers)
    usual = quantiles_by_fiber(weakest[of_some], of_fiber[of_some], n, (0.5,))[0]
    least = np.nan_to_num(limits["dust_times_fiber"] * usual).astype(np.float32)
    dusty[of_some] &= weakest[of_some] > least[of_fiber[of_some]]
    return dusty


def _spots(
    spots: NDArray[np.uint8], rows: Rows, n_fibers: int, pixel_um2: float, least_um2: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Number and area of the connected spots of each fiber that are too large to be noise."""
    import cv2

    if not spots.any():
        return np.zeros(n_fibers), np.zeros(n_fibers)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(spots, connectivity=8)
    at = np.flatnonzero(spots > 0)
    spot, of_fiber = labels.ravel()[at], rows.ravel()[at]
    large = stats[:, cv2.CC_STAT_AREA] * pixel_um2 >= least_um2
    large[0] = False
    of_fiber, spot = of_fiber[large[spot]], spot[large[spot]]
    area = np.bincount(of_fiber, minlength=n_fibers).astype(np.float64) * pixel_um2
    # a spot lies in one fiber; where dust covers two, it counts in both
    pairs = np.unique(of_fiber.astype(np.int64) * len(stats) + spot) // len(stats)
    return np.bincount(pairs, minlength=n_fibers).astype(np.float64), area
