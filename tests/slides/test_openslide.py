from __future__ import annotations

import sys

import numpy as np
import pytest
import tifffile

from biopsy_ai.errors import PixelSizeError, SlideReadError
from biopsy_ai.slides import open_slide
from biopsy_ai.slides.openslide import OpenSlideSource

pytest.importorskip("openslide")

APERIO = "Aperio Image Library v11.2.1 \r\n1300x1100 [0,0 1300x1100] (240x240)|AppMag = 20|"


def write_aperio(path, image, description=APERIO + "MPP = 0.4990"):
    """Write a TIFF that OpenSlide takes for one of an Aperio scanner, with two levels."""
    options = {"photometric": "rgb", "tile": (240, 240), "compression": "zlib", "metadata": None}
    with tifffile.TiffWriter(path) as writer:
        writer.write(image, description=description, **options)
        writer.write(image[::4, ::4][:, :, :], description=description, **options)


@pytest.fixture
def large_rgb():
    return np.random.default_rng(3).integers(0, 256, (1100, 1300, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["a.svs", "a.tif", "Prüfung 1 (Käse).svs"])
def test_scanner_files_are_read_by_openslide(tmp_path, large_rgb, name):
    write_aperio(tmp_path / name, large_rgb)
    with open_slide(tmp_path / name) as slide:
        assert isinstance(slide._source, OpenSlideSource)
        assert slide.mpp == (0.499, 0.499)
        assert slide.mpp_source == "slide metadata, aperio"
        assert slide.is_rgb
        assert slide.warnings == []
        assert slide.shape == (1100, 1300)
        assert slide.level_downsamples == ((1, 1), (4, 4))
        np.testing.assert_array_equal(
            slide.read_region(1000, 200, 0, 90, 1000), large_rgb[1000:1090, 200:1200]
        )
        np.testing.assert_array_equal(
            slide.read_region(40, 80, 1, 30, 20), large_rgb[::4, ::4][10:40, 20:40]
        )
        beyond = slide.read_region(1090, 1290, 0, 20, 20)
        assert (beyond[10:] == 255).all()
        np.testing.assert_array_equal(beyond[:10, :10], large_rgb[1090:, 1290:])
        green = slide.read(0, 0, 50, 50, 0.499, channels=[1])
        np.testing.assert_array_equal(green[..., 0], large_rgb[:50, :50, 1])


def test_windows_do_not_change_pixels(tmp_path, large_rgb):
    write_aperio(tmp_path / "a.svs", large_rgb)
    with open_slide(tmp_path / "a.svs") as slide:
        whole = slide.read(0, 0, *slide.grid_shape(0.7), 0.7)
        part = slide.read(300, 500, 200, 250, 0.7)
    np.testing.assert_array_equal(part, whole[300:500, 500:750])


def test_missing_pixel_size_names_the_objective(tmp_path, large_rgb):
    write_aperio(tmp_path / "a.svs", large_rgb, APERIO)
    with pytest.raises(PixelSizeError, match=r"a.svs.*only an objective of 20×.*--mpp 0.5"):
        open_slide(tmp_path / "a.svs")


def test_plain_tiff_named_svs_is_read_as_tiff(tmp_path, large_rgb):
    tifffile.imwrite(tmp_path / "a.svs", large_rgb, photometric="rgb")
    with open_slide(tmp_path / "a.svs", mpp=0.5) as slide:
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, 9, 9), large_rgb[:9, :9])
        assert "read as plain TIFF" in slide.warnings[0]


def test_without_openslide_aperio_files_are_still_read(tmp_path, large_rgb, monkeypatch):
    write_aperio(tmp_path / "a.svs", large_rgb)
    monkeypatch.setitem(sys.modules, "openslide", None)
    with open_slide(tmp_path / "a.svs") as slide:
        assert slide.mpp == (0.499, 0.499)
        assert slide.mpp_source == "Aperio metadata"
        assert slide.level_downsamples == ((1, 1), (4, 4))
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, 9, 9), large_rgb[:9, :9])


@pytest.mark.parametrize("name", ["a.mrxs", "a.ndpi", "a.dcm", "a.czi"])
def test_damaged_scanner_files(tmp_path, name):
    (tmp_path / name).write_bytes(b"no slide" * 40)
    with pytest.raises(SlideReadError, match=name):
        open_slide(tmp_path / name, mpp=0.5)


def test_missing_library_says_how_to_install_it(tmp_path, monkeypatch):
    (tmp_path / "a.mrxs").write_bytes(b"no slide" * 40)
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(SlideReadError, match=r"a.mrxs.*pip install openslide-python"):
        open_slide(tmp_path / "a.mrxs", mpp=0.5)


def test_an_error_in_one_place_does_not_spoil_the_others(tmp_path, large_rgb):
    path = tmp_path / "a.svs"
    image = np.vstack([large_rgb, large_rgb])
    write_aperio(path, image)
    with tifffile.TiffFile(path) as tif:
        start, count = tif.pages[0].dataoffsets[0], tif.pages[0].databytecounts[0]
    data = bytearray(path.read_bytes())
    data[start : start + count] = b"\xff" * count
    path.write_bytes(data)
    with open_slide(path) as slide:
        with pytest.raises(SlideReadError, match="a.svs"):
            slide.read_region(0, 0, 0, 50, 50)
        np.testing.assert_array_equal(slide.read_region(1500, 0, 0, 50, 50), image[1500:1550, :50])
