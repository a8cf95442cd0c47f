from __future__ import annotations

import numpy as np
import pytest

from biopsy_ai.measure.feret import measure_hull
from biopsy_ai.measure.outline import subpixel_outline, trace_outline


def hulls(masks: list[np.ndarray]) -> list:
    return [measure_hull(subpixel_outline(trace_outline(mask))) for mask in masks]


def test_calipers_of_a_rectangle() -> None:
    hull = measure_hull(np.array([0, 3, 3 + 4j, 4j]))
    assert hull.area == pytest.approx(12)
    assert hull.perimeter == pytest.approx(14)
    assert hull.min_feret == pytest.approx(3)
    assert hull.max_feret == pytest.approx(5)
    assert hull.across == pytest.approx(4.8)


def test_calipers_of_a_triangle_take_its_least_height() -> None:
    hull = measure_hull(np.array([0, 10j, 4 + 2j]))
    assert hull.min_feret == pytest.approx(4)
    assert hull.max_feret == pytest.approx(10)


@pytest.mark.parametrize("points", [np.array([1 + 1j]), np.array([1 + 1j, 1 + 1j])])
def test_a_point_has_no_width(points: np.ndarray) -> None:
    hull = measure_hull(points)
    assert hull.min_feret == hull.max_feret == hull.area == 0


@pytest.mark.parametrize("side", [20, 21, 40, 160])
def test_upright_square_is_exact(side: int) -> None:
    hull = hulls([np.ones((side, side), dtype=bool)])[0]
    assert hull.min_feret == pytest.approx(side, rel=0.005)
    assert hull.max_feret == pytest.approx(side * np.sqrt(2), rel=0.01)


CONVEX = [
    "disc",
    "ellipse",
    "long ellipse",
    "square",
    "rectangle",
    "hexagon",
    "octagon",
    "right triangle",
]


@pytest.mark.parametrize("size", [20, 20.5, 40, 80])
@pytest.mark.parametrize("name", CONVEX)
def test_min_feret_and_area_within_two_percent_at_any_pose(draw, name: str, size: float) -> None:
    polygon = draw.scaled(name, min_feret=size)
    masks = draw.poses(polygon, 24)
    min_feret = np.array([hull.min_feret for hull in hulls(masks)]) / size - 1
    area = np.array([mask.sum() for mask in masks]) / draw.area(polygon) - 1
    assert abs(min_feret.mean()) < 0.02
    assert abs(area.mean()) < 0.02
    # One pose may fall badly on the grid: a disc 20 px across can cover 19 rows and 19 columns.
    assert np.quantile(np.abs(min_feret), 0.75) < (0.02 if name != "right triangle" else 0.03)
    assert np.abs(min_feret).max() < 1.2 / size


@pytest.mark.parametrize("size", [30, 60])
@pytest.mark.parametrize("name", ["pentagon", "triangle"])
def test_min_feret_to_a_single_corner_within_two_percent(draw, name: str, size: float) -> None:
    found = [hull.min_feret for hull in hulls(draw.poses(draw.scaled(name, min_feret=size), 24))]
    assert np.mean(found) == pytest.approx(size, rel=0.02)
    assert np.abs(np.array(found) - size).max() < 2.0


def test_min_feret_of_a_square_does_not_depend_on_rotation(draw) -> None:
    square = draw.scaled("square", min_feret=30)
    masks = [draw.mask(square, angle=angle) for angle in np.radians([0, 5, 15, 26.6, 30, 45])]
    found = [hull.min_feret for hull in hulls(masks)]
    assert found == pytest.approx([30] * 6, rel=0.02)


def test_max_feret_and_width_across(draw) -> None:
    found = hulls(draw.poses(draw.scaled("long ellipse", min_feret=40), 12))
    assert np.mean([hull.max_feret for hull in found]) == pytest.approx(100, rel=0.01)
    assert np.mean([hull.across for hull in found]) == pytest.approx(40, rel=0.02)
