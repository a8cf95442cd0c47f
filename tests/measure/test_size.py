from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import regionprops

from biopsy_ai.measure.size import measure_size


@pytest.mark.parametrize("mpp", [(1.0, 1.0), (0.5, 0.5), (0.4, 0.7)])
@pytest.mark.parametrize("name", ["long ellipse", "triangle", "concave"])
def test_equals_scikit_image(draw, name: str, mpp: tuple[float, float]) -> None:
    for mask in draw.poses(draw.scaled(name, diameter=30), 5):
        (expected,) = regionprops(mask.astype(int), spacing=mpp)
        found = measure_size(mask.astype(np.uint8), mpp)
        assert found.area_px * mpp[0] * mpp[1] == pytest.approx(expected.area)
        assert found.centroid_y == pytest.approx(expected.centroid[0] + mpp[0] / 2)
        assert found.centroid_x == pytest.approx(expected.centroid[1] + mpp[1] / 2)
        assert found.axis_major_length == pytest.approx(expected.axis_major_length)
        assert found.axis_minor_length == pytest.approx(expected.axis_minor_length)
        assert found.eccentricity == pytest.approx(expected.eccentricity)
        difference = found.orientation_deg - np.degrees(expected.orientation)
        assert (difference + 90) % 180 - 90 == pytest.approx(0, abs=1e-6)


def test_holes_and_separate_parts_count_as_they_are() -> None:
    mask = np.zeros((10, 10), dtype=np.uint8)
    mask[0:4, 0:4] = 1
    mask[1, 1] = 0
    mask[9, 9] = 1
    assert measure_size(mask, (1.0, 1.0)).area_px == 16


def test_single_pixel_has_no_ellipse() -> None:
    size = measure_size(np.ones((1, 1), dtype=np.uint8), (1.0, 1.0))
    assert (size.area_px, size.centroid_y, size.centroid_x) == (1, 0.5, 0.5)
    assert size.axis_major_length == size.eccentricity == 0
