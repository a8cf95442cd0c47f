"""Focus, folds and tears in a piece of a section, read off its pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

EDGE_REACH_UM = 6.0
"""An edge is followed this far to both sides; blur beyond it cannot be told apart. [default]"""
EDGE_SMOOTHING_UM = 1.0
"""Blur against noise before edges are measured. [default]"""
STRONG_EDGES = 0.1
"""Share of the edges, those with the largest step, that tell the focus. [default]"""
MIN_EDGES = 5
"""So many edges are needed, and so many of them tell the focus at least. [default]"""
FOLD_SMOOTHING_UM = 3.0
"""Blur that takes nuclei and granules out of the density. [default]"""
FOLD_WIDTH_UM, FOLD_LENGTH_UM = 8.0, 120.0
"""A fold is at least this wide, and longer than a fiber is. [default]"""
FOLD_GAP_UM = 12.0
"""Pale gaps between fibers that a fold runs on across. [default]"""
TEAR_WIDTH_UM, TEAR_LENGTH_UM = 5.0, 60.0
"""A tear is wider than a crack around a shrunken fiber, and at least so long. [default]"""
MAX_TEAR_WIDTH_UM = 30.0
"""What is clear and wider may be fat cells, whose membranes often do not show. [default]"""
CLEAR_DENSITY = 0.05
"""Optical density (base 10, of the channel that absorbs most) below which nothing lies on the
glass. [default]"""


def edge_width(
    plane: NDArray[np.floating[Any]], mpp: float, where: NDArray[np.bool_] | None = None
) -> float:
    """Width over which the sharpest borders in a picture change from dark to bright, µm.

    Parameters
    ----------
    plane
        (rows, columns) intensities on any scale.
    mpp
        Pixel size, µm.
    where
        (rows, columns) bool: where edges count; everywhere if not given.

    Returns
    -------
    float
        Median, over the strongest tenth of all edges, of the difference between the brightest and
        the darkest intensity within 6 µm over the steepest slope. NaN where there are fewer than
        5 edges. A step blurred by a Gaussian of SD s has width 2.5 s, a thin line 1.6 s.

    Notes
    -----
    After the edge spread of Marziliano et al. 2002 (A no-reference perceptual blur metric), read
    as abstract only; unlike the variance of the Laplacian it does not change with the contrast of
    the stain.
    """
    import cv2

    smooth = cv2.GaussianBlur(np.asarray(plane, np.float32), (0, 0), EDGE_SMOOTHING_UM / mpp)
    rise, run = (cv2.Sobel(smooth, cv2.CV_32F, *way, ksize=3) / 8 for way in ((0, 1), (1, 0)))
    slope = np.hypot(rise, run) / np.float32(mpp)
    reach = 2 * max(round(EDGE_REACH_UM / mpp), 1) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    step = cv2.dilate(smooth, disc) - cv2.erode(smooth, disc)
    steepest = (slope >= cv2.dilate(slope, np.ones((3, 3), np.uint8))) & (slope > 0)
    if where is not None:
        steepest &= where
    steps, slopes = step[steepest], slope[steepest]
    if len(steps) < MIN_EDGES:
        return float("nan")
    last = (len(steps) - 1) * (1 - max(STRONG_EDGES, MIN_EDGES / len(steps)))
    strong = steps >= np.partition(steps, math.ceil(last))[math.ceil(last)]
    return float(np.median(steps[strong] / slopes[strong]))


def fold_limits(densities: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Densities that one layer of tissue does not reach.

    Parameters
    ----------
    densities
        (pixels, channels) optical densities of tissue, at the scale of a thumbnail.
    factor
        How much denser than the dark tissue (90th percentile) a double layer is.

    Returns
    -------
    (channels,) float32
        Infinite for all but the two channels that absorb most: a weak channel tells nothing, and
        nuclei crowd in one channel only.
    """
    limits = np.full(densities.shape[1], np.inf, np.float32)
    if not len(densities):
        return limits
    strongest = np.argsort(np.median(densities, axis=0))[::-1][:2]
    limits[strongest] = factor * np.percentile(densities[:, strongest], 90, axis=0)
    return limits


