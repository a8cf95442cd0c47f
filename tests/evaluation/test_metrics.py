from __future__ import annotations

import math

import numpy as np
import pytest

from biopsy_ai.errors import PixelSizeError
from biopsy_ai.evaluation.counts import MatchCounts
from biopsy_ai.evaluation.metrics import THRESHOLDS, evaluate_fibers, pool_evaluations

SIDE = 20


def squares(*corners: tuple[int, int], side: int = SIDE) -> np.ndarray:
    labels = np.zeros((100, 100), dtype=np.int32)
    for number, (y, x) in enumerate(corners, start=1):
        labels[y : y + side, x : x + side] = number
    return labels


TRUTH = squares((10, 10), (10, 50), (50, 10), (50, 50))


def test_a_perfect_prediction_has_the_best_of_everything() -> None:
    found = evaluate_fibers(TRUTH, TRUTH, mpp=0.5, shapes=False)
    for threshold in THRESHOLDS:
        counts = found.at(threshold)
        assert counts.precision == counts.recall == counts.f1 == counts.accuracy == 1
        assert counts.mean_matched_iou == counts.panoptic_quality == 1
    assert found.average_precision == 1
    assert found.aggregated_jaccard == found.foreground_dice == 1
    assert found.count_error_percent == found.csa_bias_percent == 0
    assert (found.csa_um2.bias, found.csa_um2.sd) == (0, 0)
    assert (found.n_true, found.n_predicted) == (4, 4)


def test_shifted_fibers() -> None:
    # 2 px of 20: each pair shares 18/22, so it counts up to IoU 0.8.
    found = evaluate_fibers(np.roll(TRUTH, 2, axis=1), TRUTH, shapes=False)
    assert found.at(0.8).f1 == 1
    assert found.at(0.85).f1 == 0
    assert found.at(0.5).mean_matched_iou == pytest.approx(18 / 22)
    assert math.isnan(found.at(0.85).mean_matched_iou)
    assert found.average_precision == pytest.approx(0.7)
    assert found.aggregated_jaccard == pytest.approx(18 / 22)
    assert found.foreground_dice == pytest.approx(0.9)
    assert found.csa_bias_percent == 0


def test_merged_split_missing_and_extra_fibers_are_counted() -> None:
    predicted = TRUTH.copy()
    predicted[10:30, 10:70] = 1  # fibers 1 and 2 merged: 1200 px
    predicted[65:70, 10:30] = 5  # fiber 3 split 3 : 1
    predicted[predicted == 4] = 0  # fiber 4 missed
    predicted[90:95, 90:95] = 6  # an extra one
    found = evaluate_fibers(predicted, TRUTH, shapes=False)
    half = found.at(0.5)
    assert (half.true_positives, half.false_positives, half.false_negatives) == (1, 3, 3)
    assert half.precision == half.recall == half.f1 == 0.25
    assert half.accuracy == pytest.approx(1 / 7)
    assert half.panoptic_quality == pytest.approx(0.75 / 4)
    assert found.count_error_percent == 0
    # Best predictions: the merged one twice, the larger part of fiber 3; 5 and 6 left over.
    intersection, union = 400 + 400 + 300, 1200 + 1200 + 400 + 400 + 100 + 25
    assert found.aggregated_jaccard == pytest.approx(intersection / union)
    assert found.foreground_dice == pytest.approx(2 * 1200 / (1200 + 400 + 25 + 1600))


def test_sizes_of_matched_fibers_are_compared_in_um() -> None:
    predicted = TRUTH.copy()
    predicted[10:30, 28:30] = 0  # fiber 1 smaller by 10 %
    predicted[10:30, 48:50] = 2  # fiber 2 larger by 10 %
    predicted[50:70, 30:34] = 3  # fiber 3 larger by 20 %
    predicted[50:70, 70:74] = 4  # fiber 4 larger by 20 %
    found = evaluate_fibers(predicted, TRUTH, mpp=(0.5, 1.0), shapes=False)
    assert found.csa_bias_percent == pytest.approx(15)
    # 200 µm² each: −20, +20, +40, +40.
    assert found.csa_um2.bias == pytest.approx(20)
    assert found.csa_um2.upper == pytest.approx(20 + 1.96 * np.std([-20, 20, 40, 40], ddof=1))
    in_pixels = evaluate_fibers(predicted, TRUTH, shapes=False)
    assert in_pixels.csa_bias_percent == pytest.approx(15)
    assert in_pixels.csa_um2.n == 0


def test_recall_by_size_counts_in_um() -> None:
    truth = squares((5, 5), (5, 30), side=12) + 10 * squares((50, 5), side=16)
    truth += 20 * squares((50, 50), side=30)
    predicted = np.where(truth == 2, 0, truth)
    row = evaluate_fibers(predicted, truth, mpp=1.0, shapes=False).as_row()
    assert (row["n_true_under_150_um2"], row["recall_under_150_um2"]) == (2, 0.5)
    assert (row["n_true_150_400_um2"], row["recall_150_400_um2"]) == (1, 1)
    assert (row["n_true_over_400_um2"], row["recall_over_400_um2"]) == (1, 1)
    unknown = evaluate_fibers(predicted, truth, shapes=False)
    assert unknown.found_by_size is None
    assert math.isnan(unknown.as_row()["recall_under_150_um2"])
    assert math.isnan(unknown.as_row()["n_true_under_150_um2"])


def test_min_feret_of_matched_fibers() -> None:
    pytest.importorskip("biopsy_ai.measure")
    predicted = TRUTH.copy()
    predicted[10:30, 28:30] = 0  # 18 instead of 20 px wide
    found = evaluate_fibers(predicted, TRUTH, mpp=0.5)
    assert found.min_feret_um.n == 4
    assert found.min_feret_um.bias == pytest.approx(-1 / 4, abs=0.02)
    assert sorted(found.min_feret_pairs_um[:, 1]) == pytest.approx([10] * 4, rel=0.03)


