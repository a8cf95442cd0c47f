from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from segmentation.drawn_maps import draw_polygons, perfect_maps

from biopsy_ai.segmentation.drawing import FiberMaps, fiber_maps
from biopsy_ai.segmentation.thresholds import InstanceThresholds
from biopsy_ai.training.tuning import score_thresholds, tune_thresholds


@pytest.fixture(scope="module")
def field() -> tuple[FiberMaps, NDArray[np.int32]]:
    truth = draw_polygons((301, 300), seed=7)
    foreground, border, distance = perfect_maps(truth)
    # A faint network: every map reaches half of what it should.
    soft = [cv2.GaussianBlur(0.5 * array, (0, 0), 1.5) for array in (foreground, border, distance)]
    return fiber_maps(*soft), truth


def test_tuning_finds_the_fibers_of_a_faint_network(
    field: tuple[FiberMaps, NDArray[np.int32]],
) -> None:
    maps, truth = field
    start = InstanceThresholds(foreground=0.45, min_foreground=0.45, merge_border=0.05)
    before = score_thresholds(start, [maps], [truth], [None])
    calls: list[tuple[str, int, int]] = []
    tuned, after = tune_thresholds(
        [maps], [truth], start=start, halvings=0, progress=lambda *call: calls.append(call)
    )
    assert after.value > before.value
    assert min(after.f1) > 0.9
    assert abs(after.csa_bias) < 0.1
    assert score_thresholds(tuned, [maps], [truth], [None]) == after
    assert all(done <= total for _, done, total in calls)


def test_perfect_maps_score_one() -> None:
    truth = draw_polygons((300, 300), seed=8)
    score = score_thresholds(
        InstanceThresholds(), [fiber_maps(*perfect_maps(truth))], [truth], [None]
    )
    assert score.f1 == (1.0, 1.0)
    assert abs(score.csa_bias) < 0.02
    assert score.value > 0.98


def test_nothing_found_scores_zero(field: tuple[FiberMaps, NDArray[np.int32]]) -> None:
    maps, truth = field
    score = score_thresholds(InstanceThresholds(foreground=0.9), [maps], [truth], [None])
    assert score.f1 == (0.0, 0.0)
    assert score.csa_bias == 0


def test_fields_count_by_their_weight() -> None:
    truth = draw_polygons((300, 300), seed=8)
    right = fiber_maps(*perfect_maps(truth))
    empty = fiber_maps(*np.zeros((3, 300, 300), np.float32))
    both, truths = [right, empty], [truth, truth]
    alike = score_thresholds(InstanceThresholds(), both, truths, [None, None])
    first = score_thresholds(InstanceThresholds(), both, truths, [None, None], [3.0, 1.0])
    assert alike.f1[0] == pytest.approx(2 / 3)
    assert first.f1[0] == pytest.approx(6 / 7)


def test_unknown_regions_do_not_count() -> None:
    truth = draw_polygons((300, 300), seed=8)
    maps = fiber_maps(*perfect_maps(truth))
    partly = truth.copy()
    partly[:, 150:] = 0
    without = score_thresholds(InstanceThresholds(), [maps], [partly], [None])
    ignore = np.zeros(truth.shape, bool)
    ignore[:, 120:] = True
    knowing = score_thresholds(InstanceThresholds(), [maps], [partly], [ignore])
    assert without.f1[0] < 0.9 < knowing.f1[0]
