from __future__ import annotations

import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from biopsy_ai.errors import PixelSizeError, SlideReadError
from biopsy_ai.slides import open_slide


def whole(path, **options):
    with open_slide(path, **{"mpp": 0.5, **options}) as slide:
        return slide.read_region(0, 0, 0, *slide.shape), slide


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_png_rgb(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / "a.png")
    pixels, slide = whole(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels, rgb)
    assert slide.is_rgb
    assert (slide.n_channels, slide.channel_names) == (3, ("red", "green", "blue"))
    assert (slide.level_count, slide.level_downsamples) == (1, ((1.0, 1.0),))


def test_png_16_bit_gray_stays_gray(tmp_path, gray16):
    Image.fromarray(gray16).save(tmp_path / "a.png")
    pixels, slide = whole(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels[..., 0], gray16)
    assert not slide.is_rgb
    assert (slide.n_channels, slide.dtype, slide.channel_names) == (1, np.uint16, ("gray",))


def test_png_16_bit_rgb_keeps_its_bits(tmp_path, gray16):
    imagecodecs = pytest.importorskip("imagecodecs")
    image = np.stack([gray16, gray16 // 2, gray16 // 3], axis=2)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(image))
    pixels, slide = whole(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels, image)
    assert slide.dtype == np.uint16


def test_png_palette_is_expanded(tmp_path, rgb):
    image = Image.fromarray(rgb).quantize(16)
    image.save(tmp_path / "a.png")
    pixels, slide = whole(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels, np.asarray(image.convert("RGB")))
    assert slide.is_rgb


def test_png_transparency_shows_white(tmp_path, rgb):
    alpha = np.full(rgb.shape[:2], 255, np.uint8)
    alpha[:50] = 0
    Image.fromarray(np.dstack([rgb, alpha])).save(tmp_path / "a.png")
    pixels, _ = whole(tmp_path / "a.png")
    assert (pixels[:50] == 255).all()
    np.testing.assert_array_equal(pixels[50:], rgb[50:])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_gray_with_opacity_is_one_channel(tmp_path, dtype):
    top = np.iinfo(dtype).max
    gray = np.linspace(0, top, 33 * 47).reshape(33, 47).astype(dtype)
    opacity = np.full_like(gray, top)
    opacity[:5] = 0
    image = imagecodecs.png_encode(np.dstack([gray, opacity]))
    (tmp_path / "a.png").write_bytes(image)
    pixels, slide = whole(tmp_path / "a.png")
    assert (slide.n_channels, slide.is_rgb, pixels.dtype) == (1, False, dtype)
    assert (pixels[:5] == top).all()
    np.testing.assert_array_equal(pixels[5:, :, 0], gray[5:])


def test_bilevel_png(tmp_path):
    image = np.indices((40, 50)).sum(axis=0) % 2 == 0
    Image.fromarray(image).save(tmp_path / "a.png")
    pixels, slide = whole(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels[..., 0], image * 255)
    assert slide.n_channels == 1


def test_jpeg_rgb_and_gray(tmp_path, rgb):
    smooth = np.repeat(np.repeat(rgb[:15, :13], 10, 0), 10, 1)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95, subsampling=0)
    pixels, slide = whole(tmp_path / "a.jpg")
    assert np.abs(pixels.astype(int) - smooth).mean() < 3
    assert slide.is_rgb
    Image.fromarray(smooth[..., 0]).save(tmp_path / "g.jpg", quality=95)
    pixels, slide = whole(tmp_path / "g.jpg")
    assert pixels.shape == (150, 130, 1)
    assert not slide.is_rgb


def test_jpeg_cmyk(tmp_path, rgb):
    smooth = np.repeat(np.repeat(rgb[:15, :13], 10, 0), 10, 1)
    Image.fromarray(smooth).convert("CMYK").save(tmp_path / "a.jpg", quality=98)
    pixels, slide = whole(tmp_path / "a.jpg")
    assert np.abs(pixels.astype(int) - smooth).mean() < 6
    assert slide.is_rgb


def test_pixel_size_of_png(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / "fine.png", dpi=(50800, 50800))
    with open_slide(tmp_path / "fine.png") as slide:
        assert slide.mpp == pytest.approx((0.5, 0.5), rel=1e-3)
        assert slide.mpp_source == "PNG resolution"
    Image.fromarray(rgb).save(tmp_path / "print.png", dpi=(300, 300))
    with pytest.raises(PixelSizeError, match=r"print.png.*300 dpi is one for printing.*--mpp"):
        open_slide(tmp_path / "print.png")


@pytest.mark.parametrize("kind", ["png", "jpeg"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9])
def test_truncated(tmp_path, rgb, kind, kept):
    data = io.BytesIO()
    Image.fromarray(rgb).save(data, kind)
    path = tmp_path / f"cut.{kind}"
    path.write_bytes(data.getvalue()[: int(len(data.getvalue()) * kept)])
    with pytest.raises(SlideReadError, match="cut"):
        whole(path)


def test_decompression_bomb(tmp_path):
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    idat = zlib.compress(bytes(1000))
    data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", idat)
    (tmp_path / "bomb.png").write_bytes(data + png_chunk(b"IEND", b""))
    with pytest.raises(SlideReadError, match=r"bomb.png.*60000 × 60000.*pyramidal TIFF"):
        open_slide(tmp_path / "bomb.png", mpp=0.5)


@pytest.mark.parametrize(("bits", "color_type"), [(8, 0), (8, 2), (8, 6), (16, 2), (16, 6)])
def test_channels_and_bits_count_for_the_limit(tmp_path, bits, color_type):
    header = struct.pack(">IIBBBBB", 15000, 15000, bits, color_type, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"x")
    (tmp_path / "large.png").write_bytes(data)
    if bits == 8:
        open_slide(tmp_path / "large.png", mpp=0.5).close()
        return
    with pytest.raises(SlideReadError, match=r"large.png.*\(1\.[48] GB, at most 1\.2 GB\)"):
        open_slide(tmp_path / "large.png", mpp=0.5)


def test_large_but_allowed_header_does_not_hit_the_limit_of_pillow(tmp_path):
    header = struct.pack(">IIBBBBB", 19000, 19000, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"x")
    (tmp_path / "large.png").write_bytes(data)
    with open_slide(tmp_path / "large.png", mpp=0.5) as slide:
        assert slide.shape == (19000, 19000)
