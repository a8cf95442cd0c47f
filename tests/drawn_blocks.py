"""Serial sections drawn quickly: cells around points, seen through a known map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree


@dataclass(frozen=True)
class DrawnTissue:
    """Fibers around points (row, column in µm, from -2 sizes to 3 sizes of the field)."""

    points: NDArray[np.float64]
    weight: NDArray[np.float64]
    size_um: float


def draw_tissue(size_um: float = 700.0, pitch_um: float = 45.0, seed: int = 0) -> DrawnTissue:
    """Scatter fibers of various sizes over a field and beyond it."""
    rng = np.random.default_rng(seed)
    low, high = -0.5 * size_um, 1.5 * size_um
    wanted = int(((high - low) / pitch_um) ** 2)
    points = rng.uniform(low, high, (wanted, 2))
    for _ in range(4):  # pushed apart, as fibers are
        distance, near = cKDTree(points).query(points, k=5)
        away = points[:, None] - points[near[:, 1:]]
        push = np.clip(pitch_um - distance[:, 1:], 0, None) / np.maximum(distance[:, 1:], 1e-6)
        points = points + 0.25 * (away * push[..., None]).sum(1)
    return DrawnTissue(points, rng.uniform(0.85, 1.2, wanted), size_um)


def draw_serial_section(
    tissue: DrawnTissue,
    *,
    angle_deg: float = 0.0,
    mirrored: bool = False,
    shift_um: tuple[float, float] = (0.0, 0.0),
    stretch_um: float = 0.0,
    missing: float = 0.0,
    gap_um: float = 2.5,
    mpp: float = 1.0,
    seed: int = 0,
) -> NDArray[np.int32]:
    """Draw a section; label ``n`` is fiber ``n - 1`` of the tissue in every section of it.

    Parameters
    ----------
    angle_deg, mirrored, shift_um
        How it lies.
    stretch_um
        Spread of a smooth displacement with a grain of some 150 µm.
    missing
        Share of fibers that are not there.
    """
    rng = np.random.default_rng(seed)
    side = round(tissue.size_um / mpp)
    grid = (np.stack(np.mgrid[0:side, 0:side], axis=-1).reshape(-1, 2) + 0.5) * mpp
    turn = np.deg2rad(angle_deg)
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    if mirrored:
        linear = linear @ np.diag([1.0, -1.0])
    middle = tissue.size_um / 2
    back = (grid - middle - np.array(shift_um)) @ linear + middle
    if stretch_um:
        for axis in (0, 1):
            noise = gaussian_filter(rng.normal(size=(side, side)), 120 / mpp, mode="wrap")
            back[:, axis] += stretch_um * (noise / noise.std()).ravel()
    distance, near = cKDTree(tissue.points).query(back, k=5)
    distance = distance / tissue.weight[near]
    order = np.argsort(distance, axis=1)
    distance = np.take_along_axis(distance, order, 1)
    first = np.take_along_axis(near, order, 1)[:, 0]
    gap = distance[:, 1] - distance[:, 0] < gap_um
    gone = rng.random(len(tissue.points)) < missing
    labels = np.where(gap | gone[first], 0, first + 1).reshape(side, side).astype(np.int32)
    return labels
