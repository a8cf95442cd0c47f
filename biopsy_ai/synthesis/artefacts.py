"""What is done to a section by hand: crushed with forceps, marked with ink."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.synthesis.texture import Float32, smooth_noise

_INKS = ((20, 20, 24), (30, 40, 110), (20, 90, 50), (110, 30, 40))
"""Colors of marking ink, 8-bit RGB: black, blue, green, red. [default]"""


def crush(
    od: Float32, count: int, mpp: float, rng: np.random.Generator
) -> tuple[Float32, NDArray[np.bool_]]:
    """Smear the tissue in some places along one direction, and make it denser.

    Parameters
    ----------
    od
        (H, W, 3) optical density.
    count
        Places.
    mpp
        Pixel size, µm.

    Returns
    -------
    od : (H, W, 3) ndarray of float32
    where : (H, W) ndarray of bool
        What can no longer be told apart.
    """
    import cv2

    shape = (od.shape[0], od.shape[1])
    where = np.zeros(shape, dtype=bool)
    for _ in range(count):
        reach = float(rng.uniform(50, 150)) / mpp
        place = _blob(shape, reach, rng)
        angle = float(rng.uniform(0, np.pi))
        length = float(rng.uniform(20, 50)) / mpp
        kernel = _line(length, angle)
        waves = smooth_noise(rng, shape, 12 / mpp) * float(rng.uniform(4, 12)) / mpp
        grid_y, grid_x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        bent = cv2.remap(
            cv2.filter2D(od, -1, kernel),
            grid_x - waves * np.float32(np.sin(angle)),
            grid_y + waves * np.float32(np.cos(angle)),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
        bent *= np.float32(rng.uniform(1.0, 1.5))
        share = cv2.GaussianBlur(place.astype(np.float32), (0, 0), 4 / mpp)[..., None]
        od = od * (1 - share) + bent * share
        where |= place
    return np.asarray(od, dtype=np.float32), where


def ink(
    shape: tuple[int, int], count: int, mpp: float, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], Float32]:
    """Marks of ink that hide what lies under them.

    Returns
    -------
    where : (H, W) ndarray of bool
    od : (3,) ndarray of float32
        Optical density of the ink.
    """
    where = np.zeros(shape, dtype=bool)
    for _ in range(count):
        where |= _blob(shape, float(rng.uniform(20, 120)) / mpp, rng)
    color = np.asarray(_INKS[int(rng.integers(len(_INKS)))], dtype=np.float32)
    od = -np.log10((color + 1) / 256) * np.float32(rng.uniform(0.9, 1.5))
    return where, np.asarray(od, dtype=np.float32)


def _blob(shape: tuple[int, int], reach_px: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """An uneven place somewhere in the field."""
    grid_y, grid_x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    y, x = (float(rng.uniform(0, n)) for n in shape)
    slim = float(rng.uniform(0.5, 1.0))
    away = np.hypot(grid_y - y, (grid_x - x) * slim) / np.float32(reach_px)
    uneven = 0.25 * smooth_noise(rng, shape, max(0.6 * reach_px, 2.0))
    blob: NDArray[np.bool_] = away + uneven < 1
    return blob


def _line(length_px: float, angle: float) -> Float32:
    """Kernel that blurs along a direction."""
    import cv2

    half = max(int(length_px / 2), 1)
    kernel = np.zeros((2 * half + 1, 2 * half + 1), dtype=np.float32)
    dy, dx = half * np.sin(angle), half * np.cos(angle)
    start, end = (round(half - dx), round(half - dy)), (round(half + dx), round(half + dy))
    cv2.line(kernel, start, end, 1.0)
    return kernel / kernel.sum()
