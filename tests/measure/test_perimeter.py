from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import perimeter_crofton

from biopsy_ai.measure.outline import trace_outline
from biopsy_ai.measure.perimeter import crofton_perimeter


def touches_itself_by_a_corner(mask: np.ndarray) -> bool:
    a, b, c, d = mask[:-1, :-1], mask[:-1, 1:], mask[1:, :-1], mask[1:, 1:]
    return bool(np.any((a == d) & (b == c) & (a != b)))


@pytest.mark.parametrize("name", ["disc", "triangle", "concave", "rectangle"])
@pytest.mark.parametrize("diameter", [12, 40])
def test_equals_scikit_image(draw, name: str, diameter: float) -> None:
    for mask in draw.poses(draw.scaled(name, diameter=diameter), 6):
        outline = trace_outline(mask)
        if outline.area_px == mask.sum() and not touches_itself_by_a_corner(mask):
            expected = perimeter_crofton(mask, directions=4)
            assert crofton_perimeter(outline.sides) == pytest.approx(expected)


def test_scales_with_the_pixel(draw) -> None:
    sides = trace_outline(draw.mask(draw.scaled("disc", diameter=30))).sides
    assert crofton_perimeter(sides, (0.5, 0.5)) == pytest.approx(crofton_perimeter(sides) / 2)


@pytest.mark.parametrize("ratio", [0.5, 0.8, 1.25, 2.0])
def test_disc_on_pixels_that_are_not_square(draw, ratio: float) -> None:
    disc = draw.scaled("disc", diameter=60)
    squeezed = disc.real / ratio + 1j * disc.imag
    found = [
        crofton_perimeter(trace_outline(draw.mask(squeezed, shift=shift)).sides, (ratio, 1.0))
        for shift in (0, 0.3 + 0.1j, 0.5 + 0.8j)
    ]
    assert np.mean(found) == pytest.approx(np.pi * 60, rel=0.02)
