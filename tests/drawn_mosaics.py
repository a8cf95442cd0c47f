"""Mosaics of fiber types on small graphs, for tests of how types are arranged."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.spatial import Delaunay, cKDTree

from biopsy_ai.patterns.contacts import Contacts

FIBER_UM = 50.0


def hexagons(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Centers of a hexagonal lattice, one unit apart, and its edges."""
    y, x = np.indices((rows, columns))
    centers = np.column_stack([(y * np.sqrt(3) / 2).ravel(), (x + 0.5 * (y % 2)).ravel()])
    return centers, edges_within(centers, 1.1)


def edges_within(centers: np.ndarray, reach: float) -> np.ndarray:
    pairs = np.sort(cKDTree(centers).query_pairs(reach, output_type="ndarray"), axis=1)
    return pairs[np.lexsort(pairs.T[::-1])].astype(np.int64)


def irregular(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Centers of a jittered hexagonal lattice of about n cells, and its Delaunay edges."""
    rows = round(np.sqrt(n * 2 / np.sqrt(3)))
    centers, _ = hexagons(rows, round(n / rows))
    centers = centers + rng.normal(0, 0.15, centers.shape)
    corners = Delaunay(centers).simplices
    pairs = np.sort(np.vstack([corners[:, :2], corners[:, 1:], corners[:, ::2]]), axis=1)
    pairs = np.unique(pairs, axis=0)
    # the hull is closed by long edges
    length = np.hypot(*(centers[pairs[:, 0]] - centers[pairs[:, 1]]).T)
    return centers, pairs[length < 1.8].astype(np.int64)


def inside(centers: np.ndarray, margin: float = 0.9) -> np.ndarray:
    """Fibers away from the border of the field."""
    low, high = centers.min(axis=0) + margin, centers.max(axis=0) - margin
    return ((centers > low) & (centers < high)).all(axis=1)


def square_fascicles(centers: np.ndarray, side: float) -> tuple[np.ndarray, np.ndarray]:
    """Number of the square fascicle of each fiber, from 1, and its layer."""
    cell = (centers // side).astype(int)
    fascicle = np.unique(cell, axis=0, return_inverse=True)[1].ravel() + 1
    rest = centers % side
    depth = np.minimum(rest, side - rest).min(axis=1)
    return fascicle, np.where(depth < 0.8, 1, np.where(depth < 1.7, 2, 3))


def contacts_of(
    pairs: np.ndarray, inner: np.ndarray, shared_share: np.ndarray | None = None
) -> Contacts:
    m = len(pairs)
    return Contacts(
        labels=np.arange(1, len(inner) + 1),
        pairs=pairs,
        gap_um=np.full(m, 2.0),
        shared_um=np.full(m, 20.0),
        shared_share=np.full(m, 0.16) if shared_share is None else shared_share,
        inner=inner,
    )


def types_of(is_type_i: np.ndarray, centers: np.ndarray | None = None) -> pd.DataFrame:
    """Fiber table of one fascicle whose layers are not known."""
    n = len(is_type_i)
    table = pd.DataFrame({"label": np.arange(1, n + 1)})
    table["type"] = np.where(is_type_i, "I", "II")
    table["fascicle"] = 1
    table["layer"] = pd.array([pd.NA] * n, dtype="Int64")
    table["excluded"] = ""
    if centers is not None:
        table[["centroid_y_um", "centroid_x_um"]] = FIBER_UM * centers
    return table


def clumped(pairs: np.ndarray, n: int, rng: np.random.Generator, rounds: int = 2) -> np.ndarray:
    """Types that neighbors have agreed on: true groups."""
    value = rng.normal(size=n)
    for _ in range(rounds):
        near = value.copy()
        np.add.at(near, pairs[:, 0], value[pairs[:, 1]])
        np.add.at(near, pairs[:, 1], value[pairs[:, 0]])
        value = near
    return value > np.median(value)
