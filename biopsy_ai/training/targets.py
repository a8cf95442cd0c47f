"""What the network learns from a label image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BORDER_UM = 1.5
"""A pixel this close to two fibers belongs to the line that separates them, µm. [default]"""

SMALL_FIBER_UM2 = 500.0
"""Fibers below this area weigh more in the loss, µm². [default]"""

TINY_FIBER_UM2 = 150.0
"""Fibers below this area weigh more still, µm². [default]"""

TIP_RADIUS_UM = 2.0
"""Where no disc of this radius fits into a fiber is a tip or a corner, µm. [default]"""

UNIT_WEIGHT = 20
"""Value of the weight map that stands for 1."""

NUCLEUS_BORDER_UM = 0.75
"""A pixel this close to two nuclei weighs more, µm. [default]"""

UNKNOWN_CLASS = 255
"""Tissue class of pixels that nothing is known of."""

NOT_CLASS = 128
"""Added to the tissue class that a pixel does not belong to, where no more is known."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of a picture; all on its grid.

    Attributes
    ----------
    fibers
        (H, W, 4) uint8 of `make_targets`; weight 0 where nothing is known.
    nuclei
        (H, W, 2) uint8 of `make_nucleus_targets`; weight 0 where nothing is known.
    tissue
        (H, W) uint8 tissue class, `NOT_CLASS` + class, or `UNKNOWN_CLASS`.
    """

    fibers: NDArray[np.uint8]
    nuclei: NDArray[np.uint8]
    tissue: NDArray[np.uint8]


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
    labels = labels.astype(np.int32)
    inside, distance = _relative_depth(labels)
    border = _between(labels, BORDER_UM / mpp)
    n = int(labels.max())
    area = np.bincount(labels.ravel(), minlength=n + 1) * mpp**2
    extra = 2.0 * (area < SMALL_FIBER_UM2) + 3.0 * (area < TINY_FIBER_UM2)
    extra[0] = 0
    weight = 1 + 2.0 * border + extra[labels] + 4.0 * _tips(inside, mpp)
    if holes is not None:
        weight += 3.0 * (holes & (labels > 0))
    maps = [255 * m for m in (labels > 0, border, distance)]
    return np.stack([*maps, np.minimum(UNIT_WEIGHT * weight, 255)], axis=-1).astype(np.uint8)


def make_nucleus_targets(
    labels: NDArray, mpp: float, *, known: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """What the network learns of nuclei, in two maps, and the weight of each pixel in the second.

    Parameters
    ----------
    labels : (H, W) ndarray of int
        Nuclei; 0 is background.
    mpp
        Pixel size, µm.
    known
        (H, W) where nuclei are known; everywhere when left out.

    Returns
    -------
    (H, W, 2) ndarray of uint8
        ``distance``: 0 outside, 1 to 255 inside, where every nucleus peaks whatever its size.
        ``weight``: `UNIT_WEIGHT` stands for 1; more between two nuclei, 0 where not known.
    """
    labels = labels.astype(np.int32)
    _, distance = _relative_depth(labels)
    weight = 1 + 5.0 * _between(labels, NUCLEUS_BORDER_UM / mpp)
    if known is not None:
        weight = np.where(known, weight, 0)
    # Rounded up and lifted: what is inside stays above 0, also where two nuclei touch.
    scaled = np.where(labels > 0, np.maximum(np.ceil(255 * distance), 1), 0)
    return np.stack([scaled, UNIT_WEIGHT * weight], axis=-1).astype(np.uint8)


def _relative_depth(labels: NDArray[np.int32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Mask of the labels, parted where two touch, and depth over the label's own maximum."""
    import cv2

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
    return inside, distance


def _between(labels: NDArray[np.int32], reach_px: float) -> NDArray[np.bool_]:
    """Pixels within reach of two different labels."""
    import cv2

    radius = max(round(reach_px), 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    values = labels.astype(np.float32)
    highest = cv2.dilate(values, kernel)
    values[labels == 0] = 1e9
    lowest = cv2.erode(values, kernel)
    between: NDArray[np.bool_] = (highest > 0) & (lowest < 1e9) & (highest != lowest)
    return between


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
