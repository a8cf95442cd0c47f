"""Draw the shapes of a section on a pixel grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.synthesis.geometry import Geometry

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Layers:
    """Rasters of one section; all (H, W)."""

    labels: NDArray[np.int32]
    septa: NDArray[np.float32]
    """Coverage by strands of endomysium, 0..1."""
    fascicle: NDArray[np.bool_]
    fat: NDArray[np.int32]
    infiltrate: NDArray[np.bool_]
    vessel_wall: NDArray[np.bool_]
    vessel_lumen: NDArray[np.bool_]
    nerve: NDArray[np.bool_]
    lobule: NDArray[np.bool_]
    fibrosis: NDArray[np.bool_]
    spindle: NDArray[np.bool_]
    """Capsules of spindles and all that they hold."""


def fill_polygon(target: NDArray, outline_um: Points, mpp: float, value: float) -> None:
    """Set the pixels whose center lies inside an outline (row, column in µm; even-odd rule)."""
    height, width = target.shape
    y, x = (outline_um / mpp - 0.5).T
    top, bottom = max(int(np.ceil(y.min())), 0), min(int(np.floor(y.max())), height - 1)
    left, right = max(int(np.ceil(x.min())), 0), min(int(np.floor(x.max())), width - 1)
    if top > bottom or left > right:
        return
    y_next, x_next = np.roll(y, -1), np.roll(x, -1)
    low, high = np.minimum(y, y_next), np.maximum(y, y_next)
    first = np.maximum(np.ceil(low), top).astype(np.int64)
    last = np.minimum(np.ceil(high) - 1, bottom).astype(np.int64)
    count = np.maximum(last - first + 1, 0)
    edge = np.repeat(np.arange(len(y)), count)
    start = np.cumsum(count) - count
    row = first[edge] + np.arange(len(edge)) - start[edge]
    slope = (x_next - x)[edge] / (y_next - y)[edge]
    cross = np.ceil(x[edge] + (row - y[edge]) * slope)
    column = np.clip(cross, left, right + 1).astype(np.int64) - left
    toggles = np.zeros((bottom - top + 1, right - left + 2), dtype=np.int32)
    np.add.at(toggles, (row - top, column), 1)
    inside = np.cumsum(toggles, axis=1)[:, :-1] % 2 == 1
    target[top : bottom + 1, left : right + 1][inside] = value


def parted(labels: NDArray) -> NDArray[np.uint8]:
    """Mask of all labels, 0 or 1, cut by a line of pixels where one label meets another value."""
    mask = (labels > 0).astype(np.uint8)
    mask[:, 1:][labels[:, 1:] != labels[:, :-1]] = 0
    mask[1:][labels[1:] != labels[:-1]] = 0
    return mask


def rasterize(geometry: Geometry, mpp: float) -> Layers:
    """Draw all shapes on a grid of pixel size `mpp` µm whose corner is the field's corner.

    Fiber ``i`` of the geometry gets label ``i + 1``; where outlines overlap the later one wins.
    """
    import cv2

    shape = (round(geometry.size_um[0] / mpp), round(geometry.size_um[1] / mpp))

    def filled(outlines: list[Points]) -> NDArray[np.bool_]:
        mask = np.zeros(shape, dtype=bool)
        for outline in outlines:
            fill_polygon(mask, outline, mpp, True)
        return mask

    labels = np.zeros(shape, dtype=np.int32)
    for i, fiber in enumerate(geometry.fibers):
        fill_polygon(labels, fiber.outline, mpp, i + 1)
    fat = np.zeros(shape, dtype=np.int32)
    for i, outline in enumerate(geometry.fat):
        fill_polygon(fat, outline, mpp, i + 1)
    fat[labels > 0] = 0
    # thin strands are drawn twice as fine so that widths below a pixel survive
    fine = np.zeros((2 * shape[0], 2 * shape[1]), dtype=np.uint8)
    for line, width in geometry.septa:
        points = np.round((line[:, ::-1] / mpp * 2 - 0.5) * 16).astype(np.int32)
        thickness = max(1, round(2 * width / mpp))
        cv2.polylines(fine, [points], False, 255, min(thickness, 200), cv2.LINE_AA, shift=4)
    septa = cv2.resize(fine, shape[::-1], interpolation=cv2.INTER_AREA)
    vessel = filled([outer for outer, _ in geometry.vessels])
    lumen = filled([inner for _, inner in geometry.vessels])
    free = (labels == 0) & (fat == 0)
    return Layers(
        labels=labels,
        septa=septa.astype(np.float32) / 255,
        fascicle=filled(geometry.fascicles),
        fat=fat,
        infiltrate=filled(geometry.infiltrates) & free,
        vessel_wall=vessel & ~lumen & free,
        vessel_lumen=lumen & free,
        nerve=filled(geometry.nerves) & free & ~vessel,
        lobule=filled(geometry.lobules) & (labels == 0),
        fibrosis=filled(geometry.fibrosis) & free,
        spindle=filled([spindle.capsule for spindle in geometry.spindles]) & (labels == 0),
    )
