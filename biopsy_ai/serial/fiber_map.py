"""What registration sees of a section: its fibers on a grid of about 1 µm, not its stain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.evaluation.matching import border_labels
from biopsy_ai.labels import LabelArray, read_sampled, view_on_grid

MAP_MPP = 1.0
"""Pixel size of the map, µm: a fiber of 10 µm spans 10 pixels. [default]"""

MAP_PX = 36_000_000
"""Larger sections are seen more coarsely. [default]"""

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FiberMap:
    """The fibers of a section on a coarse grid of square pixels.

    Attributes
    ----------
    name
        What messages call the section.
    labels : (H, W) ndarray of int32
        0 is background, n the fiber with label n.
    mpp
        Pixel size, µm.
    ids : (n,) ndarray of int64
        Labels that have pixels, ascending.
    centers_um : (n, 2) ndarray
        Row and column of their centers from the corner of the section.
    area_um2 : (n,) ndarray
    is_cut : (n,) ndarray of bool
        Whether the border of the image cuts the fiber, so that its center is not where it seems.
    """

    name: str
    labels: NDArray[np.int32]
    mpp: float
    ids: NDArray[np.int64]
    centers_um: Points
    area_um2: NDArray[np.float64]
    is_cut: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def extent_um(self) -> tuple[float, float]:
        height, width = self.labels.shape
        return height * self.mpp, width * self.mpp

    @property
    def diameter_um(self) -> float:
        """Median equivalent diameter; NaN without fibers."""
        if not len(self):
            return float("nan")
        return float(np.median(2 * np.sqrt(self.area_um2 / np.pi)))


def read_fiber_map(labels: LabelArray, mpp: tuple[float, float], name: str) -> FiberMap:
    """Look at a label image on the grid of registration.

    Parameters
    ----------
    labels : (H, W) array of int
        Read in windows.
    mpp : (y, x) tuple of float
        Pixel size, µm; need not be square.
    name
        What messages call the section.

    Returns
    -------
    FiberMap
    """
    square = float(min(mpp))
    height, width = (
        int(np.ceil(n * side / square - 1e-6))
        for n, side in zip(labels.shape[:2], mpp, strict=True)
    )
    view = view_on_grid(labels, mpp, (height, width), (square, square))
    scale = max(MAP_MPP / square, float(np.sqrt(height * width / MAP_PX)), 1.0)
    sampled = np.maximum(read_sampled(view, scale), 0).astype(np.int32)
    return map_of(sampled, square * scale, name)


def map_of(labels: NDArray[np.int32], mpp: float, name: str) -> FiberMap:
    """Find centers and areas of the fibers on a grid of square pixels."""
    flat = labels.ravel()
    at = np.flatnonzero(flat)
    ids, row = np.unique(flat[at], return_inverse=True)
    size = np.bincount(row, minlength=len(ids))
    y, x = np.divmod(at, max(labels.shape[1], 1))
    sums = np.stack([np.bincount(row, part, len(ids)) for part in (y, x)], axis=1)
    centers: Points = (sums / np.maximum(size, 1)[:, None] + 0.5) * mpp
    area = size.astype(np.float64) * mpp**2
    cut = np.isin(ids, border_labels(labels))
    return FiberMap(name, labels, mpp, ids.astype(np.int64), centers, area, cut)
