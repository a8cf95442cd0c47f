from __future__ import annotations

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from PIL import Image

from biopsy_ai.errors import ChannelError, PixelSizeError, SlideReadError
from biopsy_ai.slides import open_slide


@pytest.fixture
def path(tmp_path, rgb):
    tifffile.imwrite(tmp_path / "slide.tif", rgb, photometric="rgb", tile=(64, 64))
    return tmp_path / "slide.tif"


def test_facts(path):
    with open_slide(str(path), mpp=(0.5, 0.25)) as slide:
        assert slide.path == path
        assert slide.name == "slide"
        assert slide.shape == (150, 130)
        assert slide.mpp == (0.5, 0.25)
        assert slide.mpp_source == "given by the user"
        assert slide.sha256() == hashlib.sha256(path.read_bytes()).hexdigest()
        assert "130 × 150 px" in repr(slide)


def test_given_pixel_size_that_contradicts_the_file(tmp_path, rgb):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, rgb, photometric="rgb", resolution=(2e4, 2e4), resolutionunit="CENTIMETER"
    )
    with open_slide(path, mpp=0.25) as slide:
        assert "a.tif" in slide.warnings[0]
        assert "contradicts the 0.5 µm" in slide.warnings[0]
    with open_slide(path, mpp=0.51) as slide:
        assert slide.warnings == []


@pytest.mark.parametrize("mpp", [0, -1, float("nan"), 100, 0.001])
def test_absurd_pixel_size(path, mpp):
    with pytest.raises(PixelSizeError, match=r"slide.tif.*implausible"):
        open_slide(path, mpp=mpp)


def test_grid_shape(path):
    with open_slide(path, mpp=(0.5, 0.25)) as slide:
        assert slide.grid_shape(0.5) == (150, 65)
        assert slide.grid_shape(1000) == (1, 1)


def test_reading_at_the_same_scale_gives_the_pixels(path, rgb):
    with open_slide(path, mpp=0.5) as slide:
        got = slide.read(10, 20, 40, 50, 0.5)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, rgb[10:50, 20:70])


def test_anisotropic_pixels_become_square(path, rgb):
    with open_slide(path, mpp=(0.5, 0.25)) as slide:
        got = slide.read(0, 0, 150, 65, 0.5)
    np.testing.assert_allclose(got, rgb.reshape(150, 65, 2, 3).mean(axis=2), atol=1e-4)


@pytest.mark.parametrize("mpp", [0.2, 0.5, 0.77, 1.0, 4.1])
def test_windows_do_not_change_pixels(path, mpp, monkeypatch):
    with open_slide(path, mpp=0.5) as slide:
        rows, columns = slide.grid_shape(mpp)
        whole = slide.read(0, 0, rows, columns, mpp)
        parts = [
            [slide.read(y, x, 7, 9, mpp) for x in range(0, columns, 9)] for y in range(0, rows, 7)
        ]
        joined = np.concatenate([np.concatenate(row, axis=1) for row in parts])
        np.testing.assert_array_equal(joined[:rows, :columns], whole)
        # Nor do the bands in which large windows are worked off.
        monkeypatch.setattr("biopsy_ai.slides.slide._SOURCE_PX", 300)
        np.testing.assert_array_equal(slide.read(0, 0, rows, columns, mpp), whole)


def test_beyond_the_slide(tmp_path, path, rgb, gray16):
    with open_slide(path, mpp=0.5) as slide:
        got = slide.read(-10, -10, 200, 200, 0.5)
        np.testing.assert_array_equal(got[10:160, 10:140], rgb)
        assert (got[:10] == 255).all()
        assert (got[160:] == 255).all()
        assert (got[:, 140:] == 255).all()
        assert (slide.read(1000, 1000, 5, 5, 0.5) == 255).all()
        region = slide.read_region(-5, -5, 0, 10, 10)
        assert (region[:5] == 255).all()
        np.testing.assert_array_equal(region[5:, 5:], rgb[:5, :5])
    tifffile.imwrite(tmp_path / "g.tif", gray16)
    with open_slide(tmp_path / "g.tif", mpp=0.5) as slide:
        assert (slide.read(150, 0, 5, 5, 0.5) == 0).all()
        assert (slide.read_region(150, 0, 0, 5, 5) == 0).all()


