"""How well predicted fibers agree with true ones: found, outlined, measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from biopsy_ai.evaluation.agreement import BlandAltman, bland_altman
from biopsy_ai.evaluation.counts import MatchCounts, ratio
from biopsy_ai.evaluation.matching import (
    Border,
    Ignore,
    LabelImage,
    Matching,
    Overlaps,
    count_overlaps,
    match_overlaps,
)
from biopsy_ai.slides.pixel_size import check_mpp

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""IoU thresholds at which fibers are matched; `average_precision` is the mean over them."""

SIZE_CLASSES_UM2 = ((0.0, 150.0), (150.0, 400.0), (400.0, float("inf")))
"""Classes of true cross-sectional area for which recall is given, µm²: from, and below."""

_SIZE_NAMES = ("under_150_um2", "150_400_um2", "over_400_um2")
_NAN = float("nan")


@dataclass(frozen=True)
class FiberEvaluation:
    """Agreement of predicted with true fibers, of one image or of several pooled.

    Attributes
    ----------
    counts
        Matches at each threshold, in the order asked for. The first is the one at which pairs
        are measured and recall by size is counted.
    jaccard, foreground
        Sums behind `aggregated_jaccard` (intersection, union) and `foreground_dice` (both,
        predicted, true): pixels, or µm² where the pixel size is known.
    csa_pairs
        Cross-sectional areas (predicted, true) of matched fibers, shape (m, 2), pixels or µm².
    min_feret_pairs_um
        Minimal Feret diameters (predicted, true) of matched fibers, shape (m, 2), µm; empty
        where the pixel size is not known or nothing was measured.
    found_by_size
        (found, all) true fibers in each of `SIZE_CLASSES_UM2`; None without a pixel size.
    n_ignored_predicted, n_ignored_truth
        Fibers that count neither as right nor as wrong.
    in_um
        Whether the areas above are µm².
    partial
        Whether the truth holds only some of the fibers, so that only recall can be judged.
    matching
        The matching at the first threshold; None for pooled images.
    """

    counts: tuple[MatchCounts, ...]
    jaccard: tuple[float, float]
    foreground: tuple[float, float, float]
    csa_pairs: npt.NDArray[np.float64]
    min_feret_pairs_um: npt.NDArray[np.float64]
    found_by_size: tuple[tuple[int, int], ...] | None
    n_ignored_predicted: int
    n_ignored_truth: int
    in_um: bool
    partial: bool = False
    matching: Matching | None = field(default=None, repr=False)

    def at(self, threshold: float) -> MatchCounts:
        """Return the matches at one of the IoU thresholds asked for."""
        for counts in self.counts:
            if abs(counts.threshold - threshold) < 1e-9:
                return counts
        known = ", ".join(f"{counts.threshold:g}" for counts in self.counts)
        raise KeyError(f"fibers were matched at {known}, not at {threshold:g}")

    @property
    def n_true(self) -> int:
        """True fibers that count."""
        return self.counts[0].true_positives + self.counts[0].false_negatives

    @property
    def n_predicted(self) -> int:
        """Predicted fibers that count."""
        return self.counts[0].true_positives + self.counts[0].false_positives

    @property
    def count_error_percent(self) -> float:
        """Predicted minus true number of fibers, percent of the true number."""
        if self.partial:
            return _NAN
        return 100 * ratio(self.n_predicted - self.n_true, self.n_true)

    @property
    def average_precision(self) -> float:
        """Mean of `MatchCounts.accuracy` over the thresholds."""
        return float(np.mean([counts.accuracy for counts in self.counts]))

    @property
    def aggregated_jaccard(self) -> float:
        """Aggregated Jaccard index (Kumar et al. 2017, doi:10.1109/TMI.2017.2677499)."""
        return _NAN if self.partial else ratio(*self.jaccard)

    @property
    def foreground_dice(self) -> float:
        """Dice overlap of all predicted with all true fiber pixels."""
        both, predicted, true = self.foreground
        return _NAN if self.partial else ratio(2 * both, predicted + true)

    @property
    def csa_bias_percent(self) -> float:
        """Median error of the cross-sectional area of matched fibers, percent of the true one."""
        return bland_altman(*self.csa_pairs.T, percent=True).median

    @property
    def csa_um2(self) -> BlandAltman:
        """Bland–Altman summary of the cross-sectional area of matched fibers, µm²."""
        pairs = self.csa_pairs if self.in_um else self.csa_pairs[:0]
        return bland_altman(*pairs.T)

    @property
    def min_feret_um(self) -> BlandAltman:
        """Bland–Altman summary of the minimal Feret diameter of matched fibers, µm."""
        return bland_altman(*self.min_feret_pairs_um.T)

    def as_row(self, thresholds: Sequence[float] = (0.5, 0.75)) -> dict[str, float | int]:
        """Flat table row; names of matching metrics end in the threshold, such as ``f1_50``."""
        row: dict[str, float | int] = {
            "n_true": self.n_true,
            "n_predicted": self.n_predicted,
            "count_error_percent": self.count_error_percent,
        }
        for counts in self.counts:
            if not any(abs(counts.threshold - wanted) < 1e-9 for wanted in thresholds):
                continue
            suffix = f"{100 * counts.threshold:g}"
            for name in (
                "precision",
                "recall",
                "f1",
                "accuracy",
                "mean_matched_iou",
                "panoptic_quality",
            ):
                row[f"{name}_{suffix}"] = getattr(counts, name)
        row["average_precision"] = self.average_precision
        row["aggregated_jaccard"] = self.aggregated_jaccard
        row["foreground_dice"] = self.foreground_dice
        row["csa_bias_percent"] = self.csa_bias_percent
        for name, unit, agreement in (
            ("csa", "um2", self.csa_um2),
            ("min_feret", "um", self.min_feret_um),
        ):
            row[f"{name}_bias_{unit}"] = agreement.bias
            row[f"{name}_limit_lower_{unit}"] = agreement.lower
            row[f"{name}_limit_upper_{unit}"] = agreement.upper
        for number, name in enumerate(_SIZE_NAMES):
            if self.found_by_size is None:
                row[f"recall_{name}"] = row[f"n_true_{name}"] = float("nan")
                continue
            found, whole = self.found_by_size[number]
            row[f"recall_{name}"] = ratio(found, whole)
            row[f"n_true_{name}"] = whole
        row["n_ignored_predicted"] = self.n_ignored_predicted
        row["n_ignored_truth"] = self.n_ignored_truth
        return row