def test_both_images_empty_leave_nothing_to_judge() -> None:
    empty = np.zeros((30, 30), dtype=np.int32)
    found = evaluate_fibers(empty, empty, mpp=0.5)
    row = found.as_row()
    assert row["n_true"] == row["n_predicted"] == 0
    for name in ("precision_50", "recall_50", "f1_50", "aggregated_jaccard", "foreground_dice"):
        assert math.isnan(row[name])
    assert math.isnan(found.count_error_percent)


def test_one_image_empty() -> None:
    empty = np.zeros_like(TRUTH)
    missed = evaluate_fibers(empty, TRUTH)
    assert (missed.at(0.5).recall, missed.at(0.5).f1, missed.foreground_dice) == (0, 0, 0)
    assert math.isnan(missed.at(0.5).precision)
    assert missed.count_error_percent == -100
    extra = evaluate_fibers(TRUTH, empty)
    assert (extra.at(0.5).precision, extra.at(0.5).f1, extra.aggregated_jaccard) == (0, 0, 0)
    assert math.isnan(extra.at(0.5).recall)


def test_an_ignored_region_changes_nothing_outside_of_it() -> None:
    region = np.zeros(TRUTH.shape, dtype=bool)
    region[40:] = True
    truth = np.where(region, 0, TRUTH)
    found = evaluate_fibers(TRUTH, truth, ignore=region, shapes=False)
    assert found.at(0.5).f1 == found.aggregated_jaccard == found.foreground_dice == 1
    assert (found.n_true, found.n_predicted, found.n_ignored_predicted) == (2, 2, 2)
    assert evaluate_fibers(TRUTH, truth, shapes=False).at(0.5).precision == 0.5


def test_ignored_true_fibers_leave_no_trace() -> None:
    predicted = np.where(TRUTH == 4, 0, TRUTH)
    found = evaluate_fibers(predicted, TRUTH, ignore=[3, 4], shapes=False)
    assert found.at(0.5).f1 == found.aggregated_jaccard == found.foreground_dice == 1
    assert found.n_ignored_truth == 2


def test_fibers_at_the_border_can_be_left_out() -> None:
    truth, predicted = TRUTH.copy(), TRUTH.copy()
    truth[0:5, 0:20] = 9
    predicted[95:, 95:] = 9
    found = evaluate_fibers(predicted, truth, border="ignore", shapes=False)
    assert found.at(0.5).f1 == found.aggregated_jaccard == found.foreground_dice == 1
    assert evaluate_fibers(predicted, truth, shapes=False).at(0.5).f1 == 0.8


def test_partial_truth_gives_recall_and_nothing_that_needs_the_rest() -> None:
    truth = np.where(TRUTH > 2, 0, TRUTH)
    row = evaluate_fibers(TRUTH, truth, partial=True, mpp=0.5, shapes=False).as_row()
    assert row["recall_50"] == row["mean_matched_iou_50"] == 1
    assert row["csa_bias_percent"] == 0
    for name in (
        "precision_50",
        "f1_50",
        "accuracy_50",
        "panoptic_quality_50",
        "aggregated_jaccard",
        "foreground_dice",
        "count_error_percent",
        "average_precision",
    ):
        assert math.isnan(row[name]), name


def test_pooled_images_count_every_fiber_once() -> None:
    good = evaluate_fibers(TRUTH, TRUTH, mpp=0.5, shapes=False)
    bad = evaluate_fibers(np.zeros_like(TRUTH), np.where(TRUTH == 1, 1, 0), mpp=1.0, shapes=False)
    pooled = pool_evaluations([good, bad])
    assert (pooled.n_true, pooled.n_predicted) == (5, 4)
    assert pooled.at(0.5).recall == 0.8
    # Areas add up in µm²: four fibers of 100 and one of 400.
    assert pooled.foreground_dice == pytest.approx(2 * 400 / (400 + 800))
    assert pooled.found_by_size == ((4, 4), (0, 0), (0, 1))
    assert len(pooled.csa_pairs) == 4


def test_pixels_and_um_are_not_added_up() -> None:
    parts = [evaluate_fibers(TRUTH, TRUTH, mpp=mpp, shapes=False) for mpp in (0.5, None)]
    pooled = pool_evaluations(parts)
    assert pooled.at(0.5).f1 == 1
    assert math.isnan(pooled.foreground_dice)
    assert math.isnan(pooled.aggregated_jaccard)
    assert pooled.found_by_size is None
    assert not pooled.in_um


def test_pooling_needs_like_evaluations() -> None:
    with pytest.raises(ValueError, match="nothing to pool"):
        pool_evaluations([])
    two = [evaluate_fibers(TRUTH, TRUTH, thresholds=[t], shapes=False) for t in (0.5, 0.75)]
    with pytest.raises(ValueError, match="same IoU thresholds"):
        pool_evaluations(two)


def test_only_thresholds_asked_for_can_be_read() -> None:
    found = evaluate_fibers(TRUTH, TRUTH, thresholds=(0.6,), shapes=False)
    assert isinstance(found.at(0.6), MatchCounts)
    with pytest.raises(KeyError, match=r"0\.6"):
        found.at(0.5)
    with pytest.raises(ValueError, match="at least one"):
        evaluate_fibers(TRUTH, TRUTH, thresholds=())
    with pytest.raises(PixelSizeError, match="pixel size"):
        evaluate_fibers(TRUTH, TRUTH, mpp=0)
