from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from segmentation.drawn_maps import draw_nuclei, nucleus_maps

from biopsy_ai import labels as label_room
from biopsy_ai.errors import ModelError
from biopsy_ai.segmentation.drawing import FiberMaps, fiber_maps
from biopsy_ai.segmentation.nuclei import (
    DEPTH_PX,
    Nuclei,
    NucleusSheet,
    label_nuclei,
    nucleus_score,
    window_nuclei,
)
from biopsy_ai.segmentation.thresholds import NucleusThresholds
from biopsy_ai.segmentation.windows import cut_windows

PLAIN = NucleusThresholds(min_area_um2=0.0, min_foreground=0.0)


def test_every_nucleus_is_found_as_drawn() -> None:
    truth = draw_nuclei((201, 240))
    found = label_nuclei(nucleus_maps(truth), truth.shape, PLAIN)
    assert len(found) == truth.max()
    pairs = np.unique(np.stack([truth[truth > 0], np.asarray(found.labels)[truth > 0]]), axis=1)
    assert pairs.shape[1] == len(found)
    for label in range(1, len(found) + 1):
        mask = np.asarray(found.labels) == label
        rows, columns = np.nonzero(mask)
        assert found.area_px[label - 1] == mask.sum()
        assert found.centroid_px[label - 1] == pytest.approx(
            (rows.mean() + 0.5, columns.mean() + 0.5)
        )
        box = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
        assert tuple(found.boxes[label - 1]) == box
    assert found.confidence == pytest.approx(1.0)
    assert found.mpp == (0.5, 0.5)
    assert (np.diff(found.centroid_px[:, 0]) >= 0).all()


def test_touching_nuclei_are_parted_by_their_cores() -> None:
    truth = np.zeros((60, 80), np.int32)
    cv2.circle(truth, (28, 30), 9, 1, -1)
    cv2.circle(truth, (46, 30), 9, 2, -1)
    found = label_nuclei(nucleus_maps(truth), truth.shape, PLAIN)
    assert len(found) == 2
    for label in (1, 2):
        mine, true = np.asarray(found.labels) == label, truth == label
        assert (mine & true).sum() / (mine | true).sum() > 0.9


@pytest.mark.parametrize(("apart", "count"), [(18, 2), (6, 1)])
def test_a_waist_in_the_outline_parts_nuclei_where_the_distance_map_is_flat(
    apart: int, count: int
) -> None:
    mask = np.zeros((60, 80), np.uint8)
    for x in (28, 28 + apart):
        cv2.circle(mask, (x, 30), 10, 1, -1)
    nothing = np.zeros(mask.shape)
    maps = fiber_maps(nothing, nothing, nothing, nuclei=(1.0 * mask, 0.4 * mask))
    found = label_nuclei(maps, mask.shape, PLAIN)
    assert len(found) == count
    assert (found.area_px > mask.sum() / count * 0.9).all()


def test_the_score_is_the_mean_of_distance_map_and_drawn_depth() -> None:
    inside = np.zeros((80, 80), np.uint8)
    inside[20:60, 20:60] = 255
    score = nucleus_score(inside, np.full((40, 40), 100, np.uint8))
    assert score[40, 40] == (100 + 255) // 2 + 1  # deeper than counts
    assert score[40, 24] == pytest.approx((100 + 255 * 5 / DEPTH_PX) / 2, abs=2)
    assert score[5, 5] == 50


def test_small_and_faint_objects_are_no_nuclei() -> None:
    truth = draw_nuclei((96, 96))
    maps = nucleus_maps(truth)
    assert maps.nucleus is not None
    areas = np.bincount(truth.ravel())[1:]
    limit = float(np.median(areas)) * 0.25
    found = label_nuclei(maps, truth.shape, NucleusThresholds(min_area_um2=limit))
    assert len(found) == (areas * 0.25 >= limit).sum()
    faint = FiberMaps(**{**maps.planes, "nucleus": maps.nucleus // 5 * 3 + 0})
    assert len(label_nuclei(faint, truth.shape, NucleusThresholds(min_foreground=0.7))) == 0


def by_windows(truth: NDArray[np.int32], core_px: int) -> Nuclei:
    maps = nucleus_maps(truth)
    shape = maps.foreground.shape
    sheet = NucleusSheet(truth.shape)  # type: ignore[arg-type]
    for window in cut_windows(shape, core_px, 70):
        sheet.place(window_nuclei(maps.cut(*window.outer), window, PLAIN, 0.5))
    return sheet.nuclei()


def test_windows_neither_cut_nor_double_nor_lose_a_nucleus() -> None:
    truth = draw_nuclei((501, 460), seed=3)
    whole, cut = by_windows(truth, 3072), by_windows(truth, 100)
    assert len(whole) == len(cut) == truth.max()
    assert ((np.asarray(whole.labels) > 0) == (np.asarray(cut.labels) > 0)).all()
    assert sorted(whole.area_px) == sorted(cut.area_px)
    assert sorted(map(tuple, whole.centroid_px)) == sorted(map(tuple, cut.centroid_px))


def test_large_sections_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = draw_nuclei((300, 300), seed=4)
    small = by_windows(truth, 128)
    monkeypatch.setattr(label_room, "IN_MEMORY_PX", 0)
    large = by_windows(truth, 128)
    assert not isinstance(large.labels, np.ndarray)
    assert (np.asarray(large.labels[:, :]) == small.labels).all()


def test_empty_maps_hold_no_nuclei() -> None:
    found = label_nuclei(nucleus_maps(np.zeros((30, 40), np.int32)), (30, 40))
    assert len(found) == 0
    assert found.centroid_px.shape == (0, 2)


@pytest.mark.parametrize("values", [{"min_peak": 1.5}, {"min_peak": "high"}, {"depth": 0.5}])
def test_bad_thresholds_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=next(iter(values))):
        NucleusThresholds.from_mapping(values)


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="confidence"):
        Nuclei(
            np.zeros((3, 3), np.int32),
            np.ones(2, np.int64),
            np.zeros((2, 2)),
            np.zeros((2, 4), np.int64),
            np.ones(3, np.float32),
        )
