from __future__ import annotations

import itertools

import numpy as np
import pytest

from biopsy_ai.evaluation.matching import (
    border_labels,
    count_overlaps,
    match_fibers,
    match_overlaps,
)


def squares(*corners: tuple[int, int], side: int = 10, shape: tuple[int, int] = (60, 60)):
    """Squares of `side` at the given corners, labeled 1, 2, ..."""
    labels = np.zeros(shape, dtype=np.int32)
    for number, (y, x) in enumerate(corners, start=1):
        labels[y : y + side, x : x + side] = number
    return labels


TRUTH = squares((5, 5), (5, 30), (30, 5), (30, 30))


def test_a_perfect_prediction_matches_every_fiber_whatever_its_number() -> None:
    predicted = np.where(TRUTH > 0, 1000 - TRUTH, 0)
    matching = match_fibers(predicted, TRUTH)
    assert matching.pairs.tolist() == [[999, 1], [998, 2], [997, 3], [996, 4]]
    assert matching.ious.tolist() == [1, 1, 1, 1]
    assert len(matching.unmatched_predicted) == len(matching.unmatched_truth) == 0


@pytest.mark.parametrize(("shift", "matched"), [(3, True), (4, False)])
def test_a_shifted_square_matches_while_its_overlap_reaches_the_threshold(
    shift: int, matched: bool
) -> None:
    # A shift of s px leaves IoU (10 − s) / (10 + s): 0.54 at 3, 0.43 at 4.
    matching = match_fibers(squares((5, 5 + shift)), squares((5, 5)))
    assert (len(matching.pairs) == 1) is matched
    if matched:
        assert matching.ious[0] == pytest.approx((10 - shift) / (10 + shift))


def test_the_threshold_itself_is_enough() -> None:
    truth = squares((0, 0), side=10)
    half = truth.copy()
    half[5:] = 0
    assert len(match_fibers(half, truth, iou_threshold=0.5).pairs) == 1
    assert len(match_fibers(half, truth, iou_threshold=0.51).pairs) == 0


def test_merged_split_missing_and_extra_fibers() -> None:
    predicted = TRUTH.copy()
    predicted[5:15, 5:40] = 1  # merges fibers 1 and 2
    predicted[30:35, 5:15] = 7  # splits fiber 3 in equal halves
    predicted[predicted == 4] = 0  # misses fiber 4
    predicted[50:55, 50:55] = 9  # adds one
    matching = match_fibers(predicted, TRUTH, iou_threshold=0.51)
    assert len(matching.pairs) == 0
    assert matching.unmatched_predicted.tolist() == [1, 3, 7, 9]
    assert matching.unmatched_truth.tolist() == [1, 2, 3, 4]
    # At one half exactly, one of the two halves stands for the fiber.
    assert match_fibers(predicted, TRUTH).pairs[:, 1].tolist() == [3]


def test_most_pairs_win_over_the_best_single_pair() -> None:
    # Below 0.5 a prediction can fit two fibers: A prefers 1, but only A can have 2.
    truth = np.zeros((1, 40), dtype=np.int32)
    truth[0, 0:10], truth[0, 10:18] = 1, 2
    predicted = np.zeros_like(truth)
    predicted[0, 0:4], predicted[0, 4:16] = 2, 1
    matching = match_fibers(predicted, truth, iou_threshold=0.3)
    assert sorted(map(tuple, matching.pairs.tolist())) == [(1, 2), (2, 1)]


def test_assignment_is_optimal_against_all_permutations() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        predicted = np.sort(rng.integers(0, 5, (1, 60)), axis=1)
        truth = np.sort(rng.integers(0, 5, (1, 60)), axis=1)
        overlaps = count_overlaps(predicted, truth)
        matching = match_overlaps(overlaps, 0.1)
        iou = {
            (int(r), int(c)): float(v)
            for r, c, v in zip(overlaps.rows, overlaps.columns, overlaps.ious, strict=True)
            if v >= 0.1
        }
        n, m = len(overlaps.predicted_ids), len(overlaps.truth_ids)
        best = (0, 0.0)
        for order in itertools.permutations(range(max(n, m)), n):
            kept = [iou[row, column] for row, column in enumerate(order) if (row, column) in iou]
            best = max(best, (len(kept), sum(kept)))
        assert len(matching.pairs) == best[0]
        assert matching.ious.sum() == pytest.approx(best[1])


def test_empty_images_match_nothing() -> None:
    empty = np.zeros((8, 8), dtype=np.uint16)
    assert len(match_fibers(empty, empty).pairs) == 0
    assert match_fibers(empty, squares((1, 1), shape=(8, 8), side=3)).unmatched_truth.tolist() == [
        1
    ]
    assert (
        len(match_fibers(np.zeros((0, 5), dtype=np.int32), np.zeros((0, 5), dtype=int)).ious) == 0
    )


