"""Folds: ribbons that run across fibers in which the tissue lies double.

How dense a fiber is depends on its type and its state, and a whole fiber may be as dark as a fold.
But no fiber is twice as dense on one side of a line as on the other, least of all several fibers
along one and the same line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.slides.quality import quality_limits

FOLD_MPP = 2.0
"""Scale at which folds are sought, µm per pixel: fine enough for one of 10 µm. [default]"""

SMOOTHING_PX = 3
"""Side of the median that takes noise out of the density. [default]"""
HOLE_UM = 14.0
"""Clear holes up to this width are closed before a fiber is taken as pale. [default]"""
RIM_UM = 2.0
"""So much of a fiber at its border tells nothing: it is blurred there, and the rims of some are
dark. [default]"""
USUAL_QUARTILE = 0.25
"""A fold covers up to three quarters of a fiber that tells it. [default]"""
AROUND_UM, AROUND_STEP = 100.0, 8
"""What fibers around are like: standard deviation of the mean, and the coarser pixels that it is
taken on. [default]"""
LINE_UM, LINE_STEP = 100.0, 2
"""Length of the straight lines along which a fold is followed, and the coarser pixels that they
are drawn on. [default]"""
DIRECTIONS = 16
"""Directions of these lines. [default]"""
MIN_COUNTED = 0.35
"""Share of a line that must run through fibers. [default]"""
DENSITY_UM = 60.0
"""How dense evidence is around: standard deviation of the mean. [default]"""
GAP_UM, GAP_WIDE_UM = 10.0, 14.0
"""Gaps between fibers that a fold runs on across, and between its parts. [default]"""
MIN_WIDTH_UM, MAX_WIDTH_UM = 6.0, 60.0
"""A fold is a ribbon so wide. [default]"""
MIN_LENGTH_UM = 60.0
"""And so long. [default]"""
BESIDE_UM = (2.0, 8.0)
"""How far from a fold the tissue is that it is compared with. [default]"""
MIN_SIDE_PX = 8
"""So many pixels of a fiber in the fold and beside it tell how much darker it is. [default]"""

_LEAST = 0.03


@dataclass(frozen=True, eq=False)
class _Fibers:
    """Fibers of a picture, numbered 0 to n - 1."""

    rows: NDArray[np.int32]
    """(h, w) number of the fiber, -1 for none."""
    n: int
    inside: NDArray[np.bool_]
    deep: NDArray[np.bool_]
    """Inside, but for the rim."""
    depth: NDArray[np.float32]
    """How deep below it, in pixels."""


def find_crossing_folds(
    densities: NDArray[np.float32],
    fibers: NDArray[np.integer],
    votes: NDArray[np.bool_] | None = None,
    mpp: float = FOLD_MPP,
) -> NDArray[np.bool_]:
    """Find folds that run across fibers.

    Parameters
    ----------
    densities
        (h, w, channels) optical densities of a bright-field picture.
    fibers
        (h, w) label image.
    votes
        (h, w) bool: where a network thinks of an artefact, if with little confidence; it helps
        where a fold hides whole fibers.
    mpp
        Pixel size, µm.

    Returns
    -------
    (h, w) bool

    Notes
    -----
    Evidence is, in a fiber, a density of 1.3 times the lower quartile of that fiber, and a vote
    where it is 1.35 times as dense as the fibers around are on average. A fold lies where a
    straight line of 100 µm meets evidence along 55 % of its way through fibers, and 45 points more
    than there is around: coarse texture makes evidence everywhere. What is found is believed if it
    is a ribbon, mostly known by the fibers themselves, and if at least two fibers are darker in it
    than beside it, by 1.35 times in the median and two thirds of them by 1.22 times; if these are
    even beside it, where holes are not; if it is no shallower than the fibers are, as their dark
    rims are; and if it is of the same color, as nuclei are not. It is then followed where there is
    less evidence. On synthetic sections in every bright-field stain, three quarters of the fibers
    in folds are found. A fold through perimysium alone is not, nor are fibers hidden whole in
    stains that leave some fibers dark and others pale.
    """
    nothing = np.zeros(fibers.shape, bool)
    seen = _number(fibers, mpp)
    if not seen.n:
        return nothing
    limits = {name: float(entry["value"]) for name, entry in quality_limits().items()}
    density = _smooth_density(densities, mpp)
    own = seen.inside & (density > limits["fold_rise_above"] * _usual(density, seen))
    voted = nothing
    if votes is not None:
        voted = votes & (density > limits["fold_vote_density_above"] * _around(density, seen, mpp))
    evidence = own | voted
    if not evidence.any():
        return nothing
    told = own & seen.deep
    share, usual = _along_lines(told | voted, seen.deep | voted, mpp)
    least = np.maximum(limits["fold_line_above"], usual + limits["fold_line_contrast_above"])
    found = _ribbons((share >= least) & (evidence | ~seen.inside), GAP_UM, mpp)
    found = _believed(found, told, density, densities, seen, limits, mpp)
    if not found.any():
        return nothing
    more = _ribbons(found | ((share >= limits["fold_follow_above"]) & evidence), GAP_WIDE_UM, mpp)
    return _touching(more | found, found)


def _number(fibers: NDArray[np.integer], mpp: float) -> _Fibers:
    import cv2

    ids, rows = np.unique(fibers, return_inverse=True)
    rows = rows.reshape(fibers.shape).astype(np.int32) - np.int32(ids[0] <= 0)
    inside = rows >= 0
    side = 2 * max(round(RIM_UM / mpp), 1) + 1
    kernel = np.ones((side, side), np.uint8)
    plane = rows.astype(np.float32)
    deep = inside & (cv2.dilate(plane, kernel) == cv2.erode(plane, kernel))
    depth = cv2.distanceTransform(deep.astype(np.uint8), cv2.DIST_L2, 3)
    return _Fibers(rows, len(ids) - int(ids[0] <= 0), inside, deep, depth)


def _smooth_density(densities: NDArray[np.float32], mpp: float) -> NDArray[np.float32]:
    """Density of all colors without noise and without clear holes."""
    import cv2

    total = np.ascontiguousarray(densities.sum(axis=-1), np.float32)
    smooth = cv2.medianBlur(total, SMOOTHING_PX)
    closed = cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, _disc(HOLE_UM / mpp))
    return np.maximum(closed, np.float32(_LEAST))


def _usual(density: NDArray[np.float32], seen: _Fibers) -> NDArray[np.float32]:
    """What each fiber is like where it is pale; infinite outside of fibers."""
    # not at the top of biopsy_ai.measure, which begins where outlines are known
    from biopsy_ai.measure.fiber_quantiles import quantiles_by_fiber

    at = np.flatnonzero(seen.inside)
    of_fiber = seen.rows.ravel()[at]
    n = np.bincount(of_fiber, minlength=seen.n)
    (usual,) = quantiles_by_fiber(density.ravel()[at], of_fiber, n, (USUAL_QUARTILE,))
    plane = np.full(density.shape, np.inf, np.float32)
    plane.ravel()[at] = usual[of_fiber]
    return plane


def _around(density: NDArray[np.float32], seen: _Fibers, mpp: float) -> NDArray[np.float32]:
    """Mean density of the fibers around every place; infinite where there are none."""
    import cv2

    inside = seen.inside.astype(np.float32)
    small = tuple(max(side // AROUND_STEP, 1) for side in reversed(density.shape))
    spread = AROUND_UM / (mpp * AROUND_STEP)
    weight, total = (
        cv2.GaussianBlur(cv2.resize(plane, small, interpolation=cv2.INTER_AREA), (0, 0), spread)
        for plane in (inside, density * inside)
    )
    mean = np.divide(total, weight, out=np.full_like(total, np.inf), where=weight > 1e-3)
    height, width = density.shape
    return np.asarray(cv2.resize(mean, (width, height), interpolation=cv2.INTER_NEAREST))


def _along_lines(
    evidence: NDArray[np.bool_], counted: NDArray[np.bool_], mpp: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Largest share of evidence along a line through every place, and the share around it."""
    import cv2

    height, width = evidence.shape
    small = tuple(max(side // LINE_STEP, 1) for side in (width, height))
    yes, all_ = (
        cv2.resize(plane.astype(np.float32), small, interpolation=cv2.INTER_AREA)
        for plane in (evidence, counted)
    )
    spacing = mpp * LINE_STEP
    best = np.zeros_like(yes)
    for angle in np.arange(DIRECTIONS) * np.pi / DIRECTIONS:
        kernel = _line(LINE_UM / spacing, float(angle))
        met, way = (
            cv2.filter2D(plane, -1, kernel, borderType=cv2.BORDER_CONSTANT) for plane in (yes, all_)
        )
        np.maximum(best, np.where(way > MIN_COUNTED, met / np.maximum(way, 1e-3), 0), out=best)
    met, way = (cv2.GaussianBlur(plane, (0, 0), DENSITY_UM / spacing) for plane in (yes, all_))
    usual = met / np.maximum(way, 1e-3)
    share, around = (
        cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
        for plane in (best, usual)
    )
    return np.asarray(share), np.asarray(around)


def _line(length_px: float, angle: float) -> NDArray[np.float32]:
    """Kernel that averages along a direction."""
    import cv2

    half = max(int(length_px / 2), 1)
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    dx, dy = half * np.cos(angle), half * np.sin(angle)
    ends = [(round(half + way * dx), round(half + way * dy)) for way in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return kernel / kernel.sum()


def _ribbons(mask: NDArray[np.bool_], gap_um: float, mpp: float) -> NDArray[np.bool_]:
    """Close gaps, and take away what is too narrow or too wide."""
    import cv2

    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, _disc(gap_um / mpp))
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, _disc(MIN_WIDTH_UM / mpp))
    radius = MAX_WIDTH_UM / 2 / mpp
    wide = cv2.distanceTransform(opened, cv2.DIST_L2, 3) > radius
    if wide.any():
        away = cv2.distanceTransform((~wide).astype(np.uint8), cv2.DIST_L2, 3)
        opened[away < 1.3 * radius] = 0  # with the corners that a disc does not fill
    return opened > 0


def _believed(
    found: NDArray[np.bool_],
    told: NDArray[np.bool_],
    density: NDArray[np.float32],
    densities: NDArray[np.float32],
    seen: _Fibers,
    limits: dict[str, float],
    mpp: float,
) -> NDArray[np.bool_]:
    """Keep the parts that fibers on both sides of their borders speak for."""
    import cv2

    _, parts, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8), connectivity=8)
    long = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    kept = long * mpp >= MIN_LENGTH_UM
    kept[0] = False
    near, far = (_disc(2 * reach / mpp + 1) for reach in BESIDE_UM)
    margin = len(far)
    for number in np.flatnonzero(kept).tolist():
        x, y, width, height = stats[number, :4].tolist()
        box = np.s_[
            max(y - margin, 0) : y + height + margin, max(x - margin, 0) : x + width + margin
        ]
        part = parts[box] == number
        inner = part & seen.inside[box]
        deep = float(np.count_nonzero(part & seen.deep[box]))
        if np.count_nonzero(part & told[box]) < limits["fold_told_share_from"] * max(deep, 1.0):
            kept[number] = False  # only the network says so
            continue
        grown = cv2.dilate(part.astype(np.uint8), far) > cv2.dilate(part.astype(np.uint8), near)
        beside = grown & seen.inside[box] & ~found[box]
        steps, spread = _compare(density[box], inner, beside, seen.rows[box])
        kept[number] = (
            len(steps) >= limits["fold_fibers_from"]
            and np.median(steps) >= limits["fold_step_from"]
            and np.mean(steps >= limits["fold_least_step_from"]) >= limits["fold_steps_share_from"]
            and np.median(spread) <= limits["fold_spread_beside_below"]
            and _relative_depth(part & seen.deep[box], box, seen) >= limits["fold_depth_from"]
            and _angle(densities[box], inner, beside) <= limits["fold_hue_angle_below"]
        )
    return np.asarray(kept[parts])


