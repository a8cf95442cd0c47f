from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from biopsy_ai.segmentation.merging import merge_pieces
from biopsy_ai.segmentation.thresholds import InstanceThresholds


@pytest.fixture
def strip() -> NDArray[np.uint16]:
    """Four pieces side by side, 20 px wide each."""
    return np.repeat(np.array([4, 2, 9, 5], np.uint16), 20)[None].repeat(30, axis=0)


def maps(walls: dict[int, int], dip: int = 200) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Border of a height at some columns, distance 200 but for those columns."""
    border = np.zeros((30, 80), np.uint8)
    distance = np.full((30, 80), 200, np.uint8)
    for column, height in walls.items():
        border[:, column - 1 : column + 1] = height
        distance[:, column - 1 : column + 1] = dip
    return border, distance


def test_pieces_without_a_border_are_one(strip: NDArray[np.uint16]) -> None:
    merged = merge_pieces(strip, *maps({20: 10, 40: 200, 60: 10}), InstanceThresholds())
    assert np.unique(merged[:, :40]).tolist() == [2]
    assert np.unique(merged[:, 40:]).tolist() == [5]


def test_a_deep_saddle_parts(strip: NDArray[np.uint16]) -> None:
    walls = maps({20: 10, 40: 10, 60: 10}, dip=20)
    assert (merge_pieces(strip, *walls, InstanceThresholds()) == strip).all()
    merged = merge_pieces(strip, *walls, InstanceThresholds(merge_saddle=0.05))
    assert len(np.unique(merged)) == 1


def test_a_waist_of_a_small_fiber_does_not_part(strip: NDArray[np.uint16]) -> None:
    walls = maps({20: 200, 40: 10, 60: 200}, dip=60)
    asked = InstanceThresholds(merge_saddle=0.4, merge_waist=0.2, waist_area_um2=700)
    assert (merge_pieces(strip, *walls, asked) == strip).all()
    small = merge_pieces(strip, *walls, asked, pixel_um2=0.5)
    assert np.unique(small).tolist() == [2, 4, 5]
    assert (small[:, 20:60] == 2).all()
    bordered = maps({20: 200, 40: 200, 60: 200}, dip=60)
    assert (merge_pieces(strip, *bordered, asked, pixel_um2=0.5) == strip).all()
    deep = maps({20: 200, 40: 10, 60: 200}, dip=30)
    assert (merge_pieces(strip, *deep, asked, pixel_um2=0.5) == strip).all()


def test_pieces_of_a_waist_grow_no_larger_than_a_small_fiber(strip: NDArray[np.uint16]) -> None:
    # each two are 1200 pixels, 600 µm²; with a third they are no small fiber any more
    walls = maps({20: 20, 40: 10, 60: 30}, dip=60)
    asked = InstanceThresholds(merge_saddle=0.4, merge_waist=0.2, waist_area_um2=700)
    merged = merge_pieces(strip, *walls, asked, pixel_um2=0.5)
    assert np.unique(merged[:, 20:60]).tolist() == [2]
    assert merged[0, 0] == 4
    assert merged[0, -1] == 5


def test_strong_borders_change_nothing(strip: NDArray[np.uint16]) -> None:
    merged = merge_pieces(strip, *maps({20: 200, 40: 220, 60: 240}), InstanceThresholds())
    assert merged is strip


def test_a_union_is_judged_by_all_of_its_edge() -> None:
    labels = np.ones((40, 40), np.uint16)
    labels[:20, 20:] = 2
    labels[20:, 20:] = 3
    border, distance = np.zeros((40, 40), np.uint8), np.full((40, 40), 200, np.uint8)
    border[:20, 19:21] = 60  # between 1 and 2: just weak enough to merge by itself
    border[20:, 19:21] = 240  # between 1 and 3: strong
    # 2 and 3 have no border and are merged first; together their edge with 1 is strong.
    merged = merge_pieces(labels, border, distance, InstanceThresholds())
    assert np.unique(merged[:, :20]).tolist() == [1]
    assert np.unique(merged[:, 20:]).tolist() == [2]


def test_nothing_touches() -> None:
    labels = np.zeros((10, 10), np.uint16)
    labels[:3], labels[6:] = 1, 2
    zeros = np.zeros((10, 10), np.uint8)
    assert (merge_pieces(labels, zeros, zeros, InstanceThresholds()) == labels).all()
