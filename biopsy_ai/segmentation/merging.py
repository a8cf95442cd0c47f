"""Rejoin pieces of one fiber that were flooded from several seeds."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.segmentation.thresholds import InstanceThresholds


def merge_pieces(
    labels: NDArray[np.uint16],
    border: NDArray[np.uint8],
    distance: NDArray[np.uint8],
    thresholds: InstanceThresholds,
    pixel_um2: float = 1.0,
) -> NDArray[np.uint16]:
    """Merge neighbors whose shared edge shows no border and no deep saddle.

    A small fiber squeezed between large ones has a waist, at which the distance map sinks deeper
    than within a large fiber: of pieces that are small together less is asked. The pair with the
    least border is merged first, and the edges of the union are then judged anew, so that a chain
    of weak edges does not join fibers that a strong one parts.

    Parameters
    ----------
    labels
        (h, w) uint16 pieces.
    border, distance
        (h, w) uint8 maps, 255 for 1.
    thresholds
        Of which ``merge_border``, ``merge_saddle``, ``merge_waist`` and ``waist_area_um2`` are
        used.
    pixel_um2
        Area of a pixel, µm².

    Returns
    -------
    (h, w) uint16
        The smallest label of each union.
    """
    edges = _shared_edges(labels, border, distance)
    if not edges:
        return labels
    limit = 255 * thresholds.merge_border
    if min(edge[1] / edge[0] for edge in edges.values()) >= limit:
        return labels
    peaks = _peaks(labels, distance)
    # Every second pixel of every second row tells an area well enough.
    sizes = np.bincount(labels[::2, ::2].ravel(), minlength=len(peaks)) * (4 * pixel_um2)
    root = _merge_graph(edges, peaks, sizes.tolist(), limit, thresholds)
    merged: NDArray[np.uint16] = root[labels]
    return merged


Edge = tuple[float, float, float]
"""Length (pixel pairs), sum of border, highest distance of a pixel pair."""


def _shared_edges(
    labels: NDArray[np.uint16], border: NDArray[np.uint8], distance: NDArray[np.uint8]
) -> dict[tuple[int, int], Edge]:
    import cv2

    firsts, seconds, borders, saddles = [], [], [], []
    for here, there in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1, :], np.s_[1:, :]),
    ):
        a, b = labels[here], labels[there]
        differ = cv2.compare(a, b, cv2.CMP_NE)
        differ = cv2.bitwise_and(differ, cv2.compare(cv2.min(a, b), 0, cv2.CMP_GT))
        points = cv2.findNonZero(differ)
        if points is None:
            continue
        column, row = points.reshape(-1, 2).T
        at = row, column
        firsts.append(a[at])
        seconds.append(b[at])
        borders.append(np.maximum(border[here][at], border[there][at]))
        saddles.append(np.minimum(distance[here][at], distance[there][at]))
    if not firsts:
        return {}
    a, b = np.concatenate(firsts).astype(np.int64), np.concatenate(seconds).astype(np.int64)
    code = np.minimum(a, b) << 16 | np.maximum(a, b)
    pairs, index = np.unique(code, return_inverse=True)
    length = np.bincount(index)
    total = np.bincount(index, weights=np.concatenate(borders))
    saddle = np.zeros(pairs.size)
    np.maximum.at(saddle, index, np.concatenate(saddles))
    return {
        (int(pair >> 16), int(pair & 0xFFFF)): (float(n), float(s), float(top))
        for pair, n, s, top in zip(pairs, length, total, saddle, strict=True)
    }


def _peaks(labels: NDArray[np.uint16], distance: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # Peaks are broad: every second pixel of every second row holds them.
    sparse = labels[::2, ::2]
    peaks = np.zeros(int(labels.max()) + 1, np.uint8)
    np.maximum.at(peaks, sparse, distance[::2, ::2])
    return peaks


def _merge_graph(
    edges: dict[tuple[int, int], Edge],
    peaks: NDArray[np.uint8],
    area: list[float],
    limit: float,
    thresholds: InstanceThresholds,
) -> NDArray[np.uint16]:
    """Return the final label of each label."""
    neighbors: dict[int, dict[int, Edge]] = {}
    for (a, b), edge in edges.items():
        neighbors.setdefault(a, {})[b] = edge
        neighbors.setdefault(b, {})[a] = edge
    peak = {label: float(peaks[label]) for label in neighbors}
    root = np.arange(peaks.size, dtype=np.uint16)

    queue: list[tuple[float, int, int, Edge]] = []

    def joinable(a: int, b: int, edge: Edge) -> bool:
        length, total, saddle = edge
        small = area[a] + area[b] < thresholds.waist_area_um2
        least = thresholds.merge_waist if small else thresholds.merge_saddle
        return total / length < limit and saddle >= least * min(peak[a], peak[b])

    def propose(a: int, b: int, edge: Edge) -> None:
        if joinable(a, b, edge):
            heapq.heappush(queue, (edge[1] / edge[0], min(a, b), max(a, b), edge))

    for (a, b), edge in edges.items():
        propose(a, b, edge)
    while queue:
        _, keep, gone, edge = heapq.heappop(queue)
        # Skip what a merge meanwhile has made void: a piece, the edge or the peak changed.
        if neighbors.get(keep, {}).get(gone) != edge or not joinable(keep, gone, edge):
            continue
        root[root == gone] = keep
        peak[keep] = max(peak[keep], peak[gone])
        area[keep] += area[gone]
        del neighbors[keep][gone]
        for other, theirs in neighbors.pop(gone).items():
            if other == keep:
                continue
            del neighbors[other][gone]
            ours = neighbors[keep].get(other)
            if ours is not None:
                theirs = (ours[0] + theirs[0], ours[1] + theirs[1], max(ours[2], theirs[2]))
            neighbors[keep][other] = neighbors[other][keep] = theirs
        for other, theirs in neighbors[keep].items():
            propose(keep, other, theirs)
    return root
