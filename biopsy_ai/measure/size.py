"""Area, position and ellipse of a fiber from its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Size:
    """What the pixels of a fiber say about its size and direction.

    Attributes
    ----------
    area_px : int
    centroid_y, centroid_x : float
        Micrometers from the top left corner of the mask.
    axis_major_length, axis_minor_length : float
        Axes of the ellipse with the same second moments, µm.
    eccentricity : float
    orientation_deg : float
        Angle between the row axis (downward) and the major axis, -90..90, counter-clockwise.
    """

    area_px: int
    centroid_y: float
    centroid_x: float
    axis_major_length: float
    axis_minor_length: float
    eccentricity: float
    orientation_deg: float


def measure_size(mask: np.ndarray, mpp: tuple[float, float]) -> Size:
    """Measure area, centroid and equivalent ellipse of all pixels of a mask.

    Parameters
    ----------
    mask : (H, W) ndarray of uint8
        1 inside, 0 outside; not empty. Holes and separate parts are taken as they are.
    mpp : (y, x) tuple of float
        Pixel size in µm, which need not be square.

    Returns
    -------
    Size
        As ``skimage.measure.regionprops`` with ``spacing=mpp`` gives them; the centroid is
        measured from the corner of the mask rather than from the center of its first pixel.
    """
    import cv2

    moments = cv2.moments(mask)
    area = moments["m00"]
    height, width = mpp
    # Sums over pixel centers estimate the moments of the true figure without bias; adding the
    # second moment of a pixel, 1/12, would make them those of the union of its pixels.
    rows = moments["mu02"] / area * height**2
    cols = moments["mu20"] / area * width**2
    mixed = moments["mu11"] / area * height * width
    mean, half = (rows + cols) / 2, np.hypot((rows - cols) / 2, mixed)
    large, small = mean + half, max(mean - half, 0.0)
    if mixed == 0 and rows == cols:
        orientation = 45.0
    else:
        orientation = float(np.degrees(0.5 * np.arctan2(2 * mixed, rows - cols)))
    return Size(
        int(round(area)),
        (moments["m01"] / area + 0.5) * height,
        (moments["m10"] / area + 0.5) * width,
        4.0 * float(np.sqrt(large)),
        4.0 * float(np.sqrt(small)),
        float(np.sqrt(max(1.0 - small / large, 0.0))) if large > 0 else 0.0,
        orientation,
    )