def evaluate_fibers(
    predicted: LabelImage,
    truth: LabelImage,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    mpp: float | tuple[float, float] | None = None,
    ignore: Ignore | None = None,
    border: Border = "keep",
    partial: bool = False,
    shapes: bool = True,
) -> FiberEvaluation:
    """Compare a predicted with a true label image of the same grid.

    Parameters
    ----------
    predicted, truth
        Label images, shape (H, W); 0 is background.
    thresholds
        IoU thresholds. Pairs are measured at the first one.
    mpp
        Pixel size in µm, one number or (y, x). Without it areas are compared in percent only, and
        there is no recall by size.
    ignore, border
        What is not judged; see `match_fibers`.
    partial
        The truth holds only some of the fibers: recall, IoU and sizes are given, and nothing
        that depends on extra fibers.
    shapes
        Measure the minimal Feret diameter of the matched fibers too, which takes longest.

    Returns
    -------
    FiberEvaluation

    Raises
    ------
    ValueError
        If the images differ in shape or are no label images.
    PixelSizeError
        If the pixel size is none of a microscope.

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.zeros((8, 8), dtype=np.int32)
    >>> truth[2:6, 2:6] = 1
    >>> evaluate_fibers(truth, truth).at(0.75).f1
    1.0
    """
    if not thresholds:
        raise ValueError("at least one IoU threshold is needed")
    size = None if mpp is None else check_mpp(mpp, "evaluate_fibers")
    overlaps = count_overlaps(predicted, truth, ignore=ignore, border=border)
    matchings = [match_overlaps(overlaps, threshold) for threshold in thresholds]
    first = matchings[0]
    unit = size[0] * size[1] if size else 1.0

    rows = np.searchsorted(overlaps.predicted_ids, first.pairs[:, 0])
    columns = np.searchsorted(overlaps.truth_ids, first.pairs[:, 1])
    csa_px = np.stack([overlaps.predicted_area_px[rows], overlaps.truth_area_px[columns]], axis=1)
    feret = np.empty((0, 2))
    if size and shapes and len(first.pairs):
        feret = np.stack(
            [
                _min_feret_um(predicted, first.pairs[:, 0], size),
                _min_feret_um(truth, first.pairs[:, 1], size),
            ],
            axis=1,
        )
    both, all_predicted, all_true = overlaps.foreground_px
    intersection, union = _aggregated_jaccard(overlaps)
    return FiberEvaluation(
        counts=tuple(
            MatchCounts(
                threshold=matching.iou_threshold,
                true_positives=len(matching.pairs),
                false_positives=len(matching.unmatched_predicted),
                false_negatives=len(matching.unmatched_truth),
                iou_sum=float(matching.ious.sum()),
                partial=partial,
            )
            for matching in matchings
        ),
        jaccard=(intersection * unit, union * unit),
        foreground=(both * unit, all_predicted * unit, all_true * unit),
        csa_pairs=csa_px.astype(np.float64) * unit,
        min_feret_pairs_um=feret,
        found_by_size=_found_by_size(overlaps, first, unit) if size else None,
        n_ignored_predicted=len(first.ignored_predicted),
        n_ignored_truth=len(first.ignored_truth),
        in_um=size is not None,
        partial=partial,
        matching=first,
    )


