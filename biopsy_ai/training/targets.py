"""What the network learns from a label image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BORDER_UM = 1.5
"""A pixel this close to two fibers belongs to the line that separates them, µm. [default]"""

SMALL_FIBER_UM2 = 500.0
"""Fibers below this area weigh more in the loss, µm². [default]"""


def make_targets(labels: NDArray, mpp: float) -> NDArray[np.uint8]:
    """Maps that the network is trained to draw, and the weight of each pixel.

    Parameters
    ----------
    labels : (H, W) ndarray of int
        Fibers; 0 is background.
    mpp
        Pixel size, µm.

    Returns
    -------
    (H, W, 4) ndarray of uint8
        ``foreground``: 255 inside fibers. ``border``: 255 within `BORDER_UM` of two different
        fibers. ``distance``: to the fiber's outline over the fiber's own maximum, so that every
        fiber peaks at 255 whatever its size. ``weight``: 40 stands for 1; more along borders and
        in small fibers, which few pixels decide.
    """
    import cv2

    labels = labels.astype(np.int32)
    inside = (labels > 0).astype(np.uint8)
    for axis in (0, 1):
        a, b = (labels[1:], labels[:-1]) if axis == 0 else (labels[:, 1:], labels[:, :-1])
        differ = (a != b) & (a > 0) & (b > 0)
        (inside[1:] if axis == 0 else inside[:, 1:])[differ] = 0
    padded = cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    n = int(labels.max())
    deepest = np.full(n + 1, 1e-6, dtype=np.float32)
    np.maximum.at(deepest, labels.ravel(), depth.ravel())
    distance = depth / deepest[labels]
    distance[labels == 0] = 0

    radius = max(round(BORDER_UM / mpp), 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    values = labels.astype(np.float32)
    highest = cv2.dilate(values, kernel)
    values[labels == 0] = 1e9
    lowest = cv2.erode(values, kernel)
    border = (highest > 0) & (lowest < 1e9) & (highest != lowest)

    area = np.bincount(labels.ravel(), minlength=n + 1) * mpp**2
    small = area < SMALL_FIBER_UM2
    small[0] = False
    weight = 40 * (1 + 2.0 * border + 2.0 * small[labels])
    maps = [labels > 0, border, distance]
    return np.stack([*(255 * m for m in maps), weight], axis=-1).astype(np.uint8)
