"""The parts of a mask side by side on a small canvas, when little of a large field is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SHELF_PX = 2048
"""Parts are put side by side up to this width, then begin a new row."""

_GAP_PX = 1
"""Between two parts, so that they stay apart."""


@dataclass(frozen=True, eq=False)
class Gathered:
    """Where the pixels of a mask are brought to.

    Attributes
    ----------
    pixels
        (k,) flat index of each pixel of the mask in the field, ascending.
    places
        (k,) its flat index on the canvas.
    shape
        (h, w) of the canvas.
    """

    pixels: NDArray[np.int64]
    places: NDArray[np.int64]
    shape: tuple[int, int]

    def bring(self, field: NDArray[Any]) -> NDArray[Any]:
        """Return the canvas with the values that the field has in the mask, 0 elsewhere."""
        canvas = np.zeros(self.shape, field.dtype)
        canvas.ravel()[self.places] = field.ravel()[self.pixels]
        return canvas


def gather_parts(mask: NDArray[np.uint8]) -> Gathered:
    """Put the parts of a mask side by side, each as it is, the tallest first.

    Where that would take more room than the field, all stays where it is.

    Parameters
    ----------
    mask
        (H, W), not 0 inside. Its parts are 8-connected, and stay apart by a pixel.
    """
    import cv2

    count, parts = cv2.connectedComponents(mask, connectivity=8, ltype=cv2.CV_32S)
    pixels = np.flatnonzero(mask > 0)
    if count == 1:
        return Gathered(pixels, pixels, (1, 1))
    part = parts.ravel()[pixels] - 1
    row, column = np.divmod(pixels, mask.shape[1])
    top, bottom, right = (np.zeros(count - 1, np.int64) for _ in range(3))
    left = np.full(count - 1, mask.shape[1], np.int64)
    # Rows ascend: what is written last stays.
    top[part[::-1]], bottom[part] = row[::-1], row
    np.minimum.at(left, part, column)
    np.maximum.at(right, part, column)

    height, width = bottom - top + 1 + _GAP_PX, right - left + 1 + _GAP_PX
    order = np.argsort(-height, kind="stable")
    start = np.cumsum(width[order]) - width[order]
    _, first, shelf = np.unique(start // _SHELF_PX, return_index=True, return_inverse=True)
    tallest = height[order][first]
    x, y = np.zeros((2, count - 1), np.int64)
    x[order] = start - start[first][shelf]
    y[order] = (np.cumsum(tallest) - tallest)[shelf]
    shape = int(tallest.sum()), int((x + width).max())
    if shape[0] * shape[1] > mask.size:  # boxes that lie in one another, as of slanted lines
        return Gathered(pixels, pixels, (int(mask.shape[0]), int(mask.shape[1])))
    places = (row - top[part] + y[part]) * shape[1] + column - left[part] + x[part]
    return Gathered(pixels, places, shape)
