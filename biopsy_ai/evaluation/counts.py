"""Numbers of fibers right and wrong at one threshold, and the ratios made of them."""

from __future__ import annotations

from dataclasses import dataclass

_NAN = float("nan")


def ratio(part: float, whole: float) -> float:
    """`part` / `whole`; NaN where there is nothing to divide by."""
    return part / whole if whole else _NAN


@dataclass(frozen=True)
class MatchCounts:
    """Fibers matched at one IoU threshold.

    ``accuracy`` is TP / (TP + FP + FN), which StarDist and Cellpose call average precision at a
    threshold. Ratios without a denominator are NaN, and so is, for partly labelled truth
    (`partial`), everything that needs to know which fibers are extra.
    """

    threshold: float
    true_positives: int
    false_positives: int
    false_negatives: int
    iou_sum: float
    partial: bool = False

    @property
    def precision(self) -> float:
        """Share of predicted fibers that are true."""
        found = self.true_positives + self.false_positives
        return _NAN if self.partial else ratio(self.true_positives, found)

    @property
    def recall(self) -> float:
        """Share of true fibers that were found."""
        return ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        wrong = self.false_positives + self.false_negatives
        whole = 2 * self.true_positives + wrong
        return _NAN if self.partial else ratio(2 * self.true_positives, whole)

    @property
    def accuracy(self) -> float:
        """TP / (TP + FP + FN)."""
        whole = self.true_positives + self.false_positives + self.false_negatives
        return _NAN if self.partial else ratio(self.true_positives, whole)

    @property
    def mean_matched_iou(self) -> float:
        """Mean intersection over union of the matched fibers (segmentation quality)."""
        return ratio(self.iou_sum, self.true_positives)

    @property
    def panoptic_quality(self) -> float:
        """Sum of IoU / (TP + FP/2 + FN/2) (Kirillov et al. 2019, arXiv 1801.00868)."""
        whole = self.true_positives + (self.false_positives + self.false_negatives) / 2
        return _NAN if self.partial else ratio(self.iou_sum, whole)
