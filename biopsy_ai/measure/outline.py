"""The outline of one fiber: traced along pixel edges, then drawn with sub-pixel accuracy.

A label image says of every pixel center whether it lies in the fiber, so the true outline runs
somewhere between a pixel inside and its neighbor outside. Half way between the two is right on
average, whatever the direction of the outline; pixel corners lie outside it (by up to 0.7 px on
each side of a rotated square) and pixel centers inside it. The outline is therefore drawn through
these midpoints, smoothed along its length, and sharp corners, which smoothing blunts and which the
pixel grid loses, are put back where the straight sides beside them meet.

Points are complex numbers, the row as the real and the column as the imaginary part, in pixels of
the crop given, whose first pixel reaches from 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from biopsy_ai.formats.contours import enclosed_px, pixel_borders, trace_border
from biopsy_ai.measure.reference import value

_BOTH_WAYS = np.array([[-1], [1]])

_CANDIDATE_ANGLE_DEG = 135.0


@dataclass(frozen=True)
class PixelOutline:
    """The outer border of the largest connected part of a mask, along pixel sides.

    Attributes
    ----------
    midpoints : (n,) ndarray of complex
        Centers of the pixel sides that separate inside from outside, in order, counter-clockwise
        on the screen.
    sides : (n,) ndarray of int
        Which side of its inner pixel each of them is: 0 east, 1 south, 2 west, 3 north.
    area_px : float
        Pixels enclosed, holes included.
    """

    midpoints: np.ndarray
    sides: np.ndarray
    area_px: float


def trace_outline(mask: np.ndarray) -> PixelOutline:
    """Trace the outer border of the largest 8-connected part of a mask.

    Parameters
    ----------
    mask : (H, W) ndarray of uint8 or bool
        Nonzero inside; must not be empty.

    Returns
    -------
    PixelOutline
        Holes are taken as part of the fiber; parts other than the largest are left out.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    chains = pixel_borders(mask)
    if not len(chains):
        raise ValueError("the mask is empty: there is no outline to trace")
    largest = max(chains, key=enclosed_px) if len(chains) > 1 else chains[0]
    return PixelOutline(*trace_border(largest), enclosed_px(largest))


@lru_cache(maxsize=64)
def _kernel(sigma: float) -> np.ndarray:
    """Weights of twice a Gaussian less the Gaussian applied twice; odd in number."""
    reach = int(4 * sigma + 1)
    gauss = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    gauss /= gauss.sum()
    return 2 * np.pad(gauss, reach) - np.convolve(gauss, gauss)


