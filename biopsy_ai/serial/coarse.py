"""How one section lies on another as a whole: turned, mirrored, shifted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.serial.fiber_map import FiberMap, Points
from biopsy_ai.serial.neighborhoods import Candidates

TURN_STEP_DEG = 4.0
"""Rotations are tried in steps of this. [default]"""

TURN_SPREAD_DEG = 12.0
"""Stretched tissue is turned differently here and there, by about this. [default]"""

SHAPE_PX = 96
"""Longer side of the picture of the tissue by whose shape sections are laid on each other."""

N_SHAPES = 4
"""So many of the positions that the shape allows are tried. [default]"""


class Position(Protocol):
    """Where (n, 2) points of the fixed section lie in the moving one, µm."""

    def __call__(self, points: Points, /) -> Points: ...


@dataclass(frozen=True, eq=False)
class Pose:
    """A position of the moving on the fixed section: ``moving = linear @ fixed + shift``, µm.

    Attributes
    ----------
    linear : (2, 2) ndarray
        Of negative determinant where the section is mirrored.
    shift_um : (2,) ndarray
    """

    linear: Points
    shift_um: Points

    def __call__(self, points: Points) -> Points:
        """Where (n, 2) points of the fixed section lie in the moving one, µm."""
        return np.asarray(points @ self.linear.T + self.shift_um)


@dataclass(frozen=True, eq=False)
class Seeds:
    """Fibers that may belong together, as (m,) rows of the two maps."""

    fixed: NDArray[np.int64]
    moving: NDArray[np.int64]


def poses_by_neighborhood(
    fixed: FiberMap, moving: FiberMap, candidates: Candidates, *, n_poses: int = 3
) -> Iterator[Seeds]:
    """Find the positions that most pairs of like neighborhoods agree on.

    Pairs vote for the rotation, those of one rotation for the shift; pairs that lie where an
    affine map through some of them says are the seeds.

    Parameters
    ----------
    fixed, moving
        The two sections.
    candidates
        Of `compare_neighborhoods`.
    n_poses
        Rotations tried at most, the one with most votes first.

    Yields
    ------
    Seeds
        Six pairs or more.
    """
    import cv2

    # far votes are for other reasons: a shift may be as large as tissue stretches
    near = 2.0 * fixed.diameter_um + 0.03 * float(np.hypot(*fixed.extent_um))
    votes = np.clip(candidates.score, 0, None) ** 4
    for mirrored, turn in _turns(candidates, votes, n_poses):
        apart = np.abs(np.angle(np.exp(1j * (candidates.turn - turn))))
        use = (apart < np.deg2rad(TURN_SPREAD_DEG)) & (candidates.mirrored == mirrored)
        here = fixed.centers_um[candidates.fixed[use]]
        there = moving.centers_um[candidates.moving[use]]
        linear = _turning(turn, mirrored)
        shift = there - here @ linear.T
        chosen = _densest(shift, votes[use], near)
        rows = np.flatnonzero(use)[chosen]
        if len(rows) < 6:
            continue
        here, there = here[chosen], there[chosen]
        affine, inside = cv2.estimateAffine2D(
            here, there, method=cv2.RANSAC, ransacReprojThreshold=0.5 * near, maxIters=5000
        )
        if affine is None or inside.sum() < 6 or not _plausible(affine[:, :2], mirrored):
            continue
        rows = rows[inside.ravel() > 0]
        yield Seeds(candidates.fixed[rows], candidates.moving[rows])


def poses_by_shape(fixed: FiberMap, moving: FiberMap) -> list[Pose]:
    """Lay the tissue of one section on that of the other at low resolution.

    Where fibers look different in the two stains, the outline of the tissue and its fascicles may
    still agree: the share of fibers in each place is correlated for all rotations and both sides.

    Returns
    -------
    list of Pose
        The best `N_SHAPES`, best first.
    """
    import cv2

    grid = max(*fixed.extent_um, *moving.extent_um) / SHAPE_PX
    here, there = (_coverage(section, grid) for section in (fixed, moving))
    side = int(2 ** np.ceil(np.log2(2 * SHAPE_PX)))
    middle = (np.array(here.shape) - 1) / 2
    spectrum = np.fft.rfft2(there - there.mean(), (side, side))
    found = []
    for mirrored in (False, True):
        for turn in np.deg2rad(np.arange(0, 360, TURN_STEP_DEG)):
            linear = _turning(turn, mirrored)
            # the fixed section turned about its middle, on a square that holds it whole
            origin = linear @ (-middle) + SHAPE_PX / 2
            matrix = np.array(
                [
                    [linear[1, 1], linear[1, 0], origin[1]],
                    [linear[0, 1], linear[0, 0], origin[0]],
                ]
            )
            turned = cv2.warpAffine(here - here.mean(), matrix, (side // 2, side // 2))
            match = np.fft.irfft2(spectrum * np.fft.rfft2(turned, (side, side)).conj())
            at = np.unravel_index(match.argmax(), match.shape)
            move = np.array([(i + side // 2) % side - side // 2 for i in at])
            score = float(match.max() / (np.linalg.norm(turned) + 1e-9))
            shift = (origin + move + 0.5 - linear @ np.array([0.5, 0.5])) * grid
            found.append((score, turn, mirrored, Pose(linear, shift)))
    found.sort(key=lambda one: -one[0])
    kept: list[tuple[float, float, bool, Pose]] = []
    for one in found:
        apart = [abs(np.angle(np.exp(1j * (one[1] - k[1])))) for k in kept if k[2] == one[2]]
        if all(gap > np.deg2rad(2.5 * TURN_STEP_DEG) for gap in apart):
            kept.append(one)
        if len(kept) == N_SHAPES:
            break
    return [pose for *_, pose in kept]


def _turning(turn: float, mirrored: bool) -> Points:
    linear = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return linear @ np.diag([1.0, -1.0 if mirrored else 1.0])


def _turns(candidates: Candidates, votes: NDArray[np.float64], n: int) -> list[tuple[bool, float]]:
    """Rotations with most votes, and whether mirrored."""
    from scipy.ndimage import gaussian_filter1d

    bins = int(360 / TURN_STEP_DEG)
    place = np.rint(np.rad2deg(candidates.turn) / TURN_STEP_DEG).astype(int) % bins
    curves = []
    for mirrored in (False, True):
        one = candidates.mirrored == mirrored
        count = np.bincount(place[one], votes[one], bins)
        curves.append(gaussian_filter1d(count, TURN_SPREAD_DEG / 2 / TURN_STEP_DEG, mode="wrap"))
    table = np.stack(curves)
    found = []
    for _ in range(n):
        side, best = np.unravel_index(table.argmax(), table.shape)
        if table[side, best] <= 0:
            break
        found.append((bool(side), float(np.deg2rad(best * TURN_STEP_DEG))))
        around = np.abs((np.arange(bins) - best + bins // 2) % bins - bins // 2)
        table[side, around * TURN_STEP_DEG < 2 * TURN_SPREAD_DEG] = 0
    return found


def _densest(shift: Points, votes: NDArray[np.float64], near: float) -> NDArray[np.bool_]:
    """The shifts near the one that has most votes around it."""
    from scipy.spatial import cKDTree

    if not len(shift):
        return np.zeros(0, bool)
    tree = cKDTree(shift)
    around = tree.query_ball_point(shift, 0.5 * near)
    best = int(np.argmax([votes[rows].sum() for rows in around]))
    return np.asarray(np.hypot(*(shift - shift[best]).T) < near)


def _plausible(linear: Points, mirrored: bool) -> bool:
    """Whether tissue can be stretched like this from one section to the next."""
    sides = np.linalg.svd(linear, compute_uv=False)
    return bool(0.75 < sides[1] and sides[0] < 1.33 and (np.linalg.det(linear) < 0) == mirrored)


def _coverage(section: FiberMap, grid_um: float) -> NDArray[np.float32]:
    """Share of fibers in places of `grid_um`."""
    import cv2

    shape = [max(1, round(side / grid_um)) for side in section.extent_um]
    inside = (section.labels > 0).astype(np.float32)
    return np.asarray(cv2.resize(inside, shape[::-1], interpolation=cv2.INTER_AREA))
