from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import ndimage
from segmentation.drawn_maps import best_iou, draw_ellipses, draw_polygons, perfect_maps

from biopsy_ai.segmentation.drawing import fiber_maps
from biopsy_ai.segmentation.instances import FiberInstances, label_fibers
from biopsy_ai.segmentation.thresholds import InstanceThresholds


def assert_consistent(found: FiberInstances) -> None:
    """Labels 1..n, each 4-connected and without holes, boxes tight."""
    n = int(found.labels.max(initial=0))
    assert len(found.boxes) == len(found.confidence) == n
    for label, box in enumerate(ndimage.find_objects(found.labels), start=1):
        assert box is not None
        mask = found.labels[box] == label
        assert ndimage.label(mask)[1] == 1
        assert (ndimage.binary_fill_holes(mask) == mask).all()
        y0, x0, y1, x1 = found.boxes[label - 1]
        assert box == (slice(y0, y1), slice(x0, x1))
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()


def test_separate_fibers_are_found() -> None:
    truth = draw_ellipses((700, 801), seed=1)
    found = label_fibers(*perfect_maps(truth))
    assert_consistent(found)
    areas = np.bincount(truth.ravel())[1:]
    assert (best_iou(truth, found.labels)[areas > 150] >= 0.9).all()
    assert found.labels.max() <= truth.max()


def test_fibers_that_touch_without_a_gap_are_parted() -> None:
    truth = draw_polygons((600, 600), seed=2)
    found = label_fibers(*perfect_maps(truth))
    assert_consistent(found)
    assert found.labels.max() == truth.max()
    assert (best_iou(truth, found.labels) >= 0.9).all()


def test_blurred_maps_give_the_same_fibers() -> None:
    truth = draw_polygons((600, 600), seed=3)
    maps = [cv2.GaussianBlur(array, (0, 0), 2) for array in perfect_maps(truth)]
    found = label_fibers(*maps)
    assert (best_iou(truth, found.labels) >= 0.9).all()


def test_tiny_fiber_beside_a_huge_one() -> None:
    truth = np.zeros((500, 500), np.int32)
    cv2.circle(truth, (250, 250), 180, 1, -1)
    cv2.fillPoly(truth, [np.array([[432, 240], [456, 251], [432, 262]])], 2)
    cv2.circle(truth, (250, 61), 7, 3, -1)
    found = label_fibers(*perfect_maps(truth))
    assert found.labels.max() == 3
    iou = best_iou(truth, found.labels)
    assert iou[0] >= 0.98
    assert (iou[1:] >= 0.8).all()


def test_long_and_bent_fibers_stay_whole() -> None:
    truth = np.zeros((400, 600), np.int32)
    cv2.ellipse(truth, (300, 320), (250, 250), 0, 190, 350, 1, 50)
    cv2.circle(truth, (150, 330), 45, 2, -1)
    cv2.circle(truth, (250, 330), 45, 2, -1)
    cv2.rectangle(truth, (150, 305), (250, 355), 2, -1)
    found = label_fibers(*perfect_maps(truth))
    assert found.labels.max() == 2
    assert (best_iou(truth, found.labels) >= 0.95).all()


def test_pieces_with_a_border_between_are_not_merged() -> None:
    truth = np.zeros((200, 300), np.int32)
    cv2.circle(truth, (100, 100), 60, 1, -1)
    cv2.circle(truth, (195, 100), 60, 2, -1)
    foreground, border, distance = perfect_maps(truth)
    # The network is unsure of the border: too faint to part the cores, enough against merging.
    found = label_fibers(foreground, 0.45 * border, distance)
    assert found.labels.max() == 2
    merged = label_fibers(foreground, 0.1 * border, np.maximum(distance, 0.5 * foreground))
    assert merged.labels.max() == 1


def test_holes_and_islands_belong_to_the_fiber_around() -> None:
    truth = np.zeros((300, 300), np.int32)
    cv2.circle(truth, (150, 150), 100, 1, -1)
    maps = perfect_maps(truth)
    for array in maps:
        cv2.circle(array, (150, 150), 30, 0, -1)
        cv2.circle(array, (120, 90), 6, 0, -1)
    cv2.circle(maps[0], (150, 150), 20, 1, -1)
    cv2.circle(maps[2], (150, 150), 12, 0.9, -1)
    found = label_fibers(*maps)
    assert_consistent(found)
    assert found.labels.max() == 1
    assert best_iou(truth, found.labels)[0] >= 0.98


def test_faint_flat_and_small_objects_are_no_fibers() -> None:
    truth = np.zeros((300, 300), np.int32)
    cv2.circle(truth, (60, 60), 40, 1, -1)
    cv2.circle(truth, (200, 60), 40, 2, -1)
    cv2.circle(truth, (60, 200), 40, 3, -1)
    cv2.circle(truth, (200, 200), 4, 4, -1)
    foreground, border, distance = perfect_maps(truth)
    foreground[truth == 2] = 0.55
    distance[truth == 3] *= 0.25
    found = label_fibers(foreground, border, distance)
    assert found.labels.max() == 1
    assert found.labels[60, 60] == 1


def test_float_and_quantized_maps_agree() -> None:
    maps = perfect_maps(draw_ellipses((300, 300), seed=4))
    quantized = [np.round(array * 255).astype(np.uint8) for array in maps]
    assert (label_fibers(*maps).labels == label_fibers(*quantized).labels).all()


def test_empty_maps_give_no_fibers() -> None:
    found = label_fibers(*np.zeros((3, 101, 67)))
    assert found.labels.shape == (101, 67)
    assert found.labels.max() == 0
    assert found.boxes.shape == (0, 4)


def test_the_whole_field_can_be_one_fiber() -> None:
    found = label_fibers(np.ones((64, 64)), np.zeros((64, 64)), np.ones((64, 64)))
    assert (found.labels == 1).all()
    assert found.confidence[0] == 1


def test_maps_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        fiber_maps(np.zeros((10, 10)), np.zeros((10, 10)), np.zeros((10, 12)))


def test_smallest_area_is_in_square_micrometers() -> None:
    truth = np.zeros((100, 100), np.int32)
    cv2.rectangle(truth, (40, 40), (59, 59), 1, -1)  # 400 px, 100 µm²
    maps = perfect_maps(truth)
    assert label_fibers(*maps, InstanceThresholds(min_area_um2=99)).labels.max() == 1
    assert label_fibers(*maps, InstanceThresholds(min_area_um2=101)).labels.max() == 0
    assert label_fibers(*maps, InstanceThresholds(min_area_um2=399), mpp=1.0).labels.max() == 1
