"""From a rough position of two sections to a map that follows how the tissue is stretched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.serial.coarse import Position, Seeds
from biopsy_ai.serial.fiber_map import FiberMap, Points

NEIGHBORS = 14
"""The map follows so many of the nearest matched fibers at each place. [default]"""

STIFFNESS = 0.15
"""How much the map resists local stretching, beside what its fibers say. [default]"""

ROUNDS = 60
"""Matches spread so many times at most."""

REACH = 2.0
"""Matches spread so far at a time, in fiber diameters. [default]"""

TOLERANCE = (0.5, 0.4)
"""Centers of matched fibers lie so near to where the map says, in fiber diameters: while matches
spread, and at last. [default]"""


@dataclass(frozen=True, eq=False)
class LocalMap:
    """A map from one section to another through pairs of points: locally affine, stiff beyond.

    At each place it is the affine map that fits the nearest pairs best, near ones more (moving
    least squares), held near the affine map of all pairs.

    Attributes
    ----------
    source, target : (m, 2) ndarray
        Row and column of each pair in the two sections, µm; at least 3.
    """

    source: Points
    target: Points

    def __call__(self, points: Points) -> Points:
        """Where (n, 2) points of the source section lie in the target section, µm."""
        return self.follow(points)[0]

    def follow(self, points: Points, *, beside_own: bool = False) -> tuple[Points, Points]:
        """Map points and give the local map of each.

        Parameters
        ----------
        points : (n, 2) ndarray
            In the source section, µm.
        beside_own
            Leave the nearest pair out where a point is its source: what its neighbors say of it.

        Returns
        -------
        mapped : (n, 2) ndarray
        linear : (n, 2, 2) ndarray
            ``mapped ~ linear @ (point + step) + ...`` around each point.
        """
        from scipy.spatial import cKDTree

        base, shift = _affine(self.source, self.target)
        k = min(NEIGHBORS + beside_own, len(self.source))
        distance, near = cKDTree(self.source).query(points, k=k)
        distance, near = distance.reshape(len(points), k), near.reshape(len(points), k)
        weight = np.ones_like(distance)
        if beside_own:
            weight[distance < 1e-9] = 0
        # as wide as the nearest pairs are apart
        width = np.maximum(np.median(distance, axis=1, keepdims=True), 1e-6)
        weight *= np.exp(-0.5 * (distance / width) ** 2)
        weight /= np.maximum(weight.sum(1, keepdims=True), 1e-12)
        # what is left after the affine map of all pairs
        rest = (self.target - (self.source @ base.T + shift))[near]
        origin = (weight[..., None] * self.source[near]).sum(1)
        mean = (weight[..., None] * rest).sum(1)
        arm = self.source[near] - origin[:, None]
        spread = np.einsum("nk,nki,nkj->nij", weight, arm, arm)
        stiff = STIFFNESS * np.trace(spread, axis1=1, axis2=2) / 2 + 1e-9
        spread += stiff[:, None, None] * np.eye(2)
        cross = np.einsum("nk,nki,nkj->nij", weight, rest - mean[:, None], arm)
        slope = np.linalg.solve(spread, cross.transpose(0, 2, 1)).transpose(0, 2, 1)
        # far from all pairs a slope would lead astray
        step = points - origin
        length = np.hypot(*step.T)
        step *= np.minimum(1, 2 * width[:, 0] / np.maximum(length, 1e-9))[:, None]
        mapped = points @ base.T + shift + mean + np.einsum("nij,nj->ni", slope, step)
        return mapped, base + slope

    def inverse(self) -> LocalMap:
        """The way back."""
        return LocalMap(self.target, self.source)

    def beside(self, shift_um: Points) -> LocalMap:
        """The map whose targets lie (2,) `shift_um` farther."""
        return LocalMap(self.source, self.target + shift_um)


def grow_matches(
    fixed: FiberMap, moving: FiberMap, seeds: Seeds | Position
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Spread matches from the seeds over the sections, and drop those that do not fit in.

    In each round the map through the matches so far says where the fibers near them lie in the
    other section; fibers that are each other's nearest there, of similar size, match.

    Parameters
    ----------
    fixed, moving
        The two sections.
    seeds
        Pairs to begin with, or a rough position alone.

    Returns
    -------
    fixed, moving : (m,) ndarray of int64
        Rows of the two maps; fewer than 6 where nothing fits.
    """
    from scipy.spatial import cKDTree

    diameter = 0.5 * (fixed.diameter_um + moving.diameter_um)
    here, there = fixed.centers_um, moving.centers_um
    tree = cKDTree(there)
    wide = TOLERANCE[0] * diameter
    if isinstance(seeds, Seeds):
        rows, columns = seeds.fixed, seeds.moving
    else:
        everywhere = np.arange(len(fixed))
        rows, columns = _mutual(seeds(here), everywhere, tree, there, fixed, moving, wide)
    rows, columns = _fit_in(fixed, moving, rows, columns, wide)
    before = -1
    for number in range(ROUNDS):
        if len(rows) < 6:
            break
        settled = len(rows) <= before or number == ROUNDS - 1
        before = len(rows)
        tolerance = TOLERANCE[settled] * diameter
        away, _ = cKDTree(here[rows]).query(here)
        within = np.flatnonzero(away < REACH * diameter)
        expected = LocalMap(here[rows], there[columns])(here[within])
        rows, columns = _mutual(expected, within, tree, there, fixed, moving, tolerance)
        rows, columns = _fit_in(fixed, moving, rows, columns, tolerance)
        if settled:
            break
    return rows, columns


def _mutual(
    expected: Points,
    rows: NDArray[np.int64],
    tree: object,
    there: Points,
    fixed: FiberMap,
    moving: FiberMap,
    tolerance: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Fibers that are each other's nearest, whole, near, and less than three times as large."""
    from scipy.spatial import cKDTree

    if not len(rows):
        return rows, rows
    distance, nearest = tree.query(expected)  # type: ignore[attr-defined]
    _, back = cKDTree(expected).query(there[nearest])
    ratio = np.abs(np.log(fixed.area_um2[rows] / moving.area_um2[nearest]))
    keep = (back == np.arange(len(rows))) & (distance < tolerance) & (ratio < np.log(3))
    # the centers of cut fibers would draw the map towards the border of the image
    keep &= ~fixed.is_cut[rows] & ~moving.is_cut[nearest]
    return rows[keep], nearest[keep].astype(np.int64)


def _fit_in(
    fixed: FiberMap,
    moving: FiberMap,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    tolerance: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keep the pairs that lie where their neighbors say; none where there are too few."""
    none = np.empty(0, np.int64)
    for _ in range(3):
        if len(rows) < 6:
            return none, none
        here, there = fixed.centers_um[rows], moving.centers_um[columns]
        expected, _ = LocalMap(here, there).follow(here, beside_own=True)
        keep = np.hypot(*(expected - there).T) < tolerance
        if keep.all():
            break
        rows, columns = rows[keep], columns[keep]
    return rows, columns


def _affine(source: Points, target: Points) -> tuple[Points, Points]:
    """Affine map of all pairs (least squares)."""
    ones = np.ones((len(source), 1))
    solution, *_ = np.linalg.lstsq(np.hstack([source, ones]), target, rcond=None)
    return np.asarray(solution[:2].T), np.asarray(solution[2])
