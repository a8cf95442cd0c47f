from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from biopsy_ai import labels as label_room
from biopsy_ai.segmentation.placement import FiberSheet
from biopsy_ai.segmentation.windows import WindowFiber, cut_windows


def box_fiber(y0: int, x0: int, y1: int, x1: int, *, truncated: bool = False) -> WindowFiber:
    mask = np.full((y1 - y0, x1 - x0), 255, np.uint8)
    centroid = ((y0 + y1) / 2, (x0 + x1) / 2)
    return WindowFiber(y0, x0, mask, mask.size, 0.8, centroid, False, truncated)


@pytest.fixture(params=["memory", "compressed"])
def sheet(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> FiberSheet:
    if request.param == "compressed":
        monkeypatch.setattr(label_room, "IN_MEMORY_PX", 0)
    return FiberSheet((600, 700))


def test_fibers_are_numbered_in_their_order(sheet: FiberSheet) -> None:
    sheet.place([box_fiber(10, 10, 20, 30), box_fiber(40, 10, 90, 60)])
    sheet.place([])
    sheet.place([box_fiber(500, 500, 520, 560)])
    labels = np.asarray(sheet.labels[:, :])
    assert labels.dtype == np.int32
    assert [labels[15, 15], labels[50, 50], labels[510, 510]] == [1, 2, 3]
    assert sheet.boxes.tolist() == [[10, 10, 20, 30], [40, 10, 90, 60], [500, 500, 520, 560]]
    assert np.count_nonzero(labels) == 200 + 2500 + 1200


def test_double_of_another_window_is_left_out(sheet: FiberSheet) -> None:
    sheet.place([box_fiber(100, 100, 150, 150)])
    sheet.place([box_fiber(101, 100, 151, 150), box_fiber(300, 300, 310, 310)])
    assert len(sheet) == 2
    assert sheet.labels[305, 305] == 2
    assert sheet.boxes[0].tolist() == [100, 100, 150, 150]


def test_slight_overlap_goes_to_the_first(sheet: FiberSheet) -> None:
    sheet.place([box_fiber(100, 100, 150, 150)])
    sheet.place([box_fiber(100, 148, 150, 200)])
    assert sheet.boxes[1].tolist() == [100, 150, 150, 200]
    assert np.count_nonzero(np.asarray(sheet.labels[:, :]) == 2) == 2500


def test_rest_that_is_too_small_is_dropped() -> None:
    sheet = FiberSheet((600, 700), min_area_px=100)
    sheet.place([box_fiber(100, 100, 150, 150)])
    sheet.place([box_fiber(140, 90, 145, 109)])  # keeps 5 x 10 px, of 5 x 19
    sheet.place([box_fiber(148, 100, 153, 150)])  # keeps 3 x 50 px, of 5 x 50
    assert sheet.boxes.tolist() == [[100, 100, 150, 150], [150, 100, 153, 150]]
    assert np.unique(sheet.labels).tolist() == [0, 1, 2]


def test_island_inside_a_fiber_is_a_part_of_it(sheet: FiberSheet) -> None:
    sheet.place(
        [
            box_fiber(20, 20, 30, 30),
            box_fiber(10, 10, 90, 90),
            box_fiber(100, 10, 120, 30),
        ]
    )
    assert len(sheet) == 2
    assert sheet.labels[25, 25] == 1
    assert sheet.labels[110, 20] == 2


def test_cut_fiber_is_completed(sheet: FiberSheet) -> None:
    sheet.place([replace(box_fiber(100, 0, 150, 400, truncated=True), confidence=1.0)])
    sheet.place([replace(box_fiber(100, 300, 150, 700), confidence=0.5, faces_glass=True)])
    assert len(sheet) == 1
    assert sheet.boxes.tolist() == [[100, 0, 150, 700]]
    assert np.count_nonzero(np.asarray(sheet.labels[:, :])) == 50 * 700
    assert sheet.confidence[0] == pytest.approx((400 * 1.0 + 300 * 0.5) / 700)
    assert sheet.faces_glass[0]


def test_neighbor_of_a_cut_fiber_stays_by_itself(sheet: FiberSheet) -> None:
    sheet.place([box_fiber(100, 0, 150, 400, truncated=True)])
    sheet.place([box_fiber(149, 300, 200, 400)])
    assert len(sheet) == 2


def test_fibers_beyond_an_odd_image_are_cut() -> None:
    sheet = FiberSheet((99, 101))
    sheet.place([box_fiber(80, 80, 100, 102)])
    assert sheet.boxes.tolist() == [[80, 80, 99, 101]]
    assert (sheet.labels[80:, 80:] == 1).all()


def test_windows_cover_the_slide_once() -> None:
    covered = np.zeros((1000, 1500), int)
    for window in cut_windows((1000, 1500), 400, 100):
        y0, x0, y1, x1 = window.core
        covered[y0:y1, x0:x1] += 1
        top, left, bottom, right = window.outer
        assert top == max(0, y0 - 100)
        assert bottom == min(1000, y1 + 100)
        assert left == max(0, x0 - 100)
        assert right == min(1500, x1 + 100)
    assert (covered == 1).all()
