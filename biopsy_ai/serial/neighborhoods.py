"""Fibers of two sections that lie among like neighbors, however the sections are turned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.serial.fiber_map import FiberMap

RINGS = 8
ANGLES = 64
"""A neighborhood is seen on so many rings, at so many places of each."""

REACH = 2.6
"""Radius of the outermost ring in fiber diameters: far enough for some twenty neighbors, near
enough that stretched tissue still looks alike. [default]"""

HARMONICS = 10
"""Waves around each ring whose strength tells neighborhoods apart, however they are turned."""

CANDIDATES = 3
"""For each fiber so many of the other section are compared in full."""

QUERIES = 2500
"""Of more fibers, so many are drawn to be looked for. [default]"""

Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Pairs of fibers whose neighborhoods look alike.

    Attributes
    ----------
    fixed, moving : (m,) ndarray of int64
        Rows of the two maps.
    turn : (m,) ndarray
        Rotation that lays the one neighborhood on the other, radians, from row to column axis.
    mirrored : (m,) ndarray of bool
        Whether it is turned over first.
    score : (m,) ndarray
        Correlation of the two, up to 1.
    """

    fixed: NDArray[np.int64]
    moving: NDArray[np.int64]
    turn: NDArray[np.float64]
    mirrored: NDArray[np.bool_]
    score: NDArray[np.float64]


def compare_neighborhoods(
    fixed: FiberMap, moving: FiberMap, rng: np.random.Generator
) -> Candidates:
    """Find for the fibers of a section those of another that lie among like neighbors.

    Each neighborhood is the depth below the surface of the fibers, hence neither stain nor
    brightness, on rings around the center of the fiber. Turned or mirrored it keeps the strength
    of its waves around each ring, by which candidates are found; their phases then tell how far
    it is turned.

    Parameters
    ----------
    fixed, moving
        The two sections, each with fibers.
    rng
        Draws the fibers that are looked for where there are many.

    Returns
    -------
    Candidates
        Up to `CANDIDATES` for each fiber of `fixed` that is looked for, both ways round.
    """
    diameter = 0.5 * (fixed.diameter_um + moving.diameter_um)
    asked = np.arange(len(fixed))
    if len(asked) > QUERIES:
        asked = np.sort(rng.choice(asked, QUERIES, replace=False))
    here = _waves(fixed, asked, diameter)
    there = _waves(moving, np.arange(len(moving)), diameter)
    # the strength of a wave counts as much as it varies between fibers
    strength = np.abs(there[:, :, :HARMONICS])
    scale = 1 / np.maximum(strength.std(0), 1e-6)
    nearest = _nearest(np.abs(here[:, :, :HARMONICS]) * scale, strength * scale)
    rows, columns = np.repeat(np.arange(len(asked)), nearest.shape[1]), nearest.ravel()

    weight = np.sqrt(np.arange(1, RINGS + 1, dtype=np.float32))[:, None]
    here, there = here * weight, there * weight
    size = _norm(here)[rows] * _norm(there)[columns] + 1e-12
    found = []
    for mirrored in (False, True):
        one = here[rows] if mirrored else here[rows].conj()
        match = np.fft.irfft((one * there[columns]).sum(1), n=ANGLES, axis=-1) * ANGLES
        best = match.argmax(-1)
        found.append((best, match[np.arange(len(best)), best] / size))
    upside_down = found[1][1] > found[0][1]
    best = np.where(upside_down, found[1][0], found[0][0])
    score = np.where(upside_down, found[1][1], found[0][1])
    return Candidates(
        fixed=asked[rows].astype(np.int64),
        moving=columns.astype(np.int64),
        turn=best * (2 * np.pi / ANGLES),
        mirrored=upside_down,
        score=score.astype(np.float64),
    )


def _norm(waves: NDArray[np.complex64]) -> NDArray[np.float64]:
    """Length of the rings as one vector, from half of their spectrum (their mean is 0)."""
    power = np.abs(waves) ** 2
    return np.sqrt(2 * power[:, :, 1:-1].sum((1, 2)) + power[:, :, -1].sum(1))


def _nearest(wanted: Float32, known: Float32) -> NDArray[np.int64]:
    """Rows of the most similar `known`, (n, `CANDIDATES`)."""
    a, b = wanted.reshape(len(wanted), -1), known.reshape(len(known), -1)
    k = min(CANDIDATES, len(b))
    size = (b**2).sum(1)
    found = np.empty((len(a), k), np.int64)
    for start in range(0, len(a), 512):
        distance = size - 2 * a[start : start + 512] @ b.T
        found[start : start + 512] = np.argpartition(distance, k - 1, axis=1)[:, :k]
    return found


def _waves(section: FiberMap, rows: NDArray[np.int64], diameter_um: float) -> NDArray[np.complex64]:
    """Spectrum of the rings around fibers: (n, `RINGS`, `ANGLES` // 2 + 1), mean of each ring 0."""
    import cv2

    depth = fiber_depth(section.labels, section.mpp, 0.25 * diameter_um)
    depth = cv2.GaussianBlur(depth, (0, 0), max(0.12 * diameter_um / section.mpp, 0.5))
    radius = np.linspace(REACH / RINGS, REACH, RINGS) * diameter_um
    turn = np.arange(ANGLES) * (2 * np.pi / ANGLES)
    offset = radius[:, None, None] * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    waves = np.empty((len(rows), RINGS, ANGLES // 2 + 1), np.complex64)
    for start in range(0, len(rows), 4096):
        part = rows[start : start + 4096]
        at = section.centers_um[part][:, None, None] + offset
        at = (at / section.mpp - 0.5).reshape(len(part), -1, 2).astype(np.float32)
        # one row of the map that OpenCV takes holds one fiber
        rings = cv2.remap(depth, at[..., 1], at[..., 0], cv2.INTER_LINEAR)
        spectrum = np.fft.rfft(rings.reshape(len(part), RINGS, ANGLES), axis=-1)
        spectrum[..., 0] = 0
        waves[start : start + 4096] = spectrum
    return waves


def fiber_depth(labels: NDArray[np.int32], mpp: float, deepest_um: float) -> Float32:
    """Depth below the surface of each fiber, as a share of `deepest_um`, cut off at 1."""
    import cv2

    inside = (labels > 0).astype(np.uint8)
    # fibers that touch are parted where their labels meet
    inside[:, 1:][labels[:, 1:] != labels[:, :-1]] = 0
    inside[1:][labels[1:] != labels[:-1]] = 0
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
    return np.minimum(np.asarray(depth, np.float32) * (mpp / deepest_um), 1)