def test_a_fiber_predicted_in_an_ignored_region_is_not_extra() -> None:
    region = np.zeros(TRUTH.shape, dtype=bool)
    region[25:] = True
    truth = np.where(region, 0, TRUTH)
    matching = match_fibers(TRUTH, truth, ignore=region)
    assert matching.pairs.tolist() == [[1, 1], [2, 2]]
    assert matching.unmatched_predicted.tolist() == []
    assert matching.ignored_predicted.tolist() == [3, 4]


@pytest.mark.parametrize(("inside_px", "ignored"), [(5, False), (6, True)])
def test_only_fibers_mainly_in_the_ignored_region_are_left_out(
    inside_px: int, ignored: bool
) -> None:
    region = np.zeros(TRUTH.shape, dtype=bool)
    region[:, 40:] = True
    predicted = squares((5, 30 + inside_px))
    matching = match_fibers(predicted, np.zeros_like(TRUTH), ignore=region)
    assert len(matching.ignored_predicted) == ignored
    assert len(matching.unmatched_predicted) == (not ignored)


def test_true_fibers_can_be_ignored_by_label_and_by_region() -> None:
    predicted = np.where(TRUTH == 3, 0, TRUTH)
    matching = match_fibers(predicted, TRUTH, ignore={3, 4})
    assert matching.pairs.tolist() == [[1, 1], [2, 2]]
    assert matching.ignored_truth.tolist() == [3, 4]
    assert matching.ignored_predicted.tolist() == [4]
    assert len(matching.unmatched_truth) == 0
    by_region = match_fibers(predicted, TRUTH, ignore=np.isin(TRUTH, [3, 4]))
    assert by_region.ignored_truth.tolist() == [3, 4]
    assert by_region.ignored_predicted.tolist() == [4]


def test_fibers_at_the_border_are_left_out_on_both_sides() -> None:
    truth = squares((0, 0), (20, 20), (50, 50))
    predicted = squares((20, 20), (0, 30), (45, 45), side=10)
    predicted[0:8, 0:8] = 4  # a worse outline of the fiber in the corner
    assert border_labels(truth).tolist() == [1, 3]
    matching = match_fibers(predicted, truth, border="ignore")
    assert matching.pairs.tolist() == [[1, 2]]
    assert matching.ignored_truth.tolist() == [1, 3]
    # Label 3 touches no border and lies mainly on background: it is extra.
    assert matching.ignored_predicted.tolist() == [2, 4]
    assert matching.unmatched_predicted.tolist() == [3]


def test_a_prediction_that_reaches_the_border_may_still_match() -> None:
    truth = squares((1, 1))
    predicted = squares((0, 1), side=11)
    assert match_fibers(predicted, truth, border="ignore").pairs.tolist() == [[1, 1]]


def test_overlaps_do_not_depend_on_the_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    predicted, truth = rng.integers(0, 9, (2, 37, 23))
    region = rng.random((37, 23)) < 0.4
    whole = count_overlaps(predicted, truth, ignore=region)
    monkeypatch.setattr("biopsy_ai.evaluation.matching._STRIP_PX", 50)
    strips = count_overlaps(predicted, truth, ignore=region)
    assert whole.foreground_px == strips.foreground_px
    for name in ("rows", "columns", "intersection_px", "ious", "ignored_predicted"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(strips, name))
    pair = (whole.predicted_ids[whole.rows[5]], whole.truth_ids[whole.columns[5]])
    both = (predicted == pair[0]) & (truth == pair[1])
    assert whole.intersection_px[5] == both.sum()


@pytest.mark.parametrize(
    ("predicted", "truth", "options", "message"),
    [
        (TRUTH, TRUTH[:-1], {}, "same two-dimensional shape"),
        (TRUTH[None], TRUTH[None], {}, "same two-dimensional shape"),
        (TRUTH.astype(float), TRUTH, {}, "integers"),
        (-TRUTH, TRUTH, {}, "between 0"),
        (TRUTH, TRUTH, {"iou_threshold": 0}, "iou_threshold"),
        (TRUTH, TRUTH, {"iou_threshold": 1.5}, "iou_threshold"),
        (TRUTH, TRUTH, {"border": "drop"}, "border"),
        (TRUTH, TRUTH, {"ignore": TRUTH}, "boolean"),
        (TRUTH, TRUTH, {"ignore": np.zeros((3, 3), dtype=bool)}, "shape"),
    ],
)
def test_unusable_arguments_are_refused(predicted, truth, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        match_fibers(predicted, truth, **options)
