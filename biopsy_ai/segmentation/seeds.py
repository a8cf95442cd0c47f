"""Cores and seeds of fibers and of nuclei, from level sets of the distance map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.segmentation.thresholds import InstanceThresholds

LEVELS = tuple(round(25.5 * step) for step in range(1, 10))
"""Level sets of the score, 0.1 to 0.9. Peaks and saddles are known to this precision. [default]"""

LEVEL_STEPS = 6
"""Growth per level, coarse pixels: 0.1 of the half width of a 120 µm fiber. [default]"""

RIM_STEPS = 12
"""How far a fiber may reach beyond its core into rims and corners, coarse pixels. [default]"""

SEEDS_MAX = 65534
"""Fibers that one window can hold; labels of windows are 16 bit."""


@lru_cache(maxsize=1)
def _score_table() -> NDArray[np.uint8]:
    """Distance, lowered where the border map is high and the distance map itself is in doubt."""
    distance, border = np.meshgrid(np.linspace(0, 1, 256), np.linspace(0, 1, 256), indexing="ij")
    score = distance * (1 - border * (1 - distance))
    return np.round(score * 255).astype(np.uint8).ravel()


def height_score(border: NDArray[np.uint8], distance: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Combine border and distance into the landscape that is flooded, 255 in cores.

    The score is ``d (1 - b (1 - d))`` for distance d and border b in 0..1: a border lowers the
    flanks of a fiber but not the core of a small one, where both maps are high.
    """
    index = distance.astype(np.uint16)
    index <<= 8
    index |= border
    return _score_table()[index]


def core_mask(
    foreground: NDArray[np.uint8],
    border: NDArray[np.uint8],
    distance: NDArray[np.uint8],
    thresholds: InstanceThresholds,
) -> NDArray[np.uint8]:
    """Sarcoplasm that is clear of borders, as 0 and 255."""
    import cv2

    clear = cv2.compare(border, 255 * thresholds.border, cv2.CMP_LE)
    certain = cv2.compare(distance, 255 * thresholds.core_distance, cv2.CMP_GT)
    inside = cv2.compare(foreground, 255 * thresholds.foreground, cv2.CMP_GT)
    return cv2.bitwise_and(cv2.bitwise_or(clear, certain), inside)


def find_seeds(
    core: NDArray[np.uint8],
    score: NDArray[np.uint8],
    *,
    seed_height: float,
    min_peak: float,
    levels: tuple[int, ...] = LEVELS,
    thin: bool = False,
) -> NDArray[np.uint16]:
    """Find one seed per fiber, or per nucleus, by the dynamics of the score.

    The components of the core at rising levels of the score form a tree. A branch counts when
    it rises by ``seed_height`` above the level at which it parts from its neighbors; a core with
    several such branches holds several fibers, and each of these branches is a seed. A core with
    one branch is its own seed, if it reaches ``min_peak`` at all.

    Parameters
    ----------
    core
        (h, w) mask, 0 and 255.
    score
        (h, w) landscape, such as that of `height_score`.
    seed_height, min_peak
        Share of the full height of the score.
    levels
        Level sets of the score, evenly spaced from one step above 0.
    thin
        Whether branches of any width count. Otherwise those that every second row and column
        miss do not, which is faster.

    Returns
    -------
    (h, w) uint16
        Seeds 1..n, each 4-connected.
    """
    sets = _level_sets(core, score, levels, 1 if thin else 2)
    rise = max(1, round(255 * seed_height / levels[0]))
    reach = round(255 * min_peak / levels[0])

    # From the highest level down: how many levels a branch rises further, and how many seeds it
    # holds. Branches that rise too little count as ripples, and so do those too thin to be seen.
    height = [np.zeros(level.count, np.int32) for level in sets]
    seeds = [np.ones(level.count, np.int32) for level in sets]
    counts = [np.zeros(level.count, bool) for level in sets]
    for k in range(len(sets) - 1, 0, -1):
        parent = sets[k].parent
        np.maximum.at(height[k - 1], parent, height[k] + 1)
        counts[k] = (height[k] + 1 > rise) & (parent > 0)
        below = np.zeros(sets[k - 1].count, np.int32)
        np.add.at(below, parent[counts[k]], seeds[k][counts[k]])
        seeds[k - 1] = np.maximum(below, 1)

    # From the lowest level up: a branch is open while its stem holds several seeds.
    markers = np.zeros(sets[0].labels.shape, np.uint16)
    n_seeds = 0
    stem_open = height[0] >= reach
    stem_open[0] = False
    for k, level in enumerate(sets):
        if k:
            stem_open = counts[k] & stem_open[level.parent]
        chosen = np.flatnonzero(stem_open & (seeds[k] == 1))[: SEEDS_MAX - n_seeds]
        if chosen.size:
            number = np.zeros(level.count, np.uint16)
            number[chosen] = np.arange(n_seeds + 1, n_seeds + 1 + chosen.size)
            np.maximum(markers, number[level.labels], out=markers)
            n_seeds += chosen.size
        stem_open = stem_open & (seeds[k] > 1)
        if not stem_open.any():
            break
    return markers


