"""A wall of bricks to review: fibers whose places and sizes are known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MPP = 0.5
ROWS, COLUMNS, SIDE, GAP, MARGIN = 5, 6, 60, 4, 10
PITCH = SIDE + GAP


def draw_bricks() -> NDArray[np.int32]:
    """Squares of 60 px (30 µm) with 4 px (2 µm) between, 10 px off the edge, numbered by rows."""
    shape = 2 * MARGIN + ROWS * PITCH - GAP, 2 * MARGIN + COLUMNS * PITCH - GAP
    labels = np.zeros(shape, np.int32)
    for label in range(1, ROWS * COLUMNS + 1):
        y, x = corner(label)
        labels[y : y + SIDE, x : x + SIDE] = label
    return labels


def corner(label: int) -> tuple[int, int]:
    """First pixel (y, x) of a brick."""
    row, column = divmod(label - 1, COLUMNS)
    return MARGIN + row * PITCH, MARGIN + column * PITCH


def center_um(label: int) -> tuple[float, float]:
    """Middle (y, x) of a brick, µm."""
    y, x = corner(label)
    return (y + SIDE / 2) * MPP, (x + SIDE / 2) * MPP


def upright(label: int, share: float = 0.5) -> list[tuple[float, float]]:
    """A line from above a brick to below it, at a share of its width, µm."""
    y, x = (edge * MPP for edge in corner(label))
    side = SIDE * MPP
    return [(y - 0.5, x + share * side), (y + side + 0.5, x + share * side)]


def square(center: tuple[float, float], side_um: float) -> list[tuple[float, float]]:
    """Vertices of a square around a place, µm."""
    y, x = center
    half = side_um / 2
    return [(y - half, x - half), (y - half, x + half), (y + half, x + half), (y + half, x - half)]
