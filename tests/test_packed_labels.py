from __future__ import annotations

import threading

import numpy as np
import pytest

from biopsy_ai.packed_labels import CHUNK_PX, PackedLabels

SHAPE = (2 * CHUNK_PX + 30, CHUNK_PX + 7)


@pytest.fixture
def plain() -> np.ndarray:
    labels = np.zeros(SHAPE, np.int32)
    labels[100:700, 300:] = 70000
    labels[CHUNK_PX - 3 : CHUNK_PX + 3] = 5
    labels[-2:, -2:] = -1
    return labels


@pytest.fixture
def packed(plain: np.ndarray) -> PackedLabels:
    labels = PackedLabels(SHAPE)
    labels[:, :] = plain
    return labels


def test_a_new_one_is_empty() -> None:
    labels = PackedLabels((3, 4), np.uint8)
    assert (labels.shape, labels.ndim, labels.size, labels.dtype) == ((3, 4), 2, 12, np.uint8)
    assert np.asarray(labels).tolist() == [[0] * 4] * 3


def test_what_was_written_is_read_by_any_window(packed: PackedLabels, plain: np.ndarray) -> None:
    assert (np.asarray(packed) == plain).all()
    assert np.asarray(packed).dtype == np.int32
    windows = [
        np.s_[:],
        np.s_[...],
        np.s_[90:720, 290:310],
        np.s_[CHUNK_PX - 1 : CHUNK_PX + 1, ...],
        np.s_[-1],
        np.s_[:, 3],
        np.s_[-1, -1],
        np.s_[5:5, :],
        np.s_[0:10_000, -9:],
    ]
    for window in windows:
        np.testing.assert_array_equal(packed[window], plain[window])


def test_parts_of_squares_are_written_and_the_rest_stays(
    packed: PackedLabels, plain: np.ndarray
) -> None:
    for window, value in (
        (np.s_[10:20, 500:519], 9),
        (np.s_[500:530, 400:420], np.arange(600).reshape(30, 20)),
        (np.s_[7], np.arange(SHAPE[1])),
        (np.s_[0:CHUNK_PX, 0:CHUNK_PX], 0),
        (np.s_[3, 4], 12),
    ):
        packed[window] = value
        plain[window] = value
        np.testing.assert_array_equal(np.asarray(packed), plain)


def test_places_beyond_and_steps_are_refused(packed: PackedLabels) -> None:
    with pytest.raises(IndexError, match="no row or column"):
        packed[SHAPE[0], 0]
    with pytest.raises(IndexError, match="step 1"):
        packed[::2, :]


def test_what_is_read_is_a_copy(packed: PackedLabels) -> None:
    packed[100:110, 300:310][...] = 1
    assert packed[105, 305] == 70000


def test_threads_may_write_to_one_square() -> None:
    labels = PackedLabels((CHUNK_PX, CHUNK_PX))

    def write(number: int) -> None:
        for row in range(number, 200, 4):
            labels[row, :] = row

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert labels[0:200, 7].tolist() == list(range(200))
