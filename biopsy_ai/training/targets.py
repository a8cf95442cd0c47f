"""What the network learns from a label image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BORDER_UM = 1.5
"""A pixel this close to two fibers belongs to the line that separates them, µm. [default]"""

SMALL_FIBER_UM2 = 500.0
"""Fibers below this area weigh more in the loss, µm². [default]"""

TIP_RADIUS_UM = 2.0
"""Where no disc of this radius fits into a fiber is a tip or a corner, µm. [default]"""

UNIT_WEIGHT = 20
"""Value of the weight map that stands for 1."""


def make_targets(
    labels: NDArray, mpp: float, *, holes: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """Maps that the network is trained to draw, and the weight of each pixel.

    Parameters
    ----------
    labels : (H, W) ndarray of int
        Fibers; 0 is background.
    mpp
        Pixel size, µm.
    holes
        (H, W) holes inside the fibers, such as those of ice crystals, which belong to the fiber.

    Returns
    -------
    (H, W, 4) ndarray of uint8
        ``foreground``: 255 inside fibers. ``border``: 255 within `BORDER_UM` of two different
        fibers. ``distance``: to the fiber's outline over the fiber's own maximum, so that every
        fiber peaks at 255 whatever its size. ``weight``: `UNIT_WEIGHT` stands for 1; more along
        borders, in small fibers, at tips and corners and in holes, which few pixels decide.
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
    weight = 1 + 2.0 * border + 2.0 * small[labels] + 4.0 * _tips(inside, mpp)
    if holes is not None:
        weight += 3.0 * (holes & (labels > 0))
    maps = [labels > 0, border, distance]
    return np.stack([*(255 * m for m in maps), UNIT_WEIGHT * weight], axis=-1).astype(np.uint8)


def _tips(inside: NDArray[np.uint8], mpp: float) -> NDArray[np.bool_]:
    """Tips and corners of fibers and the pixels just outside of them."""
    import cv2

    radius = max(round(TIP_RADIUS_UM / mpp), 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    padded = cv2.copyMakeBorder(inside, radius, radius, radius, radius, cv2.BORDER_REPLICATE)
    body = cv2.morphologyEx(padded, cv2.MORPH_OPEN, disc)
    tips = cv2.subtract(padded, body)[radius:-radius, radius:-radius]
    near = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (radius + 1 | 1, radius + 1 | 1))
    return np.asarray(cv2.dilate(tips, near) > 0)
