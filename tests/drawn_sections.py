"""Small sections with fibers of known size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile


@dataclass(frozen=True)
class DrawnSection:
    """A drawn section: round fibers in rows, of known size."""

    image: Path
    labels: Path
    mpp: float
    n_fibers: int
    diameter_um: float


def draw_section(folder: Path, name: str = "section", *, mpp: float = 0.5) -> DrawnSection:
    """Write an RGB TIFF with 12 round pink fibers on white, and its label image."""
    radius, pitch, rows, columns = 20, 48, 3, 4
    labels = np.zeros((rows * pitch, columns * pitch), dtype=np.int32)
    y, x = np.indices(labels.shape)
    for label in range(1, rows * columns + 1):
        row, column = divmod(label - 1, columns)
        center = (row + 0.5) * pitch, (column + 0.5) * pitch
        labels[np.hypot(y + 0.5 - center[0], x + 0.5 - center[1]) <= radius] = label
    image = np.full((*labels.shape, 3), 245, dtype=np.uint8)
    image[labels > 0] = (220, 120, 150)
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / f"{name}.tif", folder / "labels" / f"{name}_labels.tif"
    paths[1].parent.mkdir(exist_ok=True)
    per_cm = (1e4 / mpp, 1e4 / mpp)
    for path, pixels in zip(paths, (image, labels), strict=True):
        tifffile.imwrite(path, pixels, resolution=per_cm, resolutionunit="CENTIMETER")
    return DrawnSection(paths[0], paths[1], mpp, rows * columns, 2 * radius * mpp)
