"""Large label images that are drawn into, against the same in memory."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

import biopsy_ai.review.edited_labels as edited_labels
from biopsy_ai.labels import read_sampled
from biopsy_ai.review.edited_labels import EditedLabels, editable, frozen_copy

SHAPE = 1300, 900


@pytest.fixture
def source(rng):
    labels = zarr.create_array(
        store=MemoryStore(), shape=SHAPE, chunks=(512, 512), dtype="int32", fill_value=0
    )
    labels[:] = rng.integers(0, 9, SHAPE, dtype=np.int32)
    return labels


@pytest.mark.parametrize("at_once", [0, 1 << 30])
@pytest.mark.parametrize("hot", [1, 64])
def test_reads_and_writes_as_a_numpy_array_does(source, rng, monkeypatch, hot, at_once):
    monkeypatch.setattr(edited_labels, "HOT_CHUNKS", hot)
    monkeypatch.setattr(edited_labels, "AT_ONCE_PX", at_once)
    first = np.asarray(source[:])
    labels, expected = EditedLabels(source), first.copy()
    for number in range(100, 140):
        y0, x0 = (int(n) for n in rng.integers(0, SHAPE))
        y1, x1 = y0 + int(rng.integers(0, 700)), x0 + int(rng.integers(0, 700))
        window = slice(y0, y1), slice(x0, x1)
        assert np.array_equal(labels[window], expected[window])
        pixels = np.where(rng.random(expected[window].shape) < 0.5, number, expected[window])
        labels[window] = pixels
        expected[window] = pixels
    assert np.array_equal(np.asarray(labels), expected)
    assert np.array_equal(labels[:], expected)
    assert np.array_equal(source[:], first)
    assert np.array_equal(read_sampled(labels, 3), read_sampled(expected, 3))


def test_single_places_and_rows(source):
    labels, expected = EditedLabels(source), np.asarray(source[:])
    labels[5, 7] = 99
    labels[3:5, 2:4] = 42
    expected[5, 7], expected[3:5, 2:4] = 99, 42
    assert labels[5, 7] == 99
    assert labels[-1, -1] == expected[-1, -1]
    assert np.array_equal(labels[5], expected[5])
    assert np.array_equal(labels[:, 3], expected[:, 3])
    assert np.array_equal(labels[..., 3], expected[..., 3])
    assert labels[9:9, 2:4].shape == (0, 2)
    with pytest.raises(IndexError, match="no row or column 1300"):
        labels[1300, 0]
    with pytest.raises(IndexError, match="step 1"):
        labels[::2]


def test_a_copy_stays_as_it_was(source):
    labels = EditedLabels(source)
    labels[0:9, 0:9] = 50
    copy = frozen_copy(labels)
    labels[0:9, 0:9] = 60
    assert (copy[0:9, 0:9] == 50).all()
    copy[0:9, 0:9] = 70
    assert (labels[0:9, 0:9] == 60).all()


def test_small_images_are_numpy_arrays(rng, monkeypatch):
    labels = rng.integers(0, 9, (20, 30), dtype=np.int32)
    copy = editable(labels)
    assert isinstance(copy, np.ndarray)
    copy[:] = 0
    assert labels.any()
    kept = frozen_copy(copy)
    copy[:] = 1
    assert not kept.any()
    # a large one is not copied
    monkeypatch.setattr(edited_labels, "fits_memory", lambda shape: False)
    assert isinstance(editable(labels), EditedLabels)
