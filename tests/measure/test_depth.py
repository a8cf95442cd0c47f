import numpy as np
import pytest

from biopsy_ai.measure.depth import border_depth, fill_holes


def test_depth_of_a_square_and_of_pixels_that_are_not_square():
    mask = np.zeros((11, 11), bool)
    mask[1:10, 1:10] = True
    depth = border_depth(mask, (0.5, 0.5))
    assert depth[5, 5] == pytest.approx(4.5 * 0.5)
    assert depth[1, 5] == pytest.approx(0.25)
    assert depth[0, 0] == 0
    uneven = border_depth(mask, (0.5, 2.0))
    assert uneven[5, 5] == pytest.approx(5 * 0.5 - 0.625)


def test_what_lies_beyond_the_array_is_outside():
    assert border_depth(np.ones((5, 5), bool), (1, 1))[2, 2] == pytest.approx(2.5)


def test_holes_are_filled_where_nothing_else_lies():
    mask = np.ones((9, 9), bool)
    mask[3:5, 3:5] = False
    mask[6, 6] = False
    free = ~mask
    free[6, 6] = False
    filled = fill_holes(mask, free)
    assert filled[3:5, 3:5].all()
    assert not filled[6, 6]
    assert fill_holes(np.ones((2, 2), bool), np.zeros((2, 2), bool)).all()
