"""Find the thresholds of the nuclei that suit a network, on development data."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.segmentation.drawing import FiberMaps
from biopsy_ai.segmentation.nuclei import label_nuclei
from biopsy_ai.segmentation.thresholds import NucleusThresholds

IOU = 0.5
"""Nuclei that overlap by this much are the same. [default]"""

GRID = {
    "foreground": (0.3, 0.4, 0.5),
    "min_peak": (0.1, 0.2, 0.3),
    "seed_height": (0.05, 0.1, 0.15),
    "min_foreground": (0.3, 0.5, 0.6, 0.7, 0.8),
    "min_area_um2": (2.0, 4.0, 6.0),
}
"""Values that are tried: all combinations of the first three, then of the others."""

_SEEDS = ("foreground", "min_peak", "seed_height")
_OBJECTS = ("min_foreground", "min_area_um2")


def tune_nuclei(
    maps: Sequence[FiberMaps],
    truths: Sequence[NDArray[np.integer]],
    *,
    ignores: Sequence[NDArray[np.bool_] | None] | None = None,
    mpp: float = OUTLINE_MPP,
    workers: int = 1,
) -> tuple[NucleusThresholds, float]:
    """Search the thresholds with the best F1 of nuclei at IoU 0.5, pooled over all fields.

    Parameters
    ----------
    maps, truths
        Maps of the network and true nuclei (H, W), field by field, at the same pixel size.
    ignores
        (H, W) bool regions where the truth is unknown, or None, field by field.
    mpp
        Pixel size, µm.
    workers
        Threads that work on fields.

    Returns
    -------
    NucleusThresholds, float
        The best found, and their F1.
    """
    ignored = list(ignores) if ignores is not None else [None] * len(truths)
    best, top = NucleusThresholds(), -1.0
    with ThreadPoolExecutor(workers) as pool:
        for names in (_SEEDS, _OBJECTS):
            fixed = best.as_dict()
            for values in product(*(GRID[name] for name in names)):
                tried = NucleusThresholds(**(fixed | dict(zip(names, values, strict=True))))
                score = _f1(tried, maps, truths, ignored, mpp, pool)
                if score > top:
                    best, top = tried, score
    return best, top


def _f1(
    thresholds: NucleusThresholds,
    maps: Sequence[FiberMaps],
    truths: Sequence[NDArray[np.integer]],
    ignores: Sequence[NDArray[np.bool_] | None],
    mpp: float,
    pool: ThreadPoolExecutor,
) -> float:
    from biopsy_ai.evaluation.matching import count_overlaps, match_overlaps

    def count(
        one: tuple[FiberMaps, NDArray[np.integer], NDArray[np.bool_] | None],
    ) -> tuple[int, int, int]:
        field, truth, ignore = one
        found = label_nuclei(field, (truth.shape[0], truth.shape[1]), thresholds, mpp=mpp)
        match = match_overlaps(count_overlaps(found.labels[:, :], truth, ignore=ignore), IOU)
        return len(match.pairs), len(match.unmatched_predicted), len(match.unmatched_truth)

    counts = list(pool.map(count, zip(maps, truths, ignores, strict=True)))
    found, extra, missed = np.sum(counts, axis=0)
    return float(2 * found / max(2 * found + extra + missed, 1))
