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

# Directions from a pixel to its neighbors, counterclockwise from the right, as (row, column).
_STEPS = np.array(
    [(0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1)], dtype=np.int64
)


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

    found, _ = cv2.findContours(
        np.ascontiguousarray(mask).view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    border = found[0] if len(found) == 1 else max(found, key=_enclosed)
    ring = _between_pixels(border[:, 0, ::-1].astype(np.int64))
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


def _enclosed(border: NDArray[np.int32]) -> tuple[float, int]:
    import cv2

    # the area inside the chain of border pixels is zero for lines, so pixels decide then
    return cv2.contourArea(border), len(border)


def _between_pixels(border: NDArray[np.int64]) -> NDArray[np.float64]:
    """Turn a chain of border pixels into the contour between them and their outer neighbors.

    Parameters
    ----------
    border : (N, 2) ndarray
        Border pixels (row, column), counterclockwise on the screen, each touching the next.

    Returns
    -------
    (M, 2) ndarray of float64
        Midpoints of the pixel edges between inside and outside, in order.
    """
    if len(border) == 1:
        return border + 0.5 + 0.5 * _STEPS[::2]
    step = np.roll(border, -1, axis=0) - border
    leaving = _DIRECTION[step[:, 0] + 1, step[:, 1] + 1]
    back = (np.roll(leaving, 1) + 4) % 8
    sides = _OUTER_SIDES[back, leaving]
    pixel, column = np.nonzero(sides >= 0)
    return border[pixel] + 0.5 + 0.5 * _STEPS[sides[pixel, column]]


def _direction_table() -> NDArray[np.int64]:
    table = np.full((3, 3), -1, dtype=np.int64)
    table[_STEPS[:, 0] + 1, _STEPS[:, 1] + 1] = np.arange(8)
    return table


def _outer_side_table() -> NDArray[np.int64]:
    """Sides of a pixel that face outward, by the directions it is reached from and left to."""
    table = np.full((8, 8, 4), -1, dtype=np.int64)
    for back in range(8):
        for leaving in range(8):
            between = (leaving - back - 1) % 8
            turned = [(back + 1 + i) % 8 for i in range(between)]
            sides = [direction for direction in turned if direction % 2 == 0]
            table[back, leaving, : len(sides)] = sides
    return table


_DIRECTION = _direction_table()
_OUTER_SIDES = _outer_side_table()
