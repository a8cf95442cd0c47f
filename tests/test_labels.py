from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from scipy import ndimage

from biopsy_ai import labels as room
from biopsy_ai.labels import allocate_labels, find_boxes, read_windows


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