@dataclass(frozen=True)
class _LevelSet:
    """Components at one level, 0 outside, and the component below each one."""

    labels: NDArray[np.int32] | NDArray[np.uint16]
    count: int
    parent: NDArray[np.int32]


def _level_sets(
    core: NDArray[np.uint8],
    score: NDArray[np.uint8],
    levels: tuple[int, ...],
    step: int,
) -> list[_LevelSet]:
    """Components of the core at rising levels; every `step`-th pixel tells what lies below one."""
    import cv2

    looked_at = np.s_[::step, ::step]
    count, labels = _components(core)
    sets = [_LevelSet(_compact(labels, count), count, np.zeros(count, np.int32))]
    for level in levels:
        above = cv2.bitwise_and(cv2.compare(score, level, cv2.CMP_GT), core)
        count, labels = _components(above)
        if count == 1:
            break
        parent = np.zeros(count, np.int32)
        parent[labels[looked_at]] = sets[-1].labels[looked_at]
        parent[0] = 0
        sets.append(_LevelSet(_compact(labels, count), count, parent))
    return sets


def _components(mask: NDArray[np.uint8]) -> tuple[int, NDArray[np.int32]]:
    import cv2

    count, labels = cv2.connectedComponents(mask, connectivity=4, ltype=cv2.CV_32S)
    return count, np.asarray(labels, np.int32)


def _compact(labels: NDArray[np.int32], count: int) -> NDArray[np.int32] | NDArray[np.uint16]:
    # All levels are held at once: half the memory where the numbers allow it.
    return labels.astype(np.uint16) if count <= 1 << 16 else labels


def flood(
    seeds: NDArray[np.uint16],
    score: NDArray[np.uint8],
    core: NDArray[np.uint8],
    foreground: NDArray[np.uint8],
) -> NDArray[np.uint16]:
    """Let the seeds grow over the core from high to low score, then into rims and corners.

    A watershed by level sets: at each level every seed grows, a pixel per step, into what lies
    above that level and belongs to nobody yet.

    Parameters
    ----------
    seeds
        (h, w) uint16 of `find_seeds`.
    score, core
        As for `find_seeds`.
    foreground
        (h, w) mask of the sarcoplasm, 0 and 255; nothing grows beyond it.

    Returns
    -------
    (h, w) uint16
        Labels as in ``seeds``.
    """
    import cv2

    labels = seeds.copy()
    free = cv2.bitwise_and(core, cv2.compare(labels, 0, cv2.CMP_EQ))
    if cv2.countNonZero(free):
        for level in reversed(LEVELS):
            above = cv2.compare(score, level, cv2.CMP_GT)
            grow(labels, cv2.bitwise_and(above, core), LEVEL_STEPS)
        grow(labels, core, RIM_STEPS)
    grow(labels, foreground, RIM_STEPS)
    return labels


def grow(labels: NDArray[np.uint16], region: NDArray[np.uint8], steps: int) -> None:
    """Widen labels in place by up to ``steps`` pixels into the unlabeled part of ``region``."""
    import cv2

    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    free = cv2.bitwise_and(region, cv2.compare(labels, 0, cv2.CMP_EQ))
    left = cv2.countNonZero(free)
    for _ in range(steps):
        if left == 0:
            return
        cv2.copyTo(cv2.dilate(labels, cross), free, labels)
        free = cv2.bitwise_and(free, cv2.compare(labels, 0, cv2.CMP_EQ))
        before, left = left, cv2.countNonZero(free)
        if left == before:
            return
