from __future__ import annotations

import time

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from skimage.measure import points_in_poly

from biopsy_ai import labels as label_room
from biopsy_ai.formats.contours import (
    fiber_polygons,
    fill_rings,
    from_image_xy,
    mask_polygon,
    pixel_borders,
    ring_area,
    to_image_xy,
    trace_border,
)
from biopsy_ai.labels import find_boxes


def ellipse(size: float, *, elongation: float, angle: float, shift: float) -> NDArray[np.bool_]:
    side = int(size * elongation) + 6
    y, x = np.indices((side, side)) + 0.5 - side / 2 - shift
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    return np.hypot(u / elongation, v * elongation) < size / 2


def _polygons(labels):
    return fiber_polygons(labels, *find_boxes(labels))


@pytest.mark.parametrize("size", [3, 5, 10, 20, 60, 160])
def test_a_polygon_gives_back_exactly_the_pixels_of_its_fiber(size: int) -> None:
    rng = np.random.default_rng(size)
    for _ in range(10):
        elongation, angle, shift = rng.uniform((1, 0, -0.5), (1.6, np.pi, 0.5))
        mask = ellipse(size, elongation=elongation, angle=angle, shift=shift)
        polygon = mask_polygon(mask)
        assert (fill_rings([polygon], mask.shape) == mask).all()


@pytest.mark.parametrize(("size", "least"), [(10, 0.985), (20, 0.995), (60, 0.999)])
def test_a_polygon_has_the_area_of_its_pixels(size: int, least: float) -> None:
    ratios = []
    for angle in np.linspace(0, np.pi, 12):
        mask = ellipse(size, elongation=1.2, angle=angle, shift=0.2)
        ratios.append(ring_area(mask_polygon(mask)) / mask.sum())
    assert least < np.mean(ratios) < 1.002


def test_every_fiber_of_a_section_comes_back_exactly(segmentation, drawn_labels) -> None:
    polygons = dict(fiber_polygons(segmentation.labels, segmentation.ids, segmentation.boxes))
    assert sorted(polygons) == segmentation.ids.tolist()
    drawn = np.zeros_like(drawn_labels)
    for label, polygon in polygons.items():
        drawn[fill_rings([polygon], drawn.shape)] = label
    assert (drawn == drawn_labels).all()


def test_polygons_do_not_depend_on_how_labels_are_read(
    segmentation, drawn_labels, monkeypatch
) -> None:
    whole = dict(fiber_polygons(segmentation.labels, segmentation.ids, segmentation.boxes))
    monkeypatch.setattr(label_room, "WINDOW_PX", 40)
    stored = zarr.create_array(
        zarr.storage.MemoryStore(), shape=drawn_labels.shape, chunks=(64, 64), dtype="int32"
    )
    stored[:] = drawn_labels
    pieces = dict(_polygons(stored))
    assert pieces.keys() == whole.keys()
    for label, polygon in whole.items():
        np.testing.assert_array_equal(pieces[label], polygon)


def test_a_square_keeps_its_sides_on_the_pixel_edges() -> None:
    labels = np.zeros((20, 20), dtype=np.int32)
    labels[4:14, 6:16] = 7
    ((label, polygon),) = _polygons(labels)
    assert label == 7
    np.testing.assert_allclose(polygon.min(axis=0), (4, 6))
    np.testing.assert_allclose(polygon.max(axis=0), (14, 16))
    assert len(polygon) == 8  # the corners are cut by half a pixel
    assert ring_area(polygon) == pytest.approx(100 - 4 / 8)


def test_small_and_odd_shapes_have_polygons_that_cover_them() -> None:
    single, line, corner = (np.zeros((5, 5), dtype=bool) for _ in range(3))
    single[2, 2] = True
    line[2, 1:4] = True
    corner[1, 1] = corner[2, 2] = corner[3, 1] = True
    full = np.ones((4, 3), dtype=bool)
    for mask in (single, line, corner, full):
        assert (fill_rings([mask_polygon(mask)], mask.shape) == mask).all()


def test_holes_are_filled_and_the_largest_part_is_outlined() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[2:12, 2:12] = True
    filled = mask.copy()
    mask[5:8, 5:8] = False
    mask[15:18, 20:25] = True
    assert (fill_rings([mask_polygon(mask)], mask.shape) == filled).all()


def test_filling_follows_the_pixel_center_rule() -> None:
    rng = np.random.default_rng(1)
    for _ in range(5):
        ring = rng.uniform(-5, 25, size=(9, 2))  # crosses itself and leaves the mask
        grid = np.indices((20, 22)).reshape(2, -1).T + 0.5
        expected = points_in_poly(grid, ring).reshape(20, 22)
        assert (fill_rings([ring], (20, 22)) == expected).all()
        part = fill_rings([ring], (7, 9), origin=(3, 4))
        assert (part == expected[3:10, 4:13]).all()


def test_polygons_with_a_common_edge_neither_overlap_nor_leave_a_gap() -> None:
    left = np.array([(0, 0), (0, 6.5), (10, 3.5), (10, 0)])
    right = np.array([(0, 6.5), (0, 10), (10, 10), (10, 3.5)])
    counts = fill_rings([left], (10, 10)).astype(int) + fill_rings([right], (10, 10))
    assert (counts == 1).all()


def test_a_ring_inside_another_is_a_hole() -> None:
    outer = np.array([(0, 0), (0, 10), (10, 10), (10, 0)])
    mask = fill_rings([outer, outer * 0.4 + 3], (10, 10))
    assert mask.sum() == 100 - 16
    assert not mask[5, 5]


def test_image_coordinates_are_x_y_in_pixels_of_the_original() -> None:
    polygon = np.array([(10.0, 20.0), (10.0, 30.0), (14.0, 30.0)])
    xy = to_image_xy(polygon, (0.5, 0.5), (0.25, 0.2))
    np.testing.assert_allclose(xy, [(50, 20), (75, 20), (75, 28)])
    np.testing.assert_allclose(from_image_xy(xy, (0.25, 0.2), (0.5, 0.5)), polygon)


def test_outlining_is_fast() -> None:
    mask = ellipse(160, elongation=1.1, angle=0.5, shift=0)
    mask_polygon(mask)
    start = time.process_time()
    for _ in range(50):
        mask_polygon(mask)
    # 0.2 ms on a quiet machine
    assert (time.process_time() - start) / 50 < 2e-3


def test_a_border_passes_its_pixel_sides_counterclockwise() -> None:
    mask = np.zeros((3, 4), dtype=bool)
    mask[1, 1:3] = True
    (border,) = pixel_borders(mask)
    midpoints, sides = trace_border(border)
    order = midpoints.tolist()
    first = order.index(1 + 1.5j)
    around = [1 + 1.5j, 1.5 + 1j, 2 + 1.5j, 2 + 2.5j, 1.5 + 3j, 1 + 2.5j]
    assert order[first:] + order[:first] == around
    assert sides[midpoints.real == 1].tolist() == [3, 3]
    assert sides[midpoints.real == 2].tolist() == [1, 1]
    assert (sides[midpoints.imag == 1], sides[midpoints.imag == 3]) == (2, 0)


def test_every_part_has_a_border() -> None:
    mask = np.zeros((6, 6), dtype=bool)
    assert len(pixel_borders(mask)) == 0
    mask[0, 0] = mask[1, 1] = mask[4, 4] = True  # pixels that touch at a corner are one part
    assert sorted(len(trace_border(border)[0]) for border in pixel_borders(mask)) == [4, 8]
