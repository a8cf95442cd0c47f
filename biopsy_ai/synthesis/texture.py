"""Random fields for rendering: smooth noise at a given grain, cheap to draw many times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], grain_px: float) -> Float32:
    """Gaussian noise of zero mean and unit variance, correlated over about `grain_px` pixels.

    Parameters
    ----------
    shape
        Rows and columns of the field.
    grain_px
        Distance over which values resemble each other, pixels; 1 or less gives white noise.
    """
    import cv2

    height, width = shape
    if grain_px <= 1.2:
        return rng.standard_normal(shape, dtype=np.float32)
    small = (int(np.ceil(height / grain_px)) + 3, int(np.ceil(width / grain_px)) + 3)
    coarse = rng.standard_normal(small, dtype=np.float32)
    big = cv2.resize(
        coarse, (int(small[1] * grain_px), int(small[0] * grain_px)), interpolation=cv2.INTER_CUBIC
    )
    dy = int(rng.integers(0, big.shape[0] - height + 1))
    dx = int(rng.integers(0, big.shape[1] - width + 1))
    field = big[dy : dy + height, dx : dx + width]
    return np.asarray(field * 1.35, dtype=np.float32)


def spread_picture(
    rng: np.random.Generator, picture: NDArray[np.uint8], shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """Cover a field with a picture, turned and mirrored at random, and mirrored where it ends.

    Parameters
    ----------
    picture : (h, w, 3) ndarray of uint8
    shape
        Rows and columns of the field.
    """
    picture = np.rot90(picture, int(rng.integers(4)))
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    index = []
    for wanted, there in zip(shape, picture.shape[:2], strict=True):
        place = (np.arange(wanted) + int(rng.integers(2 * there))) % (2 * there)
        index.append(np.minimum(place, 2 * there - 1 - place))
    return np.asarray(picture[index[0][:, None], index[1]], dtype=np.uint8)


def picture_density(picture: NDArray[np.uint8]) -> Float32:
    """Optical density of an 8-bit picture against its own white."""
    white = np.percentile(picture[::4, ::4], 99, axis=(0, 1)) + 1
    density = -np.log10((picture.astype(np.float32) + 1) / white.astype(np.float32))
    return np.asarray(np.clip(density, 0, None), dtype=np.float32)


def fibrous_noise(
    rng: np.random.Generator, shape: tuple[int, int], grain_px: float, stretch: float = 5.0
) -> Float32:
    """Streaky noise like collagen bundles: smooth noise stretched along wavy lines."""
    import cv2

    height, width = shape
    side = int(1.5 * max(shape)) + 8
    streaks = smooth_noise(rng, (side, int(side / stretch) + 8), grain_px)
    streaks = cv2.resize(streaks, (side, side), interpolation=cv2.INTER_CUBIC)
    angle = float(rng.uniform(0, 180))
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), angle, 1.0)
    turn[:, 2] += (width - side) / 2, (height - side) / 2
    wave = 4 * grain_px
    shift_y = smooth_noise(rng, shape, 22 * grain_px) * wave
    shift_x = smooth_noise(rng, shape, 22 * grain_px) * wave
    turned = cv2.warpAffine(streaks, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
    grid_y, grid_x = np.mgrid[:height, :width].astype(np.float32)
    bundles = cv2.remap(
        turned, grid_x + shift_x, grid_y + shift_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(0.7 * bundles + 0.6 * smooth_noise(rng, shape, grain_px), dtype=np.float32)


def whorl(
    rng: np.random.Generator, shape: tuple[int, int], middle_px: NDArray[np.float64], mpp: float
) -> Float32:
    """Myofibrils wound around the middle of a fiber: bent rings, dense and pale by turns.

    Parameters
    ----------
    shape
        Rows and columns of the field.
    middle_px
        Row and column of the middle of the fiber.
    mpp
        Pixel size, µm.

    Returns
    -------
    (H, W) ndarray of float32
        About -1 (pale) to 1 (dense).
    """
    grid_y, grid_x = np.mgrid[: shape[0], : shape[1]].astype(np.float32) * np.float32(mpp)
    # rings run round off the middle, and a spiral has no beginning
    y = grid_y - middle_px[0] * mpp + 4 * smooth_noise(rng, shape, 22 / mpp)
    x = grid_x - middle_px[1] * mpp + 4 * smooth_noise(rng, shape, 22 / mpp)
    width = float(rng.uniform(4.5, 9.0))
    arms = int(rng.integers(-1, 2))
    bent = np.hypot(y, x) / width + 0.22 * smooth_noise(rng, shape, 7 / mpp)
    rings = np.sin(2 * np.pi * bent + arms * np.arctan2(y, x))
    # sarcoplasm between the myofibrils is a narrow pale line, and the rings fade here and there
    rings = 0.6 - 1.4 * np.exp(-1.2 * (rings + 1)) + 0.35 * rings
    faded = np.clip(0.75 + 0.35 * smooth_noise(rng, shape, 14 / mpp), 0.15, 1.2)
    return np.asarray(rings * faded, dtype=np.float32)
