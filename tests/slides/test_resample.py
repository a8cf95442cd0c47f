from __future__ import annotations

import numpy as np
import pytest

from biopsy_ai.slides.resample import apply_weights, axis_weights


def resample(image, factor, start=None, stop=None):
    (h, w), (fy, fx) = image.shape[:2], factor
    y0, x0 = start or (0, 0)
    y1, x1 = stop or (round(h / fy), round(w / fx))
    rows, cols = axis_weights(y0, y1, fy, h), axis_weights(x0, x1, fx, w)
    return apply_weights(image[rows.start : rows.stop, cols.start : cols.stop], rows, cols)


def area_average_by_supersampling(line, factor, n_out, fine=1000):
    repeated = np.repeat(line.astype(float), fine)
    edges = np.rint(np.arange(n_out + 1) * factor * fine).astype(int)
    return np.array([repeated[a:b].mean() for a, b in zip(edges, edges[1:], strict=False)])


def test_whole_factors_average_blocks(rgb):
    expected = rgb.reshape(75, 2, 65, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resample(rgb, (2, 2)), expected, atol=1e-4)


@pytest.mark.parametrize("factor", [1.25, 1.803, 3.7, 12.5])
def test_broken_factors_average_areas(factor):
    line = np.random.default_rng(0).integers(0, 256, 500)
    n_out = int(500 / factor)
    image = np.tile(line[None, :, None], (3, 1, 1)).astype(np.uint8)
    got = resample(image, (1, factor), stop=(3, n_out))
    expected = area_average_by_supersampling(line, factor, n_out)
    np.testing.assert_allclose(got[1, :, 0], expected, atol=0.05)


def test_finer_grids_interpolate_between_half_pixel_centers():
    image = np.array([[0.0, 10.0, 30.0]])[..., None]
    got = resample(image, (1, 0.5))[0, :, 0]
    np.testing.assert_allclose(got, [0, 2.5, 7.5, 15, 25, 30])


@pytest.mark.parametrize("factor", [(0.5, 0.5), (0.37, 1.0), (1.0, 1.0), (2.0, 1.803), (5.3, 0.9)])
def test_windows_do_not_change_pixels(rgb, factor):
    whole = resample(rgb, factor)
    y0, x0, y1, x1 = 5, 7, min(23, whole.shape[0]), min(24, whole.shape[1])
    part = resample(rgb, factor, (y0, x0), (y1, x1))
    np.testing.assert_array_equal(part, whole[y0:y1, x0:x1])


def test_constant_images_stay_constant():
    image = np.full((97, 83, 1), 200, np.uint16)
    for factor in (0.3, 1.0, 1.7, 9.9):
        np.testing.assert_allclose(resample(image, (factor, factor)), 200, rtol=1e-6)


def test_a_linear_ramp_is_kept_in_place():
    # Area averaging takes pixels for even squares, which moves values by up to 1/12 of a step.
    ramp = np.tile(np.arange(200.0) + 0.5, (4, 1))[..., None]
    for factor in (0.4, 1.803, 2.0, 7.3):
        n_out = int(200 / factor)
        got = resample(ramp, (1, factor), stop=(4, n_out))[0, :, 0]
        centers = (np.arange(n_out) + 0.5) * factor
        inner = (centers > 1) & (centers < 199)
        np.testing.assert_allclose(got[inner], centers[inner], atol=0.1)


def test_last_pixel_averages_what_lies_inside():
    image = np.array([[1.0, 1.0, 9.0]])[..., None]
    assert resample(image, (1, 2), stop=(1, 2))[0, :, 0].tolist() == [1.0, 9.0]


def test_many_channels(rgb):
    image = np.concatenate([rgb, rgb], axis=2)
    got = resample(image, (1.9, 1.9))
    np.testing.assert_array_equal(got[..., :3], got[..., 3:])
    np.testing.assert_allclose(got[..., :3], resample(rgb, (1.9, 1.9)), atol=1e-4)
