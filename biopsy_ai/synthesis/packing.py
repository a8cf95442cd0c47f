"""Fill the plane with cells of given sizes: relaxed circles and their power diagram.

The power (Laguerre) diagram of circles assigns each point to the circle of least power
``|x - c|² - r²``; it is computed as the lower convex hull of the lifted centers
(Aurenhammer, SIAM J Comput 1987;16:78).
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, cKDTree

Float = NDArray[np.float64]


def relax_circles(centers: Float, radii: Float, box: tuple[float, float], steps: int = 40) -> Float:
    """Push overlapping circles apart inside a periodic box, so that large ones get their room.

    Parameters
    ----------
    centers : (n, 2) ndarray
        Start positions (row, column), µm, inside the box.
    radii : (n,) ndarray
        Radii, µm.
    box
        Height and width of the periodic box, µm.
    """
    centers = centers.copy()
    size = np.asarray(box)
    for step in range(steps):
        tree = cKDTree(centers % size, boxsize=size)
        pairs = tree.query_pairs(2 * radii.max(), output_type="ndarray")
        if not len(pairs):
            break
        i, j = pairs.T
        delta = centers[i] - centers[j]
        delta -= size * np.round(delta / size)
        distance = np.maximum(np.hypot(*delta.T), 1e-6)
        overlap = np.clip(radii[i] + radii[j] - distance, 0, None)
        # the smaller of two circles yields more
        yield_i = radii[j] / (radii[i] + radii[j])
        push = (delta / distance[:, None]) * (overlap * 0.5)[:, None]
        moves = np.zeros_like(centers)
        np.add.at(moves, i, push * (2 * yield_i)[:, None])
        np.add.at(moves, j, -push * (2 * (1 - yield_i))[:, None])
        limit = 0.5 * radii[:, None] * (1 - 0.5 * step / steps)
        centers = (centers + np.clip(moves * 0.6, -limit, limit)) % size
    return centers


def power_cells(
    centers: Float, radii: Float
) -> tuple[list[NDArray[np.int64]], Float, dict[tuple[int, int], tuple[int, int]]]:
    """Cells of the power diagram of circles.

    Returns
    -------
    cells : list of (k,) ndarray of int
        For each circle the indices of its cell's corners in order; empty when the cell is
        unbounded or vanished.
    corners : (m, 2) ndarray
        Corner positions, µm.
    sides : dict
        (corner, corner), sorted, to the two circles whose cells share that side.
    """
    lifted = np.column_stack([centers, (centers**2).sum(1) - radii**2])
    hull = ConvexHull(lifted)
    lower = hull.equations[:, 2] < -1e-12
    normals = hull.equations[lower]
    corners = -normals[:, :2] / (2 * normals[:, 2:3])
    triangles = hull.simplices[lower]
    around: dict[int, list[int]] = defaultdict(list)
    sides: dict[tuple[int, int], list[int]] = defaultdict(list)
    for t, triangle in enumerate(triangles):
        for a in triangle:
            around[int(a)].append(t)
        for a, b in ((0, 1), (1, 2), (0, 2)):
            u, v = sorted((int(triangle[a]), int(triangle[b])))
            sides[(u, v)].append(t)
    open_circles = {c for pair, ts in sides.items() if len(ts) < 2 for c in pair}
    cells: list[NDArray[np.int64]] = []
    for c in range(len(centers)):
        found = around.get(c, [])
        if c in open_circles or len(found) < 3:
            cells.append(np.empty(0, dtype=np.int64))
            continue
        index = np.asarray(found)
        spokes = corners[index] - corners[index].mean(0)
        cells.append(index[np.argsort(np.arctan2(spokes[:, 0], spokes[:, 1]))])
    shared = {(min(ts), max(ts)): pair for pair, ts in sides.items() if len(ts) == 2}
    return cells, corners, shared
