"""The outline of one fiber: traced along pixel edges, then drawn with sub-pixel accuracy.

A label image says of every pixel center whether it lies in the fiber, so the true outline runs
somewhere between a pixel inside and its neighbor outside. Half way between the two is right on
average, whatever the direction of the outline; pixel corners lie outside it (by up to 0.7 px on
each side of a rotated square) and pixel centers inside it. The outline is therefore drawn through
these midpoints, smoothed along its length, and sharp corners, which smoothing blunts and which the
pixel grid loses, are put back where the straight sides beside them meet.

Coordinates are (row, column) in pixels with pixel (0, 0) reaching from 0 to 1, in the crop given.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import convolve1d

from biopsy_ai.measure.reference import value

# The eight steps of a pixel chain, clockwise on the screen from east.
_STEP_ROW = np.array([0, 1, 1, 1, 0, -1, -1, -1])
_STEP_COL = np.array([1, 1, 0, -1, -1, -1, 0, 1])
_SIDE_OFFSET = 0.5 + 0.5 * np.stack([_STEP_ROW[::2], _STEP_COL[::2]], axis=1)
_SINGLE_PIXEL = np.array([2, 1, 0, 3])


def _step_codes() -> np.ndarray:
    codes = np.zeros(9, dtype=np.intp)
    codes[(_STEP_ROW + 1) * 3 + _STEP_COL + 1] = np.arange(8)
    return codes


def _side_table() -> np.ndarray:
    """Pixel sides (0 east, 1 south, 2 west, 3 north) passed per pair of steps, -1 filled."""
    table = np.full((64, 4), -1, dtype=np.intp)
    for arrival in range(8):
        for departure in range(8):
            direction, sides = (arrival + 3) % 8, []
            while direction != departure:
                if direction % 2 == 0:
                    sides.append(direction // 2)
                direction = (direction - 1) % 8
            table[arrival * 8 + departure, : len(sides)] = sides
    return table


_STEP_CODE = _step_codes()
_SIDES = _side_table()


@dataclass(frozen=True)
class PixelOutline:
    """The outer border of the largest connected part of a mask, along pixel sides.

    Attributes
    ----------
    midpoints : (n, 2) ndarray of float
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
    import cv2

    found = cv2.findContours(
        np.ascontiguousarray(mask).view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    chains = found[-2]
    if not len(chains):
        raise ValueError("the mask is empty: there is no outline to trace")
    # Pick's theorem: a chain of n steps through pixel centers that spans the area A encloses
    # A + n/2 + 1 pixel centers (a single pixel is a chain without a step).
    areas = [
        cv2.contourArea(chain) + (len(chain) / 2 if len(chain) > 1 else 0.0) + 1 for chain in chains
    ]
    largest = int(np.argmax(areas))
    chain = chains[largest].reshape(-1, 2)
    if len(chain) == 1:
        sides = _SINGLE_PIXEL
        pixels = np.repeat(chain, 4, axis=0)
    else:
        steps = np.empty_like(chain)
        np.subtract(chain[1:], chain[:-1], out=steps[:-1])
        np.subtract(chain[0], chain[-1], out=steps[-1])
        departure = _STEP_CODE[steps[:, 1] * 3 + steps[:, 0] + 4]
        arrival = np.empty_like(departure)
        arrival[1:] = departure[:-1]
        arrival[0] = departure[-1]
        passed = _SIDES[arrival * 8 + departure]
        rows, slots = np.nonzero(passed >= 0)
        sides = passed[rows, slots]
        pixels = chain[rows]
    return PixelOutline(pixels[:, ::-1] + _SIDE_OFFSET[sides], sides, float(areas[largest]))


@lru_cache(maxsize=64)
def _kernels(sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian weights, and those of twice the Gaussian less the Gaussian applied twice."""
    reach = int(4 * sigma + 1)
    gauss = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    gauss /= gauss.sum()
    twice = np.convolve(gauss, gauss)
    return gauss, 2 * np.pad(gauss, reach) - twice


def subpixel_outline(outline: PixelOutline) -> np.ndarray:
    """Draw the outline of a fiber with sub-pixel accuracy.

    The midpoints of pixel sides are smoothed along the outline with twice a Gaussian less the
    Gaussian applied twice, which, unlike the Gaussian, leaves the radius of a smooth curve as it
    is. Sharp corners are then restored (`_sharp_corners`), and what lies between two of them is
    drawn as one straight side where the pixels say no else.

    Parameters
    ----------
    outline : PixelOutline
        From `trace_outline`.

    Returns
    -------
    (m, 2) ndarray of float
        Closed polygon, row and column, first point not repeated.

    Notes
    -----
    Bias and scatter over many shapes, sizes and poses are kept in the tests of `feret`. No number
    here is fitted to one shape: the smoothing length is the run of pixels in a slanted edge, the
    two corner limits are the half diagonal of a pixel and the scatter of pixel centers about a
    straight line.
    """
    points = outline.midpoints
    diameter = 2.0 * np.sqrt(outline.area_px / np.pi)
    sigma = round(min(value("outline_smoothing_px"), 0.1 * diameter), 1)
    if len(points) < 12 or sigma < 0.3:
        return points
    smooth = convolve1d(points, _kernels(sigma)[1], axis=0, mode="wrap")
    corners, at = _sharp_corners(points, smooth, diameter)
    if not len(corners):
        return smooth
    keep = _away_from_corners(points, corners, at, reach=3.0 * sigma)
    order = np.argsort(np.concatenate([np.flatnonzero(keep), at + 0.5]), kind="stable")
    return np.concatenate([smooth[keep], corners])[order]


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
    points, smooth : (n, 2) ndarray of float
        Midpoints of pixel sides, as they are and smoothed.
    diameter : float
        Equivalent diameter, pixels.

    Returns
    -------
    corners : (k, 2) ndarray of float
    at : (k,) ndarray of int
        Index of the outline point nearest to each, ascending.
    """
    import cv2

    n = len(points)
    coarse = smooth.astype(np.float32)
    vertices = cv2.approxPolyDP(
        coarse.reshape(-1, 1, 2), value("corner_tolerance") * diameter, True
    ).reshape(-1, 2)
    vertices = vertices[interior_angles(vertices) < 135.0]
    if not len(vertices):
        return np.empty((0, 2)), np.empty(0, dtype=np.intp)
    at = (coarse.view(np.int64).ravel() == vertices.view(np.int64)).argmax(axis=1)

    steps = smooth[1:] - smooth[:-1]
    per_px = n / np.hypot(steps[:, 0], steps[:, 1]).sum()
    near = max(1.5, min(0.06 * diameter, 2.0))
    far = max(near + 3.0, min(0.38 * diameter, 14.0))
    reach = np.arange(round(near * per_px), round(far * per_px) + 1)
    beside = points[(at[:, None, None] + reach * np.array([[-1], [1]])) % n]

    center = beside.mean(axis=2)
    row, col = np.moveaxis(beside - center[:, :, None], -1, 0)
    angle = 0.5 * np.arctan2(
        2.0 * np.sum(row * col, axis=2), np.sum(row**2, axis=2) - np.sum(col**2, axis=2)
    )
    line = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    line *= np.sign(np.sum((beside[:, :, -1] - beside[:, :, 0]) * line, axis=-1))[..., None]
    scatter = np.sqrt(np.mean((row * line[..., 1:] - col * line[..., :1]) ** 2, axis=2))

    one, other = line[:, 0], line[:, 1]
    sine = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
    apart = center[:, 1] - center[:, 0]
    sine[sine == 0] = 1e-9
    along = (apart[:, 0] * other[:, 1] - apart[:, 1] * other[:, 0]) / sine
    crossing = center[:, 0] + along[:, None] * one
    opening = np.arccos(np.clip(np.sum(one * other, axis=1), -1.0, 1.0))
    around = points[(at[:, None] + np.arange(-reach[0] - 3, reach[0] + 4)) % n]
    gap = np.sqrt(np.sum((around - crossing[:, None]) ** 2, axis=2).min(axis=1))
    sharp = (
        (opening > np.radians(15.0))
        & (opening < np.radians(118.0))
        & (gap * np.sin(opening / 2.0) < np.sqrt(0.5))
        & (scatter.max(axis=1) < value("straight_side_scatter_px"))
    )
    order = np.argsort(at[sharp], kind="stable")
    return crossing[sharp][order], at[sharp][order]


def _away_from_corners(
    points: np.ndarray, corners: np.ndarray, at: np.ndarray, *, reach: float
) -> np.ndarray:
    """Say which points of the smoothed outline to keep beside the restored corners."""
    n = len(points)
    keep = np.ones(n, dtype=bool)
    margin = np.arange(-int(reach), int(reach) + 1)
    keep[((at[:, None] + margin) % n).ravel()] = False
    if len(at) < 2:
        return keep
    limit = value("straight_side_scatter_px")
    for k in range(len(at)):
        nxt = (k + 1) % len(at)
        count = (at[nxt] - at[k]) % n
        side = corners[nxt] - corners[k]
        length = float(np.hypot(side[0], side[1]))
        if count < 2 or length < 4.0:
            continue
        between = np.arange(at[k], at[k] + count + 1) % n
        away = points[between] - corners[k]
        off = (away[:, 0] * side[1] - away[:, 1] * side[0]) / length
        if np.sqrt(np.mean(off**2)) < limit:
            keep[between] = False
    return keep


def interior_angles(polygon: np.ndarray) -> np.ndarray:
    """Interior angle at each vertex of a closed polygon, degrees in 0..360.

    Parameters
    ----------
    polygon : (n, 2) ndarray
        At least three vertices, in either sense of rotation, none doubled.

    Returns
    -------
    (n,) ndarray of float
    """
    vertices = polygon.astype(float, copy=False)
    arriving = vertices - np.roll(vertices, 1, axis=0)
    leaving = np.roll(arriving, -1, axis=0)
    cross = arriving[:, 0] * leaving[:, 1] - arriving[:, 1] * leaving[:, 0]
    turn = np.arctan2(cross, np.sum(arriving * leaving, axis=1))
    return 180.0 - np.degrees(turn) * np.sign(turn.sum() or 1.0)
