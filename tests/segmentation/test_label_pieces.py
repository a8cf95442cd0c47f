from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.labels import find_boxes
from biopsy_ai.segmentation.label_pieces import tell_of_pieces


def told(labels: NDArray[np.int32]) -> list[str]:
    return tell_of_pieces(labels, *find_boxes(labels))


def test_whole_fibers_are_nothing_to_tell() -> None:
    labels = np.zeros((60, 60), np.int32)
    labels[0:20, 0:20] = 1
    labels[30:50, 30:60] = 2
    labels[20, 20] = 1  # meets it at a corner
    labels[25, 30] = 2  # a speck
    labels[40, 40] = 0  # a pinhole
    assert told(labels) == []


def test_labels_in_pieces_and_with_holes_are_told() -> None:
    labels = np.zeros((60, 60), np.int32)
    labels[5:20, 5:20] = labels[30:50, 5:20] = 1
    labels[30:50, 30:50] = 2
    labels[38:43, 38:43] = 0
    labels[30:35, 52:57] = 3
    pieces, holes = told(labels)
    assert pieces.startswith("1 of 3 labels lie in several pieces")
    assert holes.startswith("1 of 3 labels have holes")


def test_a_bay_that_is_open_is_no_hole() -> None:
    labels = np.ones((30, 30), np.int32)
    labels[10:20, 10:] = 0
    assert told(labels) == []
