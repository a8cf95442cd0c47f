"""From label images to polygons and back.

Polygons of fibers are (N, 2) arrays of (row, column) in pixels of the label image with the
origin at the outer corner of its first pixel, so that pixel (r, c) has its center at
(r + 0.5, c + 0.5). They are open: the last vertex is joined to the first. `to_image_xy` and
`from_image_xy` alone know that QuPath and ImageJ say (x, y) and count in pixels of the
original image, from the same corner.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.labels import LabelArray, read_windows

Polygon = NDArray[np.float64]

TOLERANCE_PX = 0.34
"""How far a polygon may run from the marching-squares contour, label pixels. That contour keeps
sqrt(2)/4 = 0.354 px from every pixel center, so a smaller tolerance moves no pixel from one side
to the other, and what is left of it outlasts rounding the coordinates to 0.01 px."""

# The eight steps of a pixel chain, clockwise on the screen from east; every other one leads to a
# neighbor across a side: 0 east, 1 south, 2 west, 3 north.
_STEP_ROW = np.array([0, 1, 1, 1, 0, -1, -1, -1])
_STEP_COL = np.array([1, 1, 0, -1, -1, -1, 0, 1])
_SIDE_OFFSET = (0.5 + 0.5j) + 0.5 * (_STEP_ROW[::2] + 1j * _STEP_COL[::2])
_SINGLE_PIXEL = np.array([0, 3, 2, 1])


def fiber_polygons(
    labels: LabelArray, ids: NDArray[np.integer], boxes: NDArray[np.integer]
) -> Iterator[tuple[int, Polygon]]:
    """Outline every fiber by a polygon.

    Drawn back by the rule that a pixel is inside when its center is, a polygon gives exactly
    the pixels of its fiber, with holes filled. Of a fiber in several parts (pixels that touch
    at a corner are one part) the largest is outlined.

    Parameters
    ----------
    labels : (H, W) array of int
        Label image; read by blocks, so it may be larger than memory.
    ids : (n,) ndarray of int
        Labels of the fibers.
    boxes : (n, 4) ndarray of int
        Half-open y0, x0, y1, x1 of each fiber.

    Yields
    ------
    label : int
        Number of the fiber. The order is that of neighborhoods, not of labels.
    polygon : (N, 2) ndarray of float64
        (row, column) in pixels of the label image.
    """
    boxes = np.asarray(boxes, dtype=np.int64)
    for piece, (y0, x0), members in read_windows(labels, boxes):
        for row in members:
            top, left, bottom, right = boxes[row] - (y0, x0, y0, x0)
            label = int(ids[row])
            mask = piece[top:bottom, left:right] == label
            if mask.any():
                yield label, mask_polygon(mask) + (y0 + top, x0 + left)


def mask_polygon(mask: NDArray[np.bool_]) -> Polygon:
    """Outline the largest part of a mask.

    Marching squares at level 0.5, thinned out by the Douglas-Peucker rule within
    `TOLERANCE_PX`.

    Parameters
    ----------
    mask : (H, W) ndarray of bool
        At least one pixel is True.

    Returns
    -------
    (N, 2) ndarray of float64
        (row, column), origin at the outer corner of the first pixel.
    """
    import cv2

    found = pixel_borders(mask)
    border = found[0] if len(found) == 1 else max(found, key=enclosed_px)
    ring = trace_border(border)[0].view(np.float64).reshape(-1, 2)
    thinned = cv2.approxPolyDP(ring.astype(np.float32)[:, None], TOLERANCE_PX, True)
    polygon = thinned[:, 0].astype(np.float64)
    return polygon if len(polygon) >= 3 else ring


def to_image_xy(
    polygon: Polygon, label_mpp: tuple[float, float], image_mpp: tuple[float, float]
) -> NDArray[np.float64]:
    """Turn (row, column) in label pixels into (x, y) in pixels of the original image.

    Parameters
    ----------
    polygon : (N, 2) ndarray
        (row, column) in pixels of the label image, origin at its corner.
    label_mpp, image_mpp
        Pixel sizes (y, x) in µm.

    Returns
    -------
    (N, 2) ndarray of float64
        (x, y) in level-0 pixels, origin at the corner of the image.
    """
    scale = np.divide(label_mpp, image_mpp)
    return np.ascontiguousarray((polygon * scale)[:, ::-1])


def from_image_xy(
    points: NDArray[np.float64], image_mpp: tuple[float, float], label_mpp: tuple[float, float]
) -> Polygon:
    """Turn (x, y) in pixels of the original image into (row, column) in label pixels."""
    scale = np.divide(image_mpp, label_mpp)
    return np.ascontiguousarray(np.asarray(points, dtype=np.float64)[:, ::-1] * scale)


def fill_rings(
    rings: Sequence[Polygon], shape: tuple[int, int], origin: tuple[float, float] = (0, 0)
) -> NDArray[np.bool_]:
    """Mark the pixels whose center lies inside.

    Inside is what an odd number of rings surrounds. A center on an edge belongs to one side
    only, so polygons with a common edge neither overlap nor leave a gap.

    Parameters
    ----------
    rings
        (N, 2) arrays of (row, column).
    shape
        Rows and columns of the mask.
    origin
        Row and column of the mask's first pixel.

    Returns
    -------
    (H, W) ndarray of bool
    """
    height, width = shape
    start = np.concatenate([np.asarray(ring, dtype=np.float64) for ring in rings]) - origin
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings]) - origin
    (r0, c0), (r1, c1) = start.T, end.T
    # an edge is crossed by the center lines of rows first <= row < last
    first = np.clip(np.ceil(np.minimum(r0, r1) - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(np.maximum(r0, r1) - 0.5), 0, height).astype(np.int64)
    crossings = np.maximum(last - first, 0)
    edge = np.repeat(np.arange(len(start)), crossings)
    ends = np.cumsum(crossings)
    row = np.arange(len(edge)) - np.repeat(ends - crossings - first, crossings)
    slope = (row + 0.5 - r0[edge]) / (r1[edge] - r0[edge])
    column = c0[edge] + slope * (c1[edge] - c0[edge])
    column = np.clip(np.ceil(column - 0.5), 0, width).astype(np.int64)
    passed = np.bincount(row * (width + 1) + column, minlength=height * (width + 1))
    inside = np.cumsum(passed.reshape(height, width + 1), axis=1) & 1
    return inside[:, :width].astype(bool)


def ring_area(ring: NDArray[np.float64]) -> float:
    """Area inside one ring by the shoelace formula, in squared units of its coordinates."""
    u, v = ring.T
    return 0.5 * abs(float(np.dot(u, np.roll(v, -1)) - np.dot(v, np.roll(u, -1))))


def pixel_borders(mask: NDArray[np.bool_] | NDArray[np.uint8]) -> Sequence[NDArray[np.int32]]:
    """Find the chain of outer border pixels of each 8-connected part of a mask.

    Returns
    -------
    sequence of (n, 1, 2) ndarray of int32
        Pixels (column, row), counterclockwise on the screen, each touching the next, as OpenCV
        gives them; empty where the mask is.
    """
    import cv2

    # The chains stand next to last in what every version of OpenCV gives.
    return cv2.findContours(
        np.ascontiguousarray(mask).view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )[-2]


def enclosed_px(border: NDArray[np.int32]) -> float:
    """Count the pixels on and inside a chain of border pixels, holes included.

    By Pick's theorem: a chain of n steps through pixel centers that spans the area A encloses
    A + n/2 + 1 pixel centers; a single pixel is a chain without a step.
    """
    import cv2

    steps = len(border) if len(border) > 1 else 0
    return float(cv2.contourArea(border)) + steps / 2 + 1


def trace_border(
    border: NDArray[np.int32],
) -> tuple[NDArray[np.complex128], NDArray[np.intp]]:
    """Trace the pixel sides between a chain of border pixels and their outer neighbors.

    Parameters
    ----------
    border
        One of `pixel_borders`.

    Returns
    -------
    midpoints : (m,) ndarray of complex
        Centers of the sides in order, counterclockwise on the screen; the row is the real and
        the column the imaginary part, the first pixel reaches from 0 to 1.
    sides : (m,) ndarray of int
        Which side of its inner pixel each of them is: 0 east, 1 south, 2 west, 3 north.
    """
    chain = border.reshape(-1, 2)
    centers = chain[:, 1] + 1j * chain[:, 0]
    if len(chain) == 1:
        return centers + _SIDE_OFFSET[_SINGLE_PIXEL], _SINGLE_PIXEL
    steps = np.empty_like(chain)
    np.subtract(chain[1:], chain[:-1], out=steps[:-1])
    np.subtract(chain[0], chain[-1], out=steps[-1])
    departure = _STEP_CODE[steps[:, 1] * 3 + steps[:, 0] + 4]
    arrival = np.empty_like(departure)
    arrival[1:] = departure[:-1]
    arrival[0] = departure[-1]
    passed = _SIDES[arrival * 8 + departure]
    rows, slots = np.nonzero(passed >= 0)
    sides = passed[rows, slots].astype(np.intp)
    return centers[rows] + _SIDE_OFFSET[sides], sides


def _step_codes() -> NDArray[np.intp]:
    codes = np.zeros(9, dtype=np.intp)
    codes[(_STEP_ROW + 1) * 3 + _STEP_COL + 1] = np.arange(8)
    return codes


def _side_table() -> NDArray[np.int8]:
    """Pixel sides passed per pair of steps, -1 filled."""
    table = np.full((64, 4), -1, dtype=np.int8)
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
