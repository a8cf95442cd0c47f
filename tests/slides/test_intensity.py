from __future__ import annotations

import numpy as np
import pytest
import tifffile

from biopsy_ai.slides import intensity_range, open_slide


def test_rgb_has_one_range(tmp_path):
    image = np.random.default_rng(0).integers(30, 220, (200, 200, 3), dtype=np.uint8)
    image[..., 2] //= 2
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    with open_slide(tmp_path / "a.tif", mpp=0.5) as slide:
        low, high = intensity_range(slide)
    expected = np.percentile(image, (0.5, 99.5))
    assert low.shape == high.shape == (3,)
    assert low.tolist() == [expected[0]] * 3
    assert high.tolist() == [expected[1]] * 3


def test_fluorescence_has_a_range_per_channel(tmp_path):
    image = np.random.default_rng(0).integers(0, 1000, (3, 200, 200), dtype=np.uint16)
    image[1] *= 10
    image[2] = 7
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack")
    with open_slide(tmp_path / "a.tif", mpp=0.5) as slide:
        low, high = intensity_range(slide)
    expected = np.percentile(image, (0.5, 99.5), axis=(1, 2))
    np.testing.assert_allclose(low, expected[0])
    np.testing.assert_allclose(high[:2], expected[1, :2])
    assert high[2] > low[2]


@pytest.mark.parametrize(("white", "channels"), [(0, {}), (255, {"border": 1})])
def test_color_fluorescence_has_a_range_per_channel(tmp_path, white, channels):
    """A dark background tells, or a named border."""
    image = np.random.default_rng(0).integers(0, 40, (200, 200, 3), dtype=np.uint8)
    image = np.abs(white - image * np.array([1, 4, 6])).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    with open_slide(tmp_path / "a.tif", mpp=0.5, channels=channels) as slide:
        low, high = intensity_range(slide)
    np.testing.assert_allclose((low, high), np.percentile(image, (0.5, 99.5), axis=(0, 1)))


def test_large_slides_are_sampled_in_their_tissue(tmp_path):
    # Thin bright membranes, which a thumbnail would lose, in a tenth of a dark slide.
    image = np.full((3000, 3000), 100, np.uint16)
    image[1000:2000, 1000:1900] = 200
    image[1000:2000:20, 1000:1900] = 4000
    tifffile.imwrite(tmp_path / "a.tif", image, tile=(256, 256))
    with open_slide(tmp_path / "a.tif", mpp=0.5) as slide:
        low, high = intensity_range(slide)
        again = intensity_range(slide)
    assert high == pytest.approx([4000])
    assert low == pytest.approx([100])
    np.testing.assert_array_equal(again, (low, high))