def find_folds(
    densities: NDArray[np.float32], limits: NDArray[np.float32], mpp: float
) -> NDArray[np.bool_]:
    """Find where tissue lies double.

    Parameters
    ----------
    densities
        (rows, columns, channels) optical densities.
    limits
        (channels,) from `fold_limits`.
    mpp
        Pixel size, µm.

    Returns
    -------
    (rows, columns) bool
        Where all channels with a limit exceed it, over at least 8 µm of width and 120 µm of
        length.

    Notes
    -----
    Light is absorbed twice in a fold, which stays dark and of the same color; the color rules of
    Bautista & Yagi 2010 (J Pathol Inform 1:25) and Kothari et al. 2013 (J Pathol Inform 4:22),
    saturation less intensity, say the same for H&E and fail on gray stains. On synthetic
    sections what is found is a fold nearly always (dense collagen in picrosirius red is taken for
    one, too), but many are missed: over pale fibers of a stain with dark ones, so that next to
    nothing is found where the two are mixed, and where folds cover a tenth of the tissue.
    """
    import cv2

    dark = np.ones(densities.shape[:2], bool)
    for channel in np.flatnonzero(np.isfinite(limits)):
        plane = np.ascontiguousarray(densities[..., channel])
        dark &= cv2.GaussianBlur(plane, (0, 0), FOLD_SMOOTHING_UM / mpp) > limits[channel]
    if not np.isfinite(limits).any():
        dark[:] = False
    dark = ~_opened(~dark, FOLD_GAP_UM / mpp)
    return _long_parts(_opened(dark, FOLD_WIDTH_UM / mpp), FOLD_LENGTH_UM / mpp)


def find_tears(
    densities: NDArray[np.float32], tissue: NDArray[np.bool_], mpp: float
) -> NDArray[np.bool_]:
    """Find cracks in the tissue through which glass shows.

    Parameters
    ----------
    densities
        (rows, columns, channels) optical densities.
    tissue
        (rows, columns) bool, tissue with its holes.
    mpp
        Pixel size, µm.

    Returns
    -------
    (rows, columns) bool
        Clear areas 5 to 30 µm wide and at least 60 µm long. Wider holes cannot be told from fat
        here. Gaps left by shrinkage between fascicles count as tears, and so does perimysium where
        a stain leaves it as clear as glass (ATPase, NADH-TR, SDH).
    """
    import cv2

    stained = np.zeros_like(tissue)
    for channel in range(densities.shape[-1]):
        stained |= densities[..., channel] >= CLEAR_DENSITY
    clear = tissue & ~stained
    clear = _opened(clear, TEAR_WIDTH_UM / mpp)
    radius = MAX_TEAR_WIDTH_UM / 2 / mpp
    depth = cv2.distanceTransform(clear.astype(np.uint8), cv2.DIST_L2, 5)
    if (depth > radius).any():
        away = cv2.distanceTransform((depth <= radius).astype(np.uint8), cv2.DIST_L2, 5)
        clear &= away > 1.3 * radius  # with the corners that a disc does not fill
    return _long_parts(clear, TEAR_LENGTH_UM / mpp)


def _opened(mask: NDArray[np.bool_], width_px: float) -> NDArray[np.bool_]:
    """Take away what is narrower; the picture continues at its border."""
    import cv2

    side = max(round(width_px), 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    edge = cv2.BORDER_REPLICATE
    less = cv2.erode(mask.astype(np.uint8), disc, borderType=edge)
    return np.asarray(cv2.dilate(less, disc[::-1, ::-1], borderType=edge) > 0) & mask


def _long_parts(mask: NDArray[np.bool_], length_px: float) -> NDArray[np.bool_]:
    """Keep the connected parts that are long enough."""
    import cv2

    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    kept = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]) >= length_px
    kept[0] = False
    return np.asarray(kept[labels])
