import numpy as np
import pytest

from biopsy_ai.synthesis.raster import fill_polygon


def test_rectangle_covers_the_pixels_whose_centers_it_holds():
    mask = np.zeros((10, 12), dtype=bool)
    fill_polygon(mask, np.array([[2.0, 3], [2, 9], [6, 9], [6, 3]]), 1.0, True)
    expected = np.zeros_like(mask)
    expected[2:6, 3:9] = True
    assert (mask == expected).all()


@pytest.mark.parametrize("mpp", [0.5, 0.8])
def test_disc_has_its_area_at_any_pixel_size(mpp):
    t = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    disc = np.column_stack([30 + 20 * np.sin(t), 33.3 + 20 * np.cos(t)])
    mask = np.zeros((int(70 / mpp), int(70 / mpp)), dtype=np.uint8)
    fill_polygon(mask, disc, mpp, 1)
    assert mask.sum() * mpp**2 == pytest.approx(np.pi * 400, rel=0.005)


def test_outline_beyond_the_field_is_cut():
    mask = np.zeros((5, 5), dtype=np.uint8)
    fill_polygon(mask, np.array([[-4.0, -4], [-4, 2], [20, 2], [20, -4]]), 1.0, 1)
    assert mask[:, :2].all()
    assert not mask[:, 2:].any()
    fill_polygon(mask, np.array([[50.0, 50], [50, 60], [60, 60]]), 1.0, 7)
    assert mask.max() == 1