def _compare(
    density: NDArray[np.float32],
    inner: NDArray[np.bool_],
    beside: NDArray[np.bool_],
    rows: NDArray[np.int32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How many times as dense each fiber is in a fold as beside it, and how much it varies there.

    The latter is the standard deviation of the logarithm.
    """
    means, spreads = [], []
    top = int(rows.max(initial=-1)) + 1
    logs = np.log(density)
    for where in (inner, beside):
        of_fiber, values = rows[where], logs[where]
        n = np.bincount(of_fiber, minlength=top)
        count = np.where(n >= MIN_SIDE_PX, n, np.nan)
        mean = np.bincount(of_fiber, values, minlength=top) / count
        square = np.bincount(of_fiber, values**2, minlength=top) / count
        means.append(mean)
        spreads.append(np.sqrt(np.maximum(square - mean**2, 0)))
    steps = np.exp(means[0] - means[1])
    known = np.isfinite(steps)
    return steps[known], spreads[1][known]


def _relative_depth(part: NDArray[np.bool_], box: tuple[slice, slice], seen: _Fibers) -> float:
    """Mean depth of a fold in its fibers over the mean depth of these; low in rims of fibers."""
    rows, depth = seen.rows[box][part], seen.depth[box][part]
    deep = seen.deep[box]
    of_fiber, there = seen.rows[box][deep], seen.depth[box][deep]
    mean = np.bincount(of_fiber, there) / np.maximum(np.bincount(of_fiber), 1)
    return float(depth.sum() / max(float(mean[rows].sum()), 1e-6))


def _angle(
    densities: NDArray[np.float32], inner: NDArray[np.bool_], beside: NDArray[np.bool_]
) -> float:
    """Angle between the colors in a fold and beside it, degrees."""
    colors = [densities[where].mean(axis=0, dtype=np.float64) for where in (inner, beside)]
    lengths = [max(float(np.linalg.norm(color)), 1e-9) for color in colors]
    cosine = float(colors[0] @ colors[1]) / (lengths[0] * lengths[1])
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def _touching(mask: NDArray[np.bool_], seeds: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Parts of a mask that hold a seed."""
    import cv2

    n, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    kept = np.zeros(n, bool)
    kept[np.unique(parts[seeds])] = True
    kept[0] = False
    return np.asarray(kept[parts])


def _disc(width_px: float) -> NDArray[np.uint8]:
    import cv2

    side = 2 * max(round((width_px - 1) / 2), 1) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
