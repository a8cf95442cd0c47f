from __future__ import annotations

import numpy as np
import pytest

from biopsy_ai.measure.feret import measure_hull
from biopsy_ai.measure.outline import subpixel_outline, trace_outline
from biopsy_ai.measure.perimeter import crofton_perimeter
from biopsy_ai.measure.shape import curvature_measures, measure_shape, resample_outline


def measured(draw, name: str, diameter: float, n: int = 12) -> dict[str, float]:
    rows = []
    for mask in draw.poses(draw.scaled(name, diameter=diameter), n):
        traced = trace_outline(mask)
        outline = subpixel_outline(traced)
        shape = measure_shape(
            outline,
            measure_hull(outline, pixel=1.0),
            area=traced.area_px,
            perimeter=crofton_perimeter(traced.sides),
        )
        sharpest, concave = curvature_measures(
            resample_outline(outline)[None], np.array([2 * np.sqrt(traced.area_px / np.pi)])
        )
        rows.append({**vars(shape), "sharpest": sharpest[0], "concave": concave[0]})
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def test_circularity_of_a_disc_does_not_depend_on_its_size(draw) -> None:
    small, large = (measured(draw, "disc", d, 40)["circularity"] for d in (20, 80))
    assert small == pytest.approx(large, rel=0.01)
    assert large == pytest.approx(1, abs=0.005)


@pytest.mark.parametrize(
    ("name", "diameter", "published"),
    [
        ("disc", 8, 1.009),
        ("disc", 20, 1.005),
        ("hexagon", 20, 0.921),
        ("triangle", 12, 0.653),
        ("triangle", 40, 0.624),
        ("concave", 8, 0.515),
        ("concave", 20, 0.448),
    ],
)
def test_circularity_errs_no_more_than_known(
    draw, name: str, diameter: float, published: float
) -> None:
    found = measured(draw, name, diameter, 40)["circularity"]
    true = draw.circularity(name)
    assert abs(found - true) <= abs(published - true) + 0.015


@pytest.mark.parametrize("diameter", [20, 30, 80])
@pytest.mark.parametrize("name", ["disc", "ellipse", "square", "hexagon", "octagon", "triangle"])
def test_convex_shapes_are_solid_at_every_size(draw, name: str, diameter: float) -> None:
    found = measured(draw, name, diameter)
    assert found["solidity"] > (0.975 if name == "triangle" else 0.985)
    assert found["convexity"] > 0.97
    assert found["concave"] < 0.01


def test_hollow_sides_lower_the_solidity(draw) -> None:
    found = measured(draw, "concave", 40)
    assert found["solidity"] < 0.75
    assert found["concave"] > 0.2


@pytest.mark.parametrize("diameter", [20, 60])
def test_known_values(draw, diameter: float) -> None:
    disc = measured(draw, "disc", diameter)
    assert disc["feret_aspect_ratio"] == pytest.approx(1, abs=0.035)
    assert disc["roundness"] == pytest.approx(1, abs=0.03)
    assert disc["triangularity"] == pytest.approx(0.605, abs=0.02)
    assert disc["n_acute_angles"] == 0
    assert disc["sharpest"] == pytest.approx(1, abs=0.25)
    triangle = measured(draw, "triangle", diameter)
    assert triangle["triangularity"] > 0.96
    assert triangle["min_angle_deg"] == pytest.approx(60, abs=3)
    assert triangle["n_acute_angles"] == pytest.approx(3, abs=0.2)
    assert triangle["sharpest"] > 4
    square = measured(draw, "square", diameter)
    assert square["triangularity"] == pytest.approx(0.5, abs=0.02)
    assert square["min_angle_deg"] == pytest.approx(90, abs=3)
    assert square["feret_aspect_ratio"] == pytest.approx(np.sqrt(2), rel=0.03)
    assert square["n_acute_angles"] == 0
    hexagon = measured(draw, "hexagon", diameter)
    assert hexagon["feret_aspect_ratio"] == pytest.approx(1.155, rel=0.04)


def test_rectangles_with_parallel_sides_have_an_enclosing_triangle() -> None:
    for height in range(12, 60):
        outline = subpixel_outline(trace_outline(np.ones((height, 30), dtype=bool)))
        hull = measure_hull(outline)
        shape = measure_shape(outline, hull, area=30.0 * height, perimeter=60.0 + 2 * height)
        assert shape.triangularity == pytest.approx(0.5, abs=0.02)


def test_curvature_of_a_circle_is_one_at_any_size() -> None:
    circle = np.exp(2j * np.pi * np.arange(500) / 500)
    outlines = np.stack([resample_outline(circle * r) for r in (1.0, 37.0)])
    sharpest, concave = curvature_measures(outlines, np.array([2.0, 74.0]))
    assert sharpest == pytest.approx([1, 1], rel=1e-3)
    assert concave.tolist() == [0, 0]
    backwards = curvature_measures(outlines[:, ::-1], np.array([2.0, 74.0]))[0]
    assert backwards == pytest.approx([1, 1], rel=1e-3)
