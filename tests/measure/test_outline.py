from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from biopsy_ai.measure.outline import interior_angles, simplify, subpixel_outline, trace_outline
from biopsy_ai.measure.shape import resample_outline


def enclosed_area(points: np.ndarray) -> float:
    return abs(float(np.sum((points.conj() * np.roll(points, -1)).imag))) / 2


def test_outline_of_a_square_runs_through_the_middles_of_its_pixel_sides() -> None:
    mask = np.zeros((5, 6), dtype=bool)
    mask[1:4, 2:5] = True
    outline = trace_outline(mask)
    assert outline.area_px == 9
    assert len(outline.midpoints) == 12
    assert set(outline.midpoints[outline.sides == 3]) == {1 + 2.5j, 1 + 3.5j, 1 + 4.5j}
    assert set(outline.midpoints[outline.sides == 0]) == {1.5 + 5j, 2.5 + 5j, 3.5 + 5j}


def test_every_pixel_side_between_inside_and_outside_is_passed_once() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        noise = ndimage.gaussian_filter(rng.normal(size=(60, 60)), 4)
        labels, _ = ndimage.label(noise > 0.02, structure=np.ones((3, 3)))
        mask = ndimage.binary_fill_holes(labels == np.bincount(labels[labels > 0]).argmax())
        outline = trace_outline(mask)
        padded = np.pad(mask, 1).astype(int)
        rows, cols = np.nonzero(np.diff(padded, axis=1))
        sides = {complex(r - 0.5, c) for r, c in zip(rows, cols, strict=True)}
        rows, cols = np.nonzero(np.diff(padded, axis=0))
        sides |= {complex(r, c - 0.5) for r, c in zip(rows, cols, strict=True)}
        assert len(outline.midpoints) == len(sides)
        assert set(outline.midpoints) == sides
        assert outline.area_px == mask.sum()


def test_single_pixel_and_line_of_pixels() -> None:
    single = trace_outline(np.ones((1, 1), dtype=np.uint8))
    assert single.area_px == 1
    assert set(single.midpoints) == {0.5j, 0.5 + 0j, 1 + 0.5j, 0.5 + 1j}
    line = trace_outline(np.ones((1, 5), dtype=np.uint8))
    assert line.area_px == 5
    assert len(line.midpoints) == 12
    assert enclosed_area(subpixel_outline(line)) == pytest.approx(4.5, abs=0.5)


def test_largest_part_is_traced_and_holes_are_filled() -> None:
    mask = np.zeros((20, 40), dtype=bool)
    mask[2:4, 2:4] = True
    mask[5:15, 20:30] = True
    mask[8:10, 23:25] = False
    outline = trace_outline(mask)
    assert outline.area_px == 100
    assert len(outline.midpoints) == 40


def test_empty_mask_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        trace_outline(np.zeros((4, 4), dtype=bool))


@pytest.mark.parametrize("name", ["disc", "square", "triangle", "hexagon"])
def test_subpixel_outline_encloses_the_area(draw, name: str) -> None:
    polygon = draw.scaled(name, diameter=40)
    areas = [
        enclosed_area(subpixel_outline(trace_outline(mask))) for mask in draw.poses(polygon, 12)
    ]
    assert np.mean(areas) == pytest.approx(draw.area(polygon), rel=0.01)


@pytest.mark.parametrize("angle", [0.0, 0.3, np.pi / 4])
def test_corners_of_a_square_are_restored(draw, angle: float) -> None:
    square = draw.scaled("square", min_feret=30)
    mask = draw.mask(square, angle=angle, shift=0.3 + 0.2j)
    outline = subpixel_outline(trace_outline(mask))
    corners = simplify(outline, 2.0)
    assert len(corners) == 4
    assert np.abs(np.diff(corners, append=corners[0])) == pytest.approx(30, abs=0.7)
    assert interior_angles(corners) == pytest.approx(90, abs=2)


def test_smooth_outline_gets_no_corners(draw) -> None:
    for mask in draw.poses(draw.scaled("disc", diameter=40), 8):
        outline = resample_outline(subpixel_outline(trace_outline(mask)))
        radius = np.abs(outline - outline.mean())
        assert radius.min() > 19.3
        assert radius.max() < 20.7


def test_interior_angles_in_both_senses_of_rotation() -> None:
    arrow = np.array([0, 4 + 4j, 8 + 0j, 4 + 1j])
    angles = interior_angles(arrow)
    assert angles.sum() == pytest.approx(360)
    assert angles[1] == pytest.approx(90)
    assert angles[3] > 180
    assert interior_angles(arrow[::-1]) == pytest.approx(angles[::-1])


def test_simplify_keeps_the_corners_of_a_dense_square() -> None:
    side = np.arange(10)
    square = np.concatenate([side, 10 + 1j * side, 10 - side + 10j, 1j * (10 - side)])
    assert set(simplify(square, 0.5)) == {0, 10, 10 + 10j, 10j}


@pytest.mark.parametrize("height", [1, 2, 3, 6])
@pytest.mark.parametrize("width", [1, 2, 7, 30, 200])
def test_slivers_keep_a_width(height: int, width: int) -> None:
    outline = subpixel_outline(trace_outline(np.ones((height, width), dtype=bool)))
    assert len(outline) >= 3
    assert enclosed_area(outline) == pytest.approx(height * width, rel=0.5)
