from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from scipy import ndimage

from biopsy_ai import labels as room
from biopsy_ai.labels import (
    allocate_labels,
    find_boxes,
    read_sampled,
    read_windows,
    scan_windows,
    view_on_grid,
)


@pytest.fixture
def labels() -> np.ndarray:
    rng = np.random.default_rng(3)
    labels, _ = ndimage.label(ndimage.gaussian_filter(rng.normal(size=(90, 130)), 3) > 0.01)
    return labels.astype(np.int32) * 7


@pytest.mark.parametrize("window", [16, 33, 2048])
def test_boxes_equal_scipy_whatever_the_window(
    labels: np.ndarray, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "WINDOW_PX", window)
    ids, boxes = find_boxes(labels)
    expected = ndimage.find_objects(labels)
    assert ids.tolist() == [k + 1 for k, found in enumerate(expected) if found]
    for label, (y0, x0, y1, x1) in zip(ids, boxes, strict=True):
        assert expected[label - 1] == (slice(y0, y1), slice(x0, x1))


def test_boxes_of_an_array_on_disk(labels: np.ndarray, tmp_path: Path) -> None:
    stored = zarr.create_array(tmp_path / "labels.zarr", shape=labels.shape, dtype="i4")
    stored[:] = labels
    for found, expected in zip(find_boxes(stored), find_boxes(labels), strict=True):
        assert np.array_equal(found, expected)


def test_huge_label_numbers_and_negative_ones() -> None:
    labels = np.zeros((5, 5), dtype=np.int64)
    labels[0, 0] = 2**31 - 1
    labels[4, 1:3] = -3
    ids, boxes = find_boxes(labels)
    assert ids.tolist() == [2**31 - 1]
    assert boxes.tolist() == [[0, 0, 1, 1]]


def test_no_labels() -> None:
    ids, boxes = find_boxes(np.zeros((8, 9), dtype=np.int32))
    assert ids.shape == (0,)
    assert boxes.shape == (0, 4)
    assert list(read_windows(np.zeros((8, 9), dtype=np.int32), boxes)) == []


def test_every_box_lies_whole_in_one_piece(
    labels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "WINDOW_PX", 32)
    ids, boxes = find_boxes(labels)
    seen: list[int] = []
    for piece, (y, x), members in read_windows(labels, boxes):
        for row in members:
            y0, x0, y1, x1 = boxes[row]
            inside = piece[y0 - y : y1 - y, x0 - x : x1 - x]
            assert np.count_nonzero(inside == ids[row]) == np.count_nonzero(labels == ids[row])
            seen.append(int(row))
    assert sorted(seen) == list(range(len(ids)))


@pytest.mark.parametrize("limit", [0, 10**6])
def test_an_empty_label_image_takes_labels_whatever_its_size(
    limit: int, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "IN_MEMORY_PX", limit)
    empty = allocate_labels((90, 130))
    assert isinstance(empty, np.ndarray) == (limit > 0)
    assert not np.asarray(empty[:, :]).any()
    empty[:, :] = labels
    assert (np.asarray(empty[:, :]) == labels).all()


def test_a_large_thing_is_read_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "WINDOW_PX", 32)
    labels = np.zeros((300, 300), dtype=np.int32)
    labels[0, :] = 1
    labels[4:8, 4:8] = 2
    labels[10:14, 4:8] = 3
    pieces = {tuple(m): piece.shape for piece, _, m in read_windows(labels, find_boxes(labels)[1])}
    assert pieces == {(0,): (1, 300), (1, 2): (10, 4)}


def test_windows_cover_every_pixel_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "WINDOW_PX", 32)
    seen = np.zeros((70, 65), dtype=int)
    for window in scan_windows(seen.shape):
        seen[window] += 1
        assert seen[window].size <= 32**2
    assert (seen == 1).all()
    assert list(scan_windows((0, 5))) == []


def test_a_coarse_image_on_a_fine_grid_and_back(labels: np.ndarray) -> None:
    fine = view_on_grid(labels, (1.0, 1.0), (180, 260), (0.5, 0.5))
    assert np.array_equal(fine[0:180, 0:260], np.repeat(np.repeat(labels, 2, 0), 2, 1))
    assert np.array_equal(fine[11:40, 7:30], np.repeat(np.repeat(labels, 2, 0), 2, 1)[11:40, 7:30])
    assert fine.dtype == labels.dtype
    assert fine[5:5, 0:10].shape == (0, 10)
    # a grid that reaches a little further shows the last pixels again
    odd = view_on_grid(labels, (1.0, 1.0), (181, 260), (0.5, 0.5))
    assert np.array_equal(odd[180:181, 0:260], odd[179:180, 0:260])
    assert view_on_grid(labels, (1.0, 1.0), labels.shape, (1.0, 1.0)) is labels


@pytest.mark.parametrize("scale", [1.0, 2.0, 3.7])
def test_sampling_takes_the_pixel_in_the_middle_whatever_the_window(
    labels: np.ndarray, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = [
        np.minimum(((np.arange(np.ceil(n / scale)) + 0.5) * scale).astype(int), n - 1)
        for n in labels.shape
    ]
    expected = labels[np.ix_(*at)]
    assert np.array_equal(read_sampled(labels, scale), expected)
    monkeypatch.setattr(room, "WINDOW_PX", 16)
    assert np.array_equal(read_sampled(labels, scale), expected)
