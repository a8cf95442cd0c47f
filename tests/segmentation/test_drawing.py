from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from biopsy_ai.segmentation.drawing import VOTE, FiberDrawing, FiberMaps, draw_fibers, fiber_maps
from biopsy_ai.segmentation.thresholds import InstanceThresholds
from biopsy_ai.tissue_classes import ENDOMYSIUM, FIBER


def draw(
    mask: NDArray[np.uint8],
    tissue: NDArray[np.uint8] | None = None,
    nucleus: NDArray[np.uint8] | None = None,
    **thresholds: float,
) -> list[FiberDrawing]:
    """Draw the one fiber of a mask that the coarse grid sees whole."""
    foreground = np.where(mask > 0, 230, 10).astype(np.uint8)
    small = mask[::2, ::2] | mask[1::2, ::2] | mask[::2, 1::2] | mask[1::2, 1::2]
    labels = (small > 0).astype(np.uint16)
    maps = FiberMaps(
        foreground,
        np.zeros_like(small),
        np.full_like(small, 200),
        nucleus=nucleus,
        nucleus_distance=None if nucleus is None else np.zeros_like(small),
        tissue=tissue,
    )
    rows, columns = ndimage.find_objects(labels)[0]
    box = np.array([[rows.start, columns.start, rows.stop, columns.stop]])
    chosen = InstanceThresholds(**{"min_area_um2": 0, **thresholds})
    return list(draw_fibers(labels, np.array([1]), box, maps, chosen, 0.5))


def test_fine_corners_are_drawn_on_the_full_grid() -> None:
    mask = np.zeros((60, 60), np.uint8)
    cv2.fillPoly(mask, [np.array([[11, 47], [31, 11], [49, 47]])], 1)
    (fiber,) = draw(mask)
    found = np.zeros_like(mask)
    height, width = fiber.mask.shape
    found[fiber.y0 : fiber.y0 + height, fiber.x0 : fiber.x0 + width] = fiber.mask > 0
    assert np.count_nonzero(found != mask) <= 0.01 * mask.sum()
    assert fiber.area_px == np.count_nonzero(fiber.mask)
    assert fiber.confidence == pytest.approx(230 / 255, abs=0.01)
    assert (found[fiber.contour[:, 0], fiber.contour[:, 1]] == 1).all()


def test_parts_that_meet_at_a_corner_are_cut() -> None:
    mask = np.zeros((60, 60), np.uint8)
    mask[10:30, 10:30] = 1
    mask[30:40, 30:40] = 1
    (fiber,) = draw(mask)
    assert (fiber.y0, fiber.x0, fiber.mask.shape) == (10, 10, (20, 20))
    assert fiber.area_px == 400
    assert fiber.contour.max() < 30


def test_the_largest_piece_is_kept_and_its_holes_filled() -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[10:40, 10:40] = 1
    mask[20:26, 20:26] = 0
    mask[10:20, 60:66] = 1
    (fiber,) = draw(mask)
    assert (fiber.y0, fiber.x0, fiber.mask.shape) == (10, 10, (30, 30))
    assert (fiber.mask == 255).all()
    # What the network saw in the hole counts for the confidence.
    assert fiber.confidence == pytest.approx((864 * 230 + 36 * 10) / (900 * 255), abs=1e-3)


def notched(width: int, foreground_there: int) -> NDArray[np.uint8]:
    """What is drawn of a square of 50 px with a notch 20 px deep, as a mask of the field."""
    labels = np.zeros((40, 40), np.uint16)
    labels[5:30, 5:30] = 1
    foreground = np.where(np.kron(labels, np.ones((2, 2))) > 0, 230, 10).astype(np.uint8)
    foreground[10:30, 30 : 30 + width] = foreground_there
    maps = FiberMaps(foreground, np.zeros((40, 40), np.uint8), np.full((40, 40), 200, np.uint8))
    (fiber,) = draw_fibers(
        labels,
        np.array([1]),
        np.array([[5, 5, 30, 30]]),
        maps,
        InstanceThresholds(foreground=0.5, min_area_um2=0),
        0.5,
    )
    found = np.zeros((80, 80), np.uint8)
    height, width = fiber.mask.shape
    found[fiber.y0 : fiber.y0 + height, fiber.x0 : fiber.x0 + width] = fiber.mask > 0
    return found


@pytest.mark.parametrize(
    ("width", "foreground_there", "filled"),
    [(4, 100, True), (4, 20, False), (16, 100, False)],
    ids=["doubtful and narrow", "a clear cleft", "wide"],
)
def test_narrow_notches_are_filled_where_the_network_is_in_doubt(
    width: int, foreground_there: int, filled: bool
) -> None:
    found = notched(width, foreground_there)
    notch = found[10:30, 30 : 30 + width]
    assert notch[2:-4].all() == filled
    # All else stays, sharp corners too.
    assert found.sum() - notch.sum() == 50 * 50 - 20 * width
    assert found[59, 10]
    assert found[59, 59]