def pool_evaluations(evaluations: Iterable[FiberEvaluation]) -> FiberEvaluation:
    """Add up several images as if they were one: every fiber counts the same.

    Raises
    ------
    ValueError
        If there are none, or if they were matched at different thresholds.
    """
    parts = list(evaluations)
    if not parts:
        raise ValueError("there is nothing to pool")
    if len({tuple(counts.threshold for counts in part.counts) for part in parts}) > 1:
        raise ValueError("only evaluations at the same IoU thresholds can be pooled")
    partial = any(part.partial for part in parts)
    in_um = all(part.in_um for part in parts)
    # Sums of pixels and of µm² mean nothing.
    unit = _NAN if not in_um and any(part.in_um for part in parts) else 1.0
    sizes = [part.found_by_size for part in parts if part.found_by_size is not None]
    return FiberEvaluation(
        counts=tuple(
            MatchCounts(
                threshold=group[0].threshold,
                true_positives=sum(counts.true_positives for counts in group),
                false_positives=sum(counts.false_positives for counts in group),
                false_negatives=sum(counts.false_negatives for counts in group),
                iou_sum=sum(counts.iou_sum for counts in group),
                partial=partial,
            )
            for group in zip(*(part.counts for part in parts), strict=True)
        ),
        jaccard=(
            unit * sum(part.jaccard[0] for part in parts),
            unit * sum(part.jaccard[1] for part in parts),
        ),
        foreground=(
            unit * sum(part.foreground[0] for part in parts),
            unit * sum(part.foreground[1] for part in parts),
            unit * sum(part.foreground[2] for part in parts),
        ),
        csa_pairs=np.concatenate([part.csa_pairs for part in parts]),
        min_feret_pairs_um=np.concatenate([part.min_feret_pairs_um for part in parts]),
        found_by_size=tuple(
            (sum(found for found, _ in group), sum(whole for _, whole in group))
            for group in zip(*sizes, strict=True)
        )
        if len(sizes) == len(parts)
        else None,
        n_ignored_predicted=sum(part.n_ignored_predicted for part in parts),
        n_ignored_truth=sum(part.n_ignored_truth for part in parts),
        in_um=in_um,
        partial=partial,
    )


def _min_feret_um(
    labels: LabelImage, wanted: npt.NDArray[np.int64], mpp: tuple[float, float]
) -> npt.NDArray[np.float64]:
    from biopsy_ai.measure import measure_fibers

    table = measure_fibers(labels, mpp, ids=np.sort(wanted)).set_index("label")
    feret = table["min_feret_um"].reindex(wanted)
    return np.asarray(feret, dtype=np.float64)


def _found_by_size(
    overlaps: Overlaps, matching: Matching, unit: float
) -> tuple[tuple[int, int], ...]:
    counted = ~overlaps.ignored_truth
    area = overlaps.truth_area_px[counted] * unit
    found = np.isin(overlaps.truth_ids[counted], matching.pairs[:, 1])
    return tuple(
        (int(found[inside].sum()), int(inside.sum()))
        for inside in ((area >= low) & (area < high) for low, high in SIZE_CLASSES_UM2)
    )


def _aggregated_jaccard(overlaps: Overlaps) -> tuple[int, int]:
    """Intersection and union, pixels, summed over true fibers and the best prediction of each."""
    counted = np.flatnonzero(~overlaps.ignored_truth)
    order = np.lexsort((overlaps.ious, overlaps.columns))
    columns = overlaps.columns[order]
    best = order[np.append(columns[1:] != columns[:-1], True)] if len(order) else order
    best = best[np.isin(overlaps.columns[best], counted)]
    intersection = int(overlaps.intersection_px[best].sum())
    unused = ~overlaps.ignored_predicted
    unused[overlaps.rows[best]] = False
    union = (
        int(overlaps.truth_area_px[counted].sum())
        + int(overlaps.predicted_area_px[overlaps.rows[best]].sum())
        - intersection
        + int(overlaps.predicted_area_px[unused].sum())
    )
    return intersection, union
