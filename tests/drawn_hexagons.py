"""Label images of fibers that lie in a lattice of hexagons."""

from __future__ import annotations

import numpy as np

from biopsy_ai.measure import measure_fibers
from biopsy_ai.patterns.contacts import Contacts, find_contacts

MPP = (0.5, 0.5)
WIDTH = 50.0
"""Of a hexagon with half of the gap around it, µm."""


def hexagons(
    rows: int, columns: int, *, gap: float = 2.0, mpp: tuple[float, float] = MPP, pad: float = 20.0
) -> np.ndarray:
    """A lattice of hexagons numbered in rows, flat sides beside each other in a row."""
    high = WIDTH * np.sqrt(3) / 2
    size = rows * high + WIDTH / 3 + 2 * pad, (columns + 0.5) * WIDTH + 2 * pad
    y, x = ((np.arange(round(s / m)) + 0.5) * m - pad for s, m in zip(size, mpp, strict=True))
    labels = np.zeros((len(y), len(x)), np.int32)
    for k in range(rows * columns):
        row, column = divmod(k, columns)
        dy = y[:, None] - (row * high + WIDTH / np.sqrt(3))
        dx = x[None, :] - (column + 0.5 + 0.5 * (row % 2)) * WIDTH
        reach = np.maximum(abs(dx), abs(dx) / 2 + abs(dy) * np.sqrt(3) / 2)
        labels[reach < (WIDTH - gap) / 2] = k + 1
    return labels


def found(labels: np.ndarray, mpp: tuple[float, float] = (1.0, 1.0), **columns: object) -> Contacts:
    return find_contacts(labels, mpp, measure_fibers(labels, mpp).assign(**columns))