def test_thumbnail(path, monkeypatch):
    with open_slide(path, mpp=0.5) as slide:
        image, mpp = slide.thumbnail(2.0)
        assert mpp == 2.0
        np.testing.assert_array_equal(image, slide.read(0, 0, *slide.grid_shape(2.0), 2.0))
        assert slide.thumbnail(2.0)[0] is image
        monkeypatch.setattr("biopsy_ai.slides.slide._THUMBNAIL_PX", 100)
        image, mpp = slide.thumbnail(2.0)
        assert mpp > 2.0
        assert image.shape[:2] == slide.grid_shape(mpp)
        assert image.shape[0] * image.shape[1] <= 110


def test_channels(path):
    with open_slide(path, mpp=0.5, channels={"border": 2, "nuclei": 0}) as slide:
        assert slide.channels == {"border": 2, "nuclei": 0}
    with pytest.raises(ChannelError, match=r"slide.tif.*border=3.*0 \(red\), 1 \(green\)"):
        open_slide(path, mpp=0.5, channels={"border": 3})
    with pytest.raises(ChannelError, match="border=-1"):
        open_slide(path, mpp=0.5, channels={"border": -1})


def test_threads(path, rgb):
    with open_slide(path, mpp=0.5) as slide, ThreadPoolExecutor(8) as pool:
        starts = [(y, x) for y in range(0, 100, 5) for x in range(0, 100, 5)]
        parts = pool.map(lambda yx: slide.read(*yx, 30, 30, 0.5), starts)
        for (y, x), part in zip(starts, parts, strict=True):
            np.testing.assert_array_equal(part, rgb[y : y + 30, x : x + 30])


def test_closed_slides_say_so(path):
    slide = open_slide(path, mpp=0.5)
    slide.close()
    slide.close()
    with pytest.raises(SlideReadError, match=r"slide.tif.*closed"):
        slide.read(0, 0, 5, 5, 0.5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_pixels(tmp_path, value):
    image = np.ones((60, 60), np.float32)
    image[40, 40] = value
    tifffile.imwrite(tmp_path / "nan.tif", image)
    with open_slide(tmp_path / "nan.tif", mpp=0.5) as slide:
        assert (slide.read(0, 0, 20, 20, 0.5) == 1).all()
        with pytest.raises(SlideReadError, match=r"nan.tif.*NaN"):
            slide.read(0, 0, 30, 30, 1.0)
        with pytest.raises(SlideReadError, match=r"nan.tif.*NaN"):
            slide.thumbnail()


def test_tiny_images_open(tmp_path):
    for shape in ((1, 1), (5, 31)):
        tifffile.imwrite(tmp_path / "tiny.tif", np.full(shape, 9, np.uint8))
        with open_slide(tmp_path / "tiny.tif", mpp=0.5) as slide:
            assert slide.shape == shape
            assert (slide.thumbnail()[0] == 9).all()


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_content_counts_not_the_name(tmp_path, rgb, suffix):
    wrong = {"png": "tif", "tif": "jpg", "jpg": "svs"}[suffix]
    Image.fromarray(rgb).save(tmp_path / f"a.{suffix}")
    (tmp_path / f"a.{suffix}").rename(tmp_path / f"a.{wrong}")
    with open_slide(tmp_path / f"a.{wrong}", mpp=0.5) as slide:
        assert slide.shape == (150, 130)


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_paths_with_spaces_and_other_letters(tmp_path, rgb, suffix):
    folder = tmp_path / "Muskel übung 日本"
    folder.mkdir()
    Image.fromarray(rgb).save(folder / f"Fall №1 größe.{suffix}")
    with open_slide(folder / f"Fall №1 größe.{suffix}", mpp=0.5) as slide:
        assert slide.name == "Fall №1 größe"
        assert slide.read(0, 0, 20, 20, 0.5).shape == (20, 20, 3)


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg", "a.svs", "a.dat", "a.ome.tif"])
def test_files_that_are_no_images(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(SlideReadError, match=rf"{name}: there is no such file"):
        open_slide(path, mpp=0.5)
    path.write_bytes(b"")
    with pytest.raises(SlideReadError, match=rf"{name}: the file is empty"):
        open_slide(path, mpp=0.5)
    path.write_text("just some text\n" * 20)
    with pytest.raises(SlideReadError, match=name):
        open_slide(path, mpp=0.5)
    with pytest.raises(SlideReadError, match="is a folder"):
        open_slide(tmp_path, mpp=0.5)


def test_importing_loads_nothing_heavy():
    code = (
        "import sys, biopsy_ai.slides; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'cv2', 'matplotlib', 'zarr', 'skimage')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