def test_a_notch_at_the_end_of_the_field_draws_nothing_to_it() -> None:
    mask = np.zeros((60, 60), np.uint8)
    mask[2:40, 2:40] = 1
    foreground = np.full((60, 60), 120, np.uint8)
    foreground[mask > 0] = 230
    labels = (mask[::2, ::2] > 0).astype(np.uint16)
    small = np.full((30, 30), 200, np.uint8)
    maps = FiberMaps(foreground, np.zeros_like(small), small)
    chosen = InstanceThresholds(foreground=0.6, min_area_um2=0)
    box = np.array([[1, 1, 20, 20]])
    (fiber,) = draw_fibers(labels, np.array([1]), box, maps, chosen, 0.5)
    assert (fiber.y0, fiber.x0, fiber.area_px) == (2, 2, 38 * 38)


def test_shared_edges_are_drawn_without_the_steps_of_the_coarse_grid() -> None:
    rows, columns = np.mgrid[:40, :60]
    slope = 0.3 * columns + 11
    labels = np.where(rows < slope, 1, 2).astype(np.uint16)
    foreground = np.full((80, 120), 255, np.uint8)
    small = np.full((40, 60), 200, np.uint8)
    maps = FiberMaps(foreground, np.zeros_like(small), small)
    boxes = np.array([[0, 0, 29, 60], [11, 0, 40, 60]])
    chosen = InstanceThresholds(min_area_um2=0)
    first, second = draw_fibers(labels, np.array([1, 2]), boxes, maps, chosen, 0.5)
    drawn = np.zeros((80, 120), np.uint8)
    for fiber in (first, second):
        height, width = fiber.mask.shape
        drawn[fiber.y0 : fiber.y0 + height, fiber.x0 : fiber.x0 + width] += fiber.mask > 0
    # Every pixel belongs to one of them, and the edge keeps within a pixel of the line.
    assert (drawn == 1).all()
    edge = np.full((80, 120), 2)
    edge[: first.mask.shape[0], :][first.mask > 0] = 1
    at = (edge == 1).sum(axis=0)[4:-4]
    line = 2 * (0.3 * (np.arange(120) + 0.5) / 2 + 11)[4:-4]
    steps = np.kron((labels == 1).sum(axis=0), [2, 2])[4:-4]
    assert np.abs(np.diff(at)).max() == 1
    assert np.abs(np.diff(steps)).max() == 2
    assert np.std(at - line) < 0.75 * np.std(steps - line)


@pytest.mark.parametrize(
    "thresholds", [{"min_peak": 0.9}, {"min_foreground": 0.95}, {"min_area_um2": 230}]
)
def test_what_is_no_fiber_is_left_out(thresholds: dict[str, float]) -> None:
    mask = np.zeros((60, 60), np.uint8)
    mask[10:40, 10:40] = 1  # 225 µm²
    assert len(draw(mask)) == 1
    assert draw(mask, **thresholds) == []


@pytest.mark.parametrize(("called_fiber", "found"), [(0.4, 0), (0.6, 1), (None, 1)])
def test_what_the_classes_call_something_else_is_left_out(
    called_fiber: float | None, found: int
) -> None:
    mask = np.zeros((60, 60), np.uint8)
    mask[10:50, 10:50] = 1
    classes = None
    if called_fiber is not None:
        classes = np.full((30, 30), ENDOMYSIUM, np.uint8)
        classes[5 : 5 + int(20 * called_fiber)] = FIBER
        classes[:, ::2] += VOTE  # what else the network thinks of does not matter
    assert len(draw(mask, classes, min_fiber_share=0.5)) == found


def test_a_nucleus_is_no_fiber() -> None:
    mask, nucleus = np.zeros((60, 60), np.uint8), np.zeros((60, 60), np.uint8)
    mask[10:30, 20:40] = 1
    nucleus[10:22, 20:40] = 255  # 0.6 of it
    assert len(draw(mask, nucleus=nucleus, max_nucleus=0.61)) == 1
    assert draw(mask, nucleus=nucleus, max_nucleus=0.59) == []
    # nuclei beside it do not matter
    nucleus[:] = 255 - nucleus
    assert len(draw(mask, nucleus=nucleus, max_nucleus=0.41)) == 1


def test_odd_sides_are_filled_up() -> None:
    maps = fiber_maps(np.ones((5, 7)), np.zeros((5, 7)), np.full((5, 7), 0.5))
    assert maps.foreground.shape == (6, 8)
    assert (maps.foreground == 255).all()
    assert maps.distance.shape == (3, 4)
    assert np.isin(maps.distance, (127, 128)).all()


def test_half_maps_must_fit() -> None:
    with pytest.raises(ValueError, match="border"):
        FiberMaps(*(np.zeros((4, 4), np.uint8) for _ in range(3)))