def _smooth(points: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve a closed line of points with a symmetric kernel."""
    reach = len(kernel) // 2
    around = np.arange(-reach, len(points) + reach) % len(points)
    return np.convolve(points[around], kernel, mode="valid")


def subpixel_outline(outline: PixelOutline) -> np.ndarray:
    """Draw the outline of a fiber with sub-pixel accuracy.

    The midpoints of pixel sides are smoothed along the outline with twice a Gaussian less the
    Gaussian applied twice, which, unlike the Gaussian, leaves the radius of a smooth curve as it
    is. Sharp corners are then restored (`_sharp_corners`), and what lies between two of them is
    drawn as one straight side where the pixels do not say otherwise.

    Parameters
    ----------
    outline : PixelOutline
        From `trace_outline`.

    Returns
    -------
    (m,) ndarray of complex
        Closed polygon, first point not repeated.

    Notes
    -----
    No number here is fitted to one shape: the smoothing length was chosen by the error over many
    shapes, sizes and poses, and the two limits for corners are the half diagonal of a pixel and
    the scatter of pixel sides about a straight line.
    """
    points = outline.midpoints
    diameter = 2.0 * np.sqrt(outline.area_px / np.pi)
    sigma = round(min(value("outline_smoothing_px"), 0.1 * diameter), 1)
    if len(points) < 12 or sigma < 0.3:
        return points
    smooth = _smooth(points, _kernel(sigma))
    corners, at = _sharp_corners(points, smooth, diameter)
    keep = _away_from_corners(points, corners, at, reach=int(3.0 * sigma))
    if len(corners) and np.count_nonzero(keep) + len(corners) >= 3:
        order = np.argsort(np.concatenate([np.flatnonzero(keep), at + 0.5]), kind="stable")
        smooth = np.concatenate([smooth[keep], corners])[order]
    # Points nearer to the line of their neighbors than 1/2000 of the size only cost time.
    kept = simplify(smooth, 5e-4 * diameter)
    return smooth[kept] if len(kept) >= 3 else smooth


def _sharp_corners(
    points: np.ndarray, smooth: np.ndarray, diameter: float
) -> tuple[np.ndarray, np.ndarray]:
    """Find corners that are sharp at the scale of a pixel, and where exactly they lie.

    Candidates are the vertices of the Douglas-Peucker polygon. Beside each, a line is fitted to
    the outline on either side; their crossing is a sharp corner if both sides are straight to
    within the scatter of pixel sides about a line, and the outline reaches as near to the crossing
    as the grid lets it.

    Parameters
    ----------
    points, smooth : (n,) ndarray of complex
        Midpoints of pixel sides, as they are and smoothed.
    diameter : float
        Equivalent diameter, pixels.

    Returns
    -------
    corners : (k,) ndarray of complex
    at : (k,) ndarray of int
        Index of the outline point nearest to each, ascending.
    """
    vertices = simplify(smooth, value("corner_tolerance") * diameter)
    candidates = np.flatnonzero(interior_angles(smooth[vertices]) < _CANDIDATE_ANGLE_DEG)
    if len(vertices) < 3 or not len(candidates):
        return np.empty(0, dtype=complex), np.empty(0, dtype=np.intp)
    at = vertices[candidates]
    per_px = len(points) / np.abs(np.diff(smooth)).sum()
    near = max(1.5, min(0.06 * diameter, 2.0))
    far = max(near + 3.0, min(0.38 * diameter, 14.0))
    reach = np.arange(round(near * per_px), round(far * per_px) + 1)
    # Most corners of a large fiber are round at this scale; they go without a fit.
    ends = smooth[(at[:, None] + reach[-1] * _BOTH_WAYS.T) % len(points)] - smooth[at, None]
    at = at[np.abs(np.angle(ends[:, 0] * ends[:, 1].conj())) < np.radians(_CANDIDATE_ANGLE_DEG)]
    if not len(at):
        return np.empty(0, dtype=complex), np.empty(0, dtype=np.intp)
    beside = points[(at[:, None, None] + reach * _BOTH_WAYS) % len(points)]

    # Total least squares: for complex deviations from the center, the angle of the line is half
    # the angle of the sum of their squares, and what that sum lacks in length is the scatter.
    center = beside.mean(axis=2)
    away = beside - center[:, :, None]
    squares = np.mean(away**2, axis=2)
    scatter = np.mean(away.real**2 + away.imag**2, axis=2) - np.abs(squares)
    line = np.exp(0.5j * np.angle(squares))
    line *= np.where((away[:, :, -1] * line.conj()).real < 0, -1.0, 1.0)

    one, other = line[:, 0], line[:, 1]
    turn = one.conj() * other
    opening = np.abs(np.angle(turn))
    apart = (center[:, 1] - center[:, 0]) * other.conj()
    sine = np.where(turn.imag == 0, 1e-9, turn.imag)
    crossing = center[:, 0] - apart.imag / sine * one
    around = points[(at[:, None] + np.arange(-reach[0] - 3, reach[0] + 4)) % len(points)]
    gap = np.abs(around - crossing[:, None]).min(axis=1)
    sharp = (
        (opening > np.radians(15.0))
        & (opening < np.radians(118.0))
        & (gap * np.sin(opening / 2.0) < np.sqrt(0.5))
        & (scatter.max(axis=1) < 2.0 * value("straight_side_scatter_px") ** 2)
    )
    return crossing[sharp], at[sharp]


def _away_from_corners(
    points: np.ndarray, corners: np.ndarray, at: np.ndarray, *, reach: int
) -> np.ndarray:
    """Say which points of the smoothed outline to keep beside the restored corners."""
    n = len(points)
    keep = np.ones(n, dtype=bool)
    keep[(at[:, None] + np.arange(-reach, reach + 1)) % n] = False
    if len(at) < 2:
        return keep
    limit = value("straight_side_scatter_px") ** 2
    for k in range(len(at)):
        following = (k + 1) % len(at)
        count = (at[following] - at[k]) % n
        side = corners[following] - corners[k]
        if count < 2 or abs(side) < 4.0:
            continue
        between = np.arange(at[k], at[k] + count + 1) % n
        off = ((points[between] - corners[k]) * side.conjugate()).imag / abs(side)
        if np.mean(off**2) < limit:
            keep[between] = False
    return keep


def simplify(polygon: np.ndarray, tolerance: float) -> np.ndarray:
    """Douglas-Peucker simplification of a closed polygon.

    Parameters
    ----------
    polygon : (n,) ndarray of complex
    tolerance : float
        Largest distance of a dropped point from the simplified polygon.

    Returns
    -------
    (m,) ndarray of int
        Indices of the points kept, ascending.
    """
    import cv2

    coarse = np.asarray(polygon, dtype=np.complex64)
    kept = cv2.approxPolyDP(coarse.view(np.float32).reshape(-1, 1, 2), tolerance, True)
    same = coarse.view(np.int64) == np.ascontiguousarray(kept).reshape(-1, 2).view(np.int64)
    return np.sort(same.argmax(axis=1))


def interior_angles(polygon: np.ndarray) -> np.ndarray:
    """Interior angle at each vertex of a closed polygon, degrees in 0..360.

    Parameters
    ----------
    polygon : (n,) ndarray of complex
        In either sense of rotation, no vertex doubled.

    Returns
    -------
    (n,) ndarray of float
    """
    arriving = polygon - np.concatenate([polygon[-1:], polygon[:-1]])
    leaving = np.concatenate([arriving[1:], arriving[:1]])
    turn = np.angle(arriving.conj() * leaving)
    return 180.0 - np.degrees(turn if turn.sum() >= 0 else -turn)
