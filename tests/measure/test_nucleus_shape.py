from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import ellipse

from biopsy_ai.measure.nucleus_shape import measure_shapes
from biopsy_ai.measure.outline import trace_outline
from biopsy_ai.measure.perimeter import crofton_perimeter
from biopsy_ai.measure.size import measure_size


@pytest.mark.parametrize("mpp", [(0.5, 0.5), (0.4, 0.6)])
def test_many_at_once_are_as_one_by_one(mpp) -> None:
    rng = np.random.default_rng(3)
    piece = np.zeros((200, 200), np.int32)
    for k in range(25):
        center = 20 + 40 * np.array(divmod(k, 5))
        turned = {"rotation": rng.uniform(0, 3), "shape": piece.shape}
        piece[ellipse(*center, *rng.uniform(1, 25, 2), **turned)] = k + 1
    at = np.flatnonzero(piece)
    found = measure_shapes(piece, at, piece.ravel()[at] - 1, 25, (30, 40), mpp)
    for k in range(25):
        mask = (piece == k + 1).view(np.uint8)
        size, outline = measure_size(mask, mpp), trace_outline(mask)
        area = size.area_px * mpp[0] * mpp[1]
        assert found.pixels[k] == size.area_px
        expected = [size.centroid_y + 30 * mpp[0], size.centroid_x + 40 * mpp[1], area]
        expected += [size.axis_major_length, size.axis_minor_length]
        assert found.values[k, :5] == pytest.approx(expected, abs=1e-6)
        if found.plain[k]:
            around = crofton_perimeter(outline.sides, mpp)
            assert found.values[k, 5] == pytest.approx(min(4 * np.pi * area / around**2, 1))
    assert found.plain.sum() > 15


def test_holes_and_parts_are_not_plain() -> None:
    piece = np.zeros((20, 40), np.int32)
    piece[2:9, 2:9] = 1
    piece[5, 5] = 0
    piece[2:5, 12:15] = piece[2:5, 20:23] = 2
    piece[12:15, 2:5] = piece[15:18, 5:8] = 3  # touch at a corner
    piece[12:15, 20:30] = 4
    at = np.flatnonzero(piece)
    found = measure_shapes(piece, at, piece.ravel()[at] - 1, 5, (0, 0), (1.0, 1.0))
    assert found.plain.tolist() == [False, False, False, True, False]
    assert np.isnan(found.values[4]).all()
