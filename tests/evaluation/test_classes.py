"""Class maps against their truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from biopsy_ai.evaluation import count_confusion

NAMES = ("glass", "fiber", "fat")


def test_intersection_over_union_of_each_class() -> None:
    truth = np.array([[0, 0, 0, 0], [1, 1, 1, 1]], dtype=np.uint8)
    found = np.array([[0, 0, 0, 1], [1, 1, 1, 2]], dtype=np.uint8)
    confusion = count_confusion(found, truth, NAMES)
    np.testing.assert_array_equal(confusion.counts, [[3, 1, 0], [0, 3, 1], [0, 0, 0]])
    assert confusion.iou("glass") == 3 / 4
    assert confusion.iou("fiber") == 3 / 5
    assert confusion.iou("fat") == 0
    assert confusion.mean_iou == pytest.approx((3 / 4 + 3 / 5) / 2), "fat is not in the truth"
    assert confusion.accuracy == 6 / 8


def test_a_class_that_neither_map_holds_has_no_overlap() -> None:
    confusion = count_confusion(np.zeros((2, 2), int), np.zeros((2, 2), int), NAMES)
    assert math.isnan(confusion.iou("fat"))
    assert confusion.mean_iou == 1


def test_nothing_is_counted_where_the_truth_is_not_known() -> None:
    truth = np.zeros((4, 4), dtype=int)
    found = np.eye(4, dtype=int)
    confusion = count_confusion(found, truth, NAMES, ignore=np.eye(4, dtype=bool))
    assert confusion.accuracy == 1
    assert confusion.counts.sum() == 12
    nothing = count_confusion(found, truth, NAMES, ignore=np.ones((4, 4), dtype=bool))
    assert math.isnan(nothing.mean_iou)
    assert math.isnan(nothing.accuracy)


def test_images_are_pooled_pixel_by_pixel() -> None:
    good = count_confusion(np.zeros((1, 3), int), np.zeros((1, 3), int), NAMES)
    poor = count_confusion(np.ones((1, 1), int), np.zeros((1, 1), int), NAMES)
    assert (good + poor).iou("glass") == 3 / 4
    with pytest.raises(ValueError, match="same classes"):
        good + count_confusion(np.zeros((1, 1), int), np.zeros((1, 1), int), ("glass",))


def test_maps_must_fit() -> None:
    with pytest.raises(ValueError, match="same shape"):
        count_confusion(np.zeros((2, 2), int), np.zeros((2, 3), int), NAMES)
    with pytest.raises(ValueError, match="from 0 to 2"):
        count_confusion(np.full((2, 2), 3), np.zeros((2, 2), int), NAMES)
