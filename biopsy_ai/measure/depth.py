"""How deep a place lies inside a fiber."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def border_depth(mask: NDArray[np.bool_], mpp: tuple[float, float]) -> NDArray[np.float32]:
    """Distance of every pixel of a mask from its border.

    Parameters
    ----------
    mask : (h, w) ndarray of bool
        What lies beyond the array is outside.
    mpp : (y, x) tuple of float
        Pixel size in µm.

    Returns
    -------
    (h, w) ndarray of float32
        µm from the center of the pixel to the side of the nearest pixel outside; 0 outside.
    """
    import cv2

    padded = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    if abs(mpp[0] - mpp[1]) <= 1e-3 * mpp[1]:
        distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_5)
        distance *= np.float32(mpp[0])
    else:
        from scipy.ndimage import distance_transform_edt

        distance = distance_transform_edt(padded, sampling=mpp)
    # to the center of the first pixel outside, and back by half a pixel to its side
    depth = distance[1:-1, 1:-1] - 0.25 * (mpp[0] + mpp[1])
    return np.asarray(np.maximum(depth, 0.0), dtype=np.float32)


def fill_holes(mask: NDArray[np.bool_], free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill the holes of a mask, as far as nothing else lies in them.

    Parameters
    ----------
    mask : (h, w) ndarray of bool
    free : (h, w) ndarray of bool
        Where no other label lies.

    Returns
    -------
    (h, w) ndarray of bool

    Notes
    -----
    A nucleus or a vacuole in the middle of a fiber may have been left out of its outline; it
    belongs to the fiber all the same.
    """
    import cv2

    around = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    cv2.floodFill(around, None, (0, 0), 1)
    holes = around[1:-1, 1:-1] == 0
    return mask | (holes & free) if holes.any() else mask
