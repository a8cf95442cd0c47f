"""Fibers window by window: every fiber is drawn in the one window that holds its centroid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.segmentation.drawing import (
    COARSE,
    FiberDrawing,
    FiberMaps,
    coarse_labels,
    draw_fibers,
)
from biopsy_ai.segmentation.thresholds import InstanceThresholds
from biopsy_ai.segmentation.tissue_edge import TissueEdge

CORE_PX = 3072
"""Side of the squares whose centroids belong to one window, pixels (1.5 mm). Larger ones waste less
on their halo, smaller ones need less memory: this one about 150 MB."""

SMALL_CORE_PX = 1536
"""The same where a field would be a single window: several are drawn at the same time. [default]"""

HALO_PX = 400
"""How far a window sees beyond its core, pixels (200 µm, more than the widest fiber)."""

TOLERANCE_PX = 4
"""Centroids this far outside the core are drawn as well, lest two windows that see a fiber
slightly differently both leave it to the other. The double is dropped when it is placed."""


@dataclass(frozen=True)
class Window:
    """A square of the slide; y0, x0, y1, x1 half-open, pixels of the working grid, all even.

    Attributes
    ----------
    core
        The square that decides which fibers belong to the window.
    outer
        What the window sees: the core and its halo, within the slide.
    """

    core: tuple[int, int, int, int]
    outer: tuple[int, int, int, int]


@dataclass(frozen=True)
class WindowFiber:
    """One fiber of a window, in pixels of the whole slide.

    Attributes
    ----------
    y0, x0, mask
        Top left corner and (h, w) uint8 mask, 0 and 255.
    area_px, confidence
        As in `FiberDrawing`.
    centroid
        (row, column), pixels.
    faces_glass
        Whether a good part of its outline faces empty glass.
    truncated
        Whether it reaches the end of what the window sees, so that it may go on there.
    """

    y0: int
    x0: int
    mask: NDArray[np.uint8]
    area_px: int
    confidence: float
    centroid: tuple[float, float]
    faces_glass: bool
    truncated: bool


def cut_windows(
    shape: tuple[int, int], core_px: int = CORE_PX, halo_px: int = HALO_PX
) -> list[Window]:
    """Cut a slide into windows, row by row.

    Parameters
    ----------
    shape
        (H, W) of the working grid; both even.
    core_px, halo_px
        Even numbers of pixels.
    """
    height, width = shape
    windows = []
    for y0 in range(0, height, core_px):
        for x0 in range(0, width, core_px):
            y1, x1 = min(y0 + core_px, height), min(x0 + core_px, width)
            outer = (
                max(0, y0 - halo_px),
                max(0, x0 - halo_px),
                min(height, y1 + halo_px),
                min(width, x1 + halo_px),
            )
            windows.append(Window((y0, x0, y1, x1), outer))
    return windows


def window_fibers(
    maps: FiberMaps,
    window: Window,
    shape: tuple[int, int],
    thresholds: InstanceThresholds,
    mpp: float,
    tissue_edge: TissueEdge | None = None,
) -> list[WindowFiber]:
    """Find and draw the fibers whose centroid lies in the core of a window.

    Parameters
    ----------
    maps
        Of ``window.outer``.
    window
        Where the maps lie.
    shape
        (H, W) of the slide on the working grid, as given to `cut_windows`.
    thresholds
        See `InstanceThresholds`.
    mpp
        Pixel size of the working grid, µm.
    tissue_edge
        To tell which fibers face empty glass.

    Returns
    -------
    list of WindowFiber
        Ordered by centroid, row by row.
    """
    labels = coarse_labels(maps, thresholds, mpp)
    wanted, boxes = _in_core(labels, window, thresholds.min_area_um2 / mpp**2)
    top, left, bottom, right = window.outer
    fibers = []
    for drawing in draw_fibers(labels, wanted, boxes, maps, thresholds, mpp):
        height, width = drawing.mask.shape
        y0, x0 = drawing.y0 + top, drawing.x0 + left
        y1, x1 = y0 + height, x0 + width
        truncated = (
            (y0 <= top > 0)
            or (x0 <= left > 0)
            or (y1 >= bottom < shape[0])
            or (x1 >= right < shape[1])
        )
        contour = drawing.contour + (top, left)
        fibers.append(
            WindowFiber(
                y0=y0,
                x0=x0,
                mask=drawing.mask,
                area_px=drawing.area_px,
                confidence=drawing.confidence,
                centroid=_centroid(drawing, (top, left)),
                faces_glass=tissue_edge is not None and tissue_edge.is_faced_by(contour, mpp),
                truncated=truncated,
            )
        )
    fibers.sort(key=lambda fiber: fiber.centroid)
    return fibers


def _in_core(
    labels: NDArray[np.uint16], window: Window, min_area_px: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels with their centroid in the core, and their boxes, on the coarse grid."""
    import cv2
    from scipy import ndimage

    top, left = window.outer[0] / COARSE, window.outer[1] / COARSE
    low_y, low_x = (side / COARSE - TOLERANCE_PX / COARSE for side in window.core[:2])
    high_y, high_x = (side / COARSE + TOLERANCE_PX / COARSE for side in window.core[2:])
    wanted, boxes = [], []
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        # Nothing to do for a gap in the numbers, or where even the box misses the core.
        if box is None or not (
            box[0].start + top < high_y
            and box[0].stop + top > low_y
            and box[1].start + left < high_x
            and box[1].stop + left > low_x
        ):
            continue
        moments = cv2.moments((labels[box] == label).view(np.uint8), True)
        area = moments["m00"]
        # Corners and holes are added later: at most half of a small fiber is missing here.
        if area * COARSE**2 < min_area_px / 2:
            continue
        y = moments["m01"] / area + box[0].start + top + 0.5
        x = moments["m10"] / area + box[1].start + left + 0.5
        if low_y <= y < high_y and low_x <= x < high_x:
            wanted.append(label)
            boxes.append((box[0].start, box[1].start, box[0].stop, box[1].stop))
    return np.array(wanted, np.int64), np.array(boxes, np.int64).reshape(-1, 4)


def _centroid(drawing: FiberDrawing, origin: tuple[int, int]) -> tuple[float, float]:
    import cv2

    moments = cv2.moments(drawing.mask, True)
    y = moments["m01"] / moments["m00"] + drawing.y0 + origin[0] + 0.5
    x = moments["m10"] / moments["m00"] + drawing.x0 + origin[1] + 0.5
    return y, x
