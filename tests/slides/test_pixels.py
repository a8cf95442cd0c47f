import numpy as np
import pytest
import tifffile

from biopsy_ai.slides import open_slide
from biopsy_ai.slides.pixels import SlidePixels


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (90, 120, 3)).astype(np.uint8)


def test_a_slide_is_sliced_like_an_array(image, tmp_path, monkeypatch):
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, image, photometric="rgb")
    with open_slide(path, mpp=0.5) as slide:
        pixels = SlidePixels(slide, 0.5, (90, 120))
        assert pixels.shape == (90, 120, 3)
        assert np.array_equal(pixels[10:30, 50:70], image[10:30, 50:70])
        assert np.array_equal(pixels[80:200, 0:5], image[80:, :5])
        assert pixels[5:5, 0:10].shape == (0, 10, 3)
        coarse = SlidePixels(slide, 1.0, (45, 60))
        expected = image[20:40, 40:60].reshape(10, 2, 10, 2, 3).mean(axis=(1, 3))
        assert coarse[10:20, 20:30] == pytest.approx(expected, abs=0.01)
        sparse = SlidePixels(slide, 0.5, (45, 60), 2)
        assert sparse.shape == (45, 60, 3)
        assert np.array_equal(sparse[3:30, 7:70], image[6:60:2, 14::2])
        monkeypatch.setattr("biopsy_ai.slides.pixels._BAND_PX", 8)
        assert np.array_equal(sparse[3:30, 7:70], image[6:60:2, 14::2])
        with pytest.raises(ValueError, match="without steps"):
            pixels[::2, :]
