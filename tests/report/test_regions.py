from __future__ import annotations

import numpy as np
import pytest

from biopsy_ai.report.regions import join_neighbors

SQUARE = np.array([(0.0, 0.0), (0.0, 20.0), (20.0, 20.0), (20.0, 0.0)])
NOBODY = np.zeros((0, 2))


def at(row: float, column: float) -> np.ndarray:
    return SQUARE + (row, column)


def test_neighbors_become_one_outline_around_all() -> None:
    region = join_neighbors([at(0, 0), at(0, 24), at(24, 0)], NOBODY, 5.0)
    (outline,) = region.outlines
    assert outline.min(axis=0) == pytest.approx([0, 0], abs=1)
    assert outline.max(axis=0) == pytest.approx([44, 44], abs=1)


def test_fibers_that_lie_apart_stay_apart() -> None:
    assert len(join_neighbors([at(0, 0), at(0, 29)], NOBODY, 5.0).outlines) == 2


def test_another_fiber_inside_is_outlined_and_a_gap_is_not() -> None:
    ring = [at(row, column) for row in (0, 22, 44) for column in (0, 22, 44)]
    ring.pop(4)
    stranger = np.array([(32.0, 32.0), (200.0, 200.0)])
    outer, hole = join_neighbors(ring, stranger, 5.0).outlines
    assert np.ptp(outer, axis=0) == pytest.approx([64, 64], abs=2)
    assert hole.mean(axis=0) == pytest.approx([32, 32], abs=1)
    assert len(join_neighbors(ring, stranger[1:], 5.0).outlines) == 1


def test_the_number_lies_where_there_is_room() -> None:
    tail = np.array([(18.0, 20.0), (18.0, 90.0), (20.0, 90.0), (20.0, 20.0)])
    region = join_neighbors([SQUARE, tail], NOBODY, 5.0)
    assert region.center_um == pytest.approx([10, 10], abs=3)
    assert region.room_um == pytest.approx(20, abs=3)


def test_what_has_no_area_is_no_region() -> None:
    assert join_neighbors([SQUARE[:2]], NOBODY, 5.0) is None
    line = np.array([(0.0, 0.0), (0.0, 0.1), (0.1, 0.1)])
    region = join_neighbors([line], NOBODY, 5.0)
    assert region is None or region.room_um < 2
