from __future__ import annotations

import numpy as np
import pytest

from biopsy_ai.measure.corners import straighten
from biopsy_ai.measure.outline import simplify, subpixel_outline, trace_outline
from biopsy_ai.measure.reference import Limits


def drawn(polygon: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The polygon moved to where the mask shows it, by their centers of gravity."""
    following = np.roll(polygon, -1)
    weights = (polygon.conj() * following).imag
    center = ((polygon + following) * weights).sum() / (3 * weights.sum())
    rows, cols = np.nonzero(mask)
    return polygon - center + rows.mean() + 0.5 + 1j * (cols.mean() + 0.5)


@pytest.mark.parametrize(("name", "tolerance"), [("square", 0.7), ("triangle", 1.0)])
@pytest.mark.parametrize("angle", [0.1, 0.3, 0.5, 0.7])
def test_corners_lie_where_the_sides_meet(draw, name: str, tolerance: float, angle: float) -> None:
    polygon = draw.scaled(name, min_feret=20) * np.exp(1j * angle)
    mask = draw.mask(polygon, shift=0.4 + 0.7j)
    outline = subpixel_outline(trace_outline(mask))
    assert len(simplify(outline, 0.5)) == len(polygon)
    for corner in drawn(polygon, mask):
        assert np.abs(outline - corner).min() < tolerance


@pytest.mark.parametrize("radius", [6, 10])
def test_rounded_corners_stay_round(draw, radius: float) -> None:
    around = radius * np.exp(2j * np.pi * (np.arange(240) + 0.5) / 240)
    polygon = around + (20 - radius) * (np.sign(around.real) + 1j * np.sign(around.imag))
    across = np.abs(polygon).max()
    for mask in draw.poses(polygon, 12):
        outline = subpixel_outline(trace_outline(mask))
        found = np.abs(outline - drawn(polygon, mask).mean()).max()
        assert found == pytest.approx(across, abs=1.0), "and not 28.3, the corner of the square"


def test_straight_sides_between_blunt_corners_are_drawn_straight(draw) -> None:
    for mask in draw.poses(draw.scaled("hexagon", diameter=50), 12):
        outline = subpixel_outline(trace_outline(mask))
        lengths = np.sort(np.abs(np.roll(outline, -1) - outline))
        assert lengths[-6] > 0.5 * 27.5
        assert lengths[:-6].max(initial=0) < 5


def test_a_figure_without_sides_is_left_as_it_is(draw) -> None:
    traced = trace_outline(draw.mask(draw.scaled("disc", diameter=40), shift=0.3 + 0.1j))
    smooth = traced.midpoints * 1.0
    assert straighten(smooth, traced.midpoints, 40.0, blurred=6) is smooth


@pytest.mark.parametrize("name", ["square", "triangle", "pentagon", "hexagon", "concave"])
def test_it_does_not_matter_where_an_outline_begins(draw, name: str) -> None:
    traced = trace_outline(draw.mask(draw.scaled(name, diameter=36), angle=0.4, shift=0.2 + 0.6j))
    points = traced.midpoints
    smooth = np.convolve(points[np.arange(-2, len(points) + 2) % len(points)], [0.2] * 5, "valid")
    expected = np.sort_complex(straighten(smooth, points, 36.0, blurred=6))
    assert len(expected) < len(points)
    for start in range(0, len(points), 7):
        turned = straighten(np.roll(smooth, start), np.roll(points, start), 36.0, blurred=6)
        assert np.sort_complex(turned) == pytest.approx(expected)


def test_the_scatter_of_a_straight_side_is_a_limit(draw) -> None:
    traced = trace_outline(draw.mask(draw.scaled("square", min_feret=30), angle=0.2))
    strict = subpixel_outline(traced, Limits({"straight_side_scatter_px": 0.01}))
    assert len(subpixel_outline(traced)) < 10 < len(strict)
