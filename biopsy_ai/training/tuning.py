"""Find the thresholds of the instance step that suit a network, on development data."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.progress import Progress
from biopsy_ai.segmentation.drawing import FiberMaps
from biopsy_ai.segmentation.instances import label_maps
from biopsy_ai.segmentation.thresholds import InstanceThresholds

IOU_THRESHOLDS = (0.5, 0.75)
"""F1 is averaged over these."""

STEPS = {
    "foreground": 0.1,
    "border": 0.1,
    "core_distance": 0.1,
    "seed_height": 0.1,
    "merge_border": 0.1,
    "merge_saddle": 0.2,
    "min_peak": 0.1,
    "min_foreground": 0.1,
    "min_area_um2": 10.0,
    "min_fiber_share": 0.2,
}
"""First step of the search along each threshold; what is not here keeps its value."""


@dataclass(frozen=True)
class TuningScore:
    """How well some thresholds do.

    Attributes
    ----------
    f1
        Pooled over all fields by their weights, one for each of `IOU_THRESHOLDS`.
    csa_bias
        Median relative error of the cross-sectional area of the fibers matched at IoU 0.5, of all
        fibers whatever their weight.
    value
        Mean F1 less the weighted size of the bias: what is maximized.
    """

    f1: tuple[float, ...]
    csa_bias: float
    value: float


def tune_thresholds(
    maps: Sequence[FiberMaps],
    truths: Sequence[NDArray[np.integer]],
    *,
    ignores: Sequence[NDArray[np.bool_] | None] | None = None,
    weights: Sequence[float] | None = None,
    start: InstanceThresholds | None = None,
    bias_weight: float = 0.5,
    halvings: int = 2,
    mpp: float = OUTLINE_MPP,
    workers: int = 1,
    progress: Progress | None = None,
) -> tuple[InstanceThresholds, TuningScore]:
    """Search thresholds along one coordinate after the other.

    Each threshold is moved by its step as long as the score rises. When no move helps, the steps
    are halved.

    Parameters
    ----------
    maps, truths
        Maps of the network and true labels (H, W), field by field, at the same pixel size. One
        row or column of the maps may be padding.
    ignores
        (H, W) bool regions where the truth is unknown, or None, field by field.
    weights
        What a fiber of each field counts. Default: the same in all.
    start
        Where to begin.
    bias_weight
        What a relative area bias of 1 costs, in units of F1.
    halvings
        How often the steps are halved.
    mpp
        Pixel size, µm.
    workers
        Threads that work on fields.
    progress
        Called as ``progress("tune", evaluations done, evaluations expected)``.

    Returns
    -------
    InstanceThresholds, TuningScore
        The best found, and how well they do.
    """
    if ignores is None:
        ignores = [None] * len(truths)
    known: dict[InstanceThresholds, TuningScore] = {}
    expected = 1 + 2 * len(STEPS) * (halvings + 1)

    with ThreadPoolExecutor(workers) as pool:

        def score(thresholds: InstanceThresholds) -> TuningScore:
            if thresholds not in known:
                known[thresholds] = score_thresholds(
                    thresholds,
                    maps,
                    truths,
                    ignores,
                    weights,
                    bias_weight=bias_weight,
                    mpp=mpp,
                    pool=pool,
                )
                if progress is not None:
                    progress("tune", len(known), max(expected, len(known)))
            return known[thresholds]

        best = start or InstanceThresholds()
        for halving in range(halvings + 1):
            improved = True
            while improved:
                improved = False
                for name, step in STEPS.items():
                    for signed in (step / 2**halving, -step / 2**halving):
                        moved = _move(best, name, signed)
                        while moved is not None and score(moved).value > score(best).value:
                            best, improved = moved, True
                            moved = _move(best, name, signed)
        return best, score(best)


def score_thresholds(
    thresholds: InstanceThresholds,
    maps: Sequence[FiberMaps],
    truths: Sequence[NDArray[np.integer]],
    ignores: Sequence[NDArray[np.bool_] | None],
    weights: Sequence[float] | None = None,
    *,
    bias_weight: float = 0.5,
    mpp: float = OUTLINE_MPP,
    pool: ThreadPoolExecutor | None = None,
) -> TuningScore:
    """Score thresholds on all fields together; parameters as for `tune_thresholds`."""

    def field(
        one: tuple[FiberMaps, NDArray[np.integer], NDArray[np.bool_] | None],
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        return _count(thresholds, *one, mpp)

    jobs = zip(maps, truths, ignores, strict=True)
    results = list(pool.map(field, jobs) if pool is not None else map(field, jobs))
    if weights is None:
        weights = [1.0] * len(truths)
    weighted = [weight * counts for weight, (counts, _) in zip(weights, results, strict=True)]
    found, extra, missed = np.sum(weighted, axis=0).T
    errors = np.concatenate([error for _, error in results])
    f1 = 2 * found / np.maximum(2 * found + extra + missed, 1)
    bias = float(np.median(errors)) if errors.size else 0.0
    value = float(f1.mean()) - bias_weight * abs(bias)
    return TuningScore(tuple(f1.tolist()), bias, value)


def _count(
    thresholds: InstanceThresholds,
    maps: FiberMaps,
    truth: NDArray[np.integer],
    ignore: NDArray[np.bool_] | None,
    mpp: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Found, extra and missed fibers at each IoU, and the area errors of the found."""
    from biopsy_ai.evaluation.matching import count_overlaps, match_overlaps

    predicted = label_maps(maps, truth.shape, thresholds, mpp=mpp).labels
    overlaps = count_overlaps(predicted, truth, ignore=ignore)
    counts = []
    errors = np.zeros(0)
    for k, iou in enumerate(IOU_THRESHOLDS):
        match = match_overlaps(overlaps, iou)
        counts.append(
            (len(match.pairs), len(match.unmatched_predicted), len(match.unmatched_truth))
        )
        if k == 0 and len(match.pairs):
            rows = np.searchsorted(overlaps.predicted_ids, match.pairs[:, 0])
            columns = np.searchsorted(overlaps.truth_ids, match.pairs[:, 1])
            errors = overlaps.predicted_area_px[rows] / overlaps.truth_area_px[columns] - 1
    return np.array(counts), errors


def _move(thresholds: InstanceThresholds, name: str, step: float) -> InstanceThresholds | None:
    """Move one threshold; None at the end of its range."""
    assert name in {field.name for field in fields(thresholds)}
    value = round(getattr(thresholds, name) + step, 6)
    if value < 0 or (not name.endswith("_um2") and not 0 < value < 1):
        return None
    return replace(thresholds, **{name: value})
