"""Corrections of outlines on pieces drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from biopsy_ai.errors import ReviewError
from biopsy_ai.review.operations import delete, draw, merge, redraw, split

SQUARE_UM = 0.5, 0.5


def disc(shape, center, radius) -> np.ndarray:
    y, x = np.indices(shape)
    return np.hypot(y + 0.5 - center[0], x + 0.5 - center[1]) <= radius


def n_parts(mask, *, corners: bool = True) -> int:
    return ndimage.label(mask, np.ones((3, 3)) if corners else None)[1]


def test_delete_leaves_the_piece_given_as_it_is():
    piece = np.array([[1, 1, 2], [0, 3, 2]], np.int32)
    before = piece.copy()
    done = delete(piece, [1, 3])
    assert done.pixels.tolist() == [[0, 0, 2], [0, 0, 2]]
    assert done.removed == (1, 3)
    assert np.array_equal(piece, before)


@pytest.mark.parametrize("gap", [1, 2, 6, 12, 19])
@pytest.mark.parametrize("radius", [8, 30])
def test_round_fibers_that_are_merged_are_one_part(gap, radius):
    shape = 4 * radius, 5 * radius + gap
    piece = np.zeros(shape, np.int32)
    piece[disc(shape, (2 * radius, 1.2 * radius), radius)] = 5
    piece[disc(shape, (2 * radius, 3.2 * radius + gap), radius)] = 3
    done = merge(piece, [3, 5], SQUARE_UM)
    (label,) = done.outlined
    assert done.removed == (8 - label,)
    mask = done.pixels == label
    assert n_parts(mask, corners=False) == 1
    # filled is the gap, and not what lies above and below the fibers
    filled = mask & (piece == 0)
    assert filled.sum() < 2 * radius * (gap + radius / 2)
    assert not filled[: int(1.1 * radius)].any()


def test_a_thin_line_between_two_parts_is_filled_over_its_whole_length():
    piece = np.zeros((60, 80), np.int32)
    piece[10:50, 10:70] = 4
    piece[10:50, 40] = 0
    piece[10:50, 41:70] = 9
    done = merge(piece, [4, 9], SQUARE_UM)
    assert (done.pixels[10:50, 10:70] == 4).all()
    assert (done.pixels == 4).sum() == 40 * 60


def test_a_chain_of_fibers_is_merged_whatever_the_order():
    piece = np.zeros((40, 140), np.int32)
    for number, x in enumerate((5, 35, 65, 95), start=1):
        piece[5:35, x : x + 26] = number
    done = merge(piece, [4, 1, 3, 2], SQUARE_UM)
    assert n_parts(done.pixels > 0) == 1
    assert done.outlined == (1,)
    assert done.removed == (2, 3, 4)
    with pytest.raises(ReviewError, match="fiber 4 lies 17 µm from the others"):
        merge(piece, [1, 2, 4], SQUARE_UM)


def test_what_is_filled_keeps_one_pixel_from_other_fibers():
    piece = np.zeros((50, 70), np.int32)
    piece[20:45, 5:32] = 1
    piece[20:45, 37:65] = 2
    piece[5:22, 33:36] = 7
    done = merge(piece, [1, 2], SQUARE_UM)
    assert np.array_equal(done.pixels == 7, piece == 7)
    near = ndimage.binary_dilation(piece == 7)
    assert not (near & (done.pixels == 2) & (piece == 0)).any()
    assert n_parts(done.pixels == 2) == 1


def test_the_gap_is_measured_in_um_where_pixels_are_not_square():
    piece = np.zeros((60, 60), np.int32)
    piece[5:25, 5:55] = 1
    piece[33:55, 5:55] = 2
    assert merge(piece, [1, 2], (1.0, 0.5)).removed == (1,)
    with pytest.raises(ReviewError, match="16 µm"):
        merge(piece, [1, 2], (2.0, 0.5))


@pytest.mark.parametrize("angle", np.linspace(0, 170, 18))
def test_a_line_at_any_angle_parts_a_fiber(angle):
    shape, center = (90, 90), np.array([45.0, 45.0])
    piece = np.where(disc(shape, center, 35), 6, 0).astype(np.int32)
    way = np.array([np.sin(np.radians(angle)), np.cos(np.radians(angle))])
    done = split(piece, 6, np.array([center - 36 * way, center + 36 * way]), SQUARE_UM, 50)
    assert done.outlined == (6, 50)
    assert done.parents == {50: 6}
    # the parts do not even touch at a corner
    assert n_parts(done.pixels > 0) == 2
    cut = (piece > 0) & (done.pixels == 0)
    # a line whose pixels share sides holds at most one and a half pixels per pixel of its length
    assert 60 < cut.sum() < 105
    assert (done.pixels == 6).sum() >= (done.pixels == 50).sum() > 1500


def test_a_line_that_ends_just_short_of_the_border_is_drawn_on():
    piece = np.zeros((60, 60), np.int32)
    piece[10:50, 10:50] = 2
    inside = np.array([[12.5, 30.0], [47.5, 30.0]])
    assert len(split(piece, 2, inside, SQUARE_UM, 3).outlined) == 2
    with pytest.raises(ReviewError, match="does not part fiber 2"):
        split(piece, 2, np.array([[18.0, 30.0], [42.0, 30.0]]), SQUARE_UM, 3)


def test_a_line_over_several_lobes_parts_them_all():
    piece = np.zeros((60, 90), np.int32)
    piece[40:55, 5:85] = 8
    piece[5:40, 5:25] = piece[5:40, 35:50] = piece[5:40, 60:85] = 8
    done = split(piece, 8, np.array([[30.0, 2.0], [30.0, 88.0]]), SQUARE_UM, 20)
    assert done.outlined == (8, 20, 21, 22)
    sizes = [(done.pixels == label).sum() for label in done.outlined]
    assert sizes == sorted(sizes, reverse=True)


def test_crumbs_of_a_line_become_background_and_far_parts_stay():
    piece = np.zeros((60, 60), np.int32)
    piece[5:45, 5:45] = 3
    # a stray pixel that belongs to the fiber, far from the line
    piece[55, 55] = 3
    line = np.array([[2.0, 25.0], [20.0, 25.0], [21.0, 27.0], [22.0, 25.0], [48.0, 25.0]])
    done = split(piece, 3, line, SQUARE_UM, 4)
    assert done.outlined == (3, 4)
    assert done.pixels[55, 55] == 3
    assert set(np.unique(done.pixels)) == {0, 3, 4}


def test_other_fibers_are_not_cut():
    piece = np.zeros((60, 60), np.int32)
    piece[20:40, 5:55] = 1
    piece[2:18, 5:55] = 2
    done = split(piece, 1, np.array([[0.0, 30.0], [59.0, 30.0]]), SQUARE_UM, 3)
    assert np.array_equal(done.pixels == 2, piece == 2)


def test_an_outline_that_crosses_itself_is_filled():
    piece = np.zeros((60, 60), np.int32)
    # a loop that is drawn twice around its middle
    ring = np.array([[10, 10], [10, 50], [50, 50], [50, 10], [20, 20], [20, 40], [40, 40], [40, 5]])
    done = draw(piece, ring.astype(float), SQUARE_UM, 12)
    assert done.outlined == (12,)
    assert done.parents == {12: 0}
    assert (done.pixels[22:38, 22:38] == 12).all()


def test_of_an_outline_that_another_fiber_cuts_the_largest_part_is_taken():
    piece = np.zeros((60, 60), np.int32)
    piece[:, 38:42] = 1
    ring = np.array([[10.0, 5.0], [10.0, 55.0], [50.0, 55.0], [50.0, 5.0]])
    done = draw(piece, ring, SQUARE_UM, 2)
    assert n_parts(done.pixels == 2) == 1
    assert (done.pixels[10:50, 5:37] == 2).all()
    assert not (done.pixels[:, 37:38] == 2).any()


def test_redraw_frees_what_the_fiber_no_longer_holds():
    piece = np.zeros((60, 60), np.int32)
    piece[5:55, 5:55] = 1
    ring = np.array([[20.0, 20.0], [20.0, 40.0], [40.0, 40.0], [40.0, 20.0]])
    done = redraw(piece, 1, ring, SQUARE_UM)
    assert (done.pixels == 1).sum() == 400
    assert done.outlined == (1,)
    assert not done.removed
    away = ring + 100
    with pytest.raises(ReviewError, match="less than 10 µm²"):
        redraw(piece, 1, away, SQUARE_UM)
    piece = np.zeros((90, 90), np.int32)
    piece[5:25, 5:25] = 1
    with pytest.raises(ReviewError, match="lies beside fiber 1"):
        redraw(piece, 1, ring + 40, SQUARE_UM)
