from __future__ import annotations

import struct
import time
import zlib

import numpy as np
import pytest
import tifffile

from biopsy_ai.errors import PixelSizeError, SlideReadError
from biopsy_ai.slides import open_slide


def whole(path, **options):
    with open_slide(path, **{"mpp": 0.5, **options}) as slide:
        return slide.read_region(0, 0, 0, *slide.shape), slide


LAYOUTS = [
    {},
    {"rowsperstrip": 7},
    {"tile": (64, 48)},
    {"compression": "zlib", "predictor": True, "rowsperstrip": 16},
    {"compression": "lzw", "tile": (32, 32)},
    {"compression": "zstd"},
    {"bigtiff": True, "tile": (64, 64), "compression": "zlib"},
    {"byteorder": ">"},
    {"byteorder": ">", "compression": "zlib", "tile": (64, 64)},
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_rgb_and_16_bit_gray_in_any_layout(tmp_path, rgb, gray16, layout):
    tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb", **layout)
    pixels, slide = whole(tmp_path / "a.tif")
    np.testing.assert_array_equal(pixels, rgb)
    assert slide.is_rgb
    tifffile.imwrite(tmp_path / "b.tif", gray16, photometric="minisblack", **layout)
    pixels, slide = whole(tmp_path / "b.tif")
    np.testing.assert_array_equal(pixels[..., 0], gray16)
    assert pixels.dtype == np.uint16
    assert pixels.dtype.isnative
    assert not slide.is_rgb


@pytest.mark.parametrize("layout", [{}, {"tile": (64, 64), "compression": "zlib"}], ids=str)
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("n", [2, 4, 5])
def test_channels_planar_or_interleaved(tmp_path, gray16, layout, planar, n):
    image = np.stack([gray16 // (i + 1) for i in range(n)], axis=2)
    data = image if planar == "contig" else np.moveaxis(image, 2, 0)
    tifffile.imwrite(
        tmp_path / "a.tif", data, photometric="minisblack", planarconfig=planar, **layout
    )
    pixels, slide = whole(tmp_path / "a.tif", channels={"border": n - 1})
    np.testing.assert_array_equal(pixels, image)
    assert not slide.is_rgb
    assert (slide.n_channels, slide.channels) == (n, {"border": n - 1})
    with open_slide(tmp_path / "a.tif", mpp=0.5) as slide:
        some = slide.read(10, 20, 30, 40, 0.5, channels=[n - 1, 0])
    np.testing.assert_array_equal(some, image[10:40, 20:60, [n - 1, 0]])


def test_planar_rgb(tmp_path, rgb):
    tifffile.imwrite(
        tmp_path / "a.tif", np.moveaxis(rgb, 2, 0), photometric="rgb", planarconfig="separate"
    )
    pixels, slide = whole(tmp_path / "a.tif")
    np.testing.assert_array_equal(pixels, rgb)
    assert slide.is_rgb


def test_pages_without_metadata_are_channels(tmp_path, gray16):
    pages = np.stack([gray16, gray16 // 2, gray16 // 3])
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in pages:
            writer.write(page, metadata=None, photometric="minisblack", compression="zlib")
    pixels, slide = whole(tmp_path / "a.tif")
    np.testing.assert_array_equal(pixels, np.moveaxis(pages, 0, 2))
    assert slide.warnings == []


def test_first_plane_of_a_stack_is_used(tmp_path, gray16):
    stack = np.stack([np.stack([gray16 // (2 * z + c + 1) for c in range(2)]) for z in range(3)])
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "ZCYX"})
    pixels, slide = whole(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(pixels, np.moveaxis(stack[0], 0, 2))
    assert "axis Z only the first" in slide.warnings[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.uint32])
def test_other_types(tmp_path, gray16, dtype):
    image = (gray16 // 2).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", image, compression="zlib")
    pixels, slide = whole(tmp_path / "a.tif")
    np.testing.assert_array_equal(pixels[..., 0], image)
    assert slide.dtype == dtype


def test_complex_numbers_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((40, 40), np.complex64))
    with pytest.raises(SlideReadError, match=r"a.tif.*complex64"):
        open_slide(tmp_path / "a.tif", mpp=0.5)


def test_rgba_is_put_on_white(tmp_path, rgb):
    alpha = np.full((*rgb.shape[:2], 1), 255, np.uint8)
    alpha[:40] = 0
    tifffile.imwrite(
        tmp_path / "a.tif", np.dstack([rgb, alpha]), photometric="rgb", extrasamples=["unassalpha"]
    )
    pixels, slide = whole(tmp_path / "a.tif")
    assert (pixels[:40] == 255).all()
    np.testing.assert_array_equal(pixels[40:], rgb[40:])
    assert slide.n_channels == 3


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_fourth_channel_that_is_not_said_to_be_opacity_is_left_out(tmp_path, rgb, planar):
    image = np.dstack([rgb, rgb[..., 0] // 2])
    tifffile.imwrite(
        tmp_path / "a.tif",
        image if planar == "contig" else np.moveaxis(image, 2, 0),
        photometric="rgb",
        planarconfig=planar,
        extrasamples=["unspecified"],
    )
    pixels, slide = whole(tmp_path / "a.tif")
    np.testing.assert_array_equal(pixels, rgb)
    assert slide.is_rgb
    assert any("a.tif: the fourth channel is left out" in text for text in slide.warnings)
    with open_slide(tmp_path / "a.tif", mpp=0.5) as slide:
        blue = slide.read(0, 0, 20, 30, 0.5, channels=[2])
    np.testing.assert_array_equal(blue[..., 0], rgb[:20, :30, 2])


def test_palette(tmp_path, rgb):
    table = np.random.default_rng(0).integers(0, 65536, (3, 256), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", rgb[..., 0], photometric="palette", colormap=table)
    pixels, slide = whole(tmp_path / "a.tif")
    np.testing.assert_array_equal(pixels, (table.T >> 8)[rgb[..., 0]])
    assert slide.is_rgb
    assert slide.dtype == np.uint8


def test_white_is_zero(tmp_path, rgb):
    tifffile.imwrite(tmp_path / "a.tif", rgb[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(whole(tmp_path / "a.tif")[0][..., 0], 255 - rgb[..., 0])


def test_bilevel(tmp_path, rgb):
    mask = rgb[..., 0] > 128
    tifffile.imwrite(tmp_path / "a.tif", mask, photometric="minisblack")
    np.testing.assert_array_equal(whole(tmp_path / "a.tif")[0][..., 0], mask * 255)


def test_jpeg_tiles(tmp_path, rgb):
    pytest.importorskip("imagecodecs")
    smooth = np.repeat(np.repeat(rgb[:15, :13], 10, 0), 10, 1)
    tifffile.imwrite(
        tmp_path / "a.tif", smooth, photometric="rgb", compression="jpeg", tile=(64, 64)
    )
    pixels, slide = whole(tmp_path / "a.tif")
    assert np.abs(pixels.astype(int) - smooth).mean() < 10
    assert slide.is_rgb


def write_pyramid(path, image, *, sub_ifds, **options):
    levels = [image, image[::2, ::2], image[::4, ::4], image[::8, ::8]]
    options = {"photometric": "rgb", "tile": (64, 64), "compression": "zlib", **options}
    with tifffile.TiffWriter(path, ome=sub_ifds) as writer:
        resolution = {"resolution": (2e4, 2e4), "resolutionunit": "CENTIMETER"}
        writer.write(
            levels[0],
            subifds=3 if sub_ifds else None,
            metadata={"axes": "YXS"} if sub_ifds else None,
            **resolution,
            **options,
        )
        for level in levels[1:]:
            writer.write(level, subfiletype=1, metadata=None, **options)


@pytest.fixture
def large_rgb():
    return np.random.default_rng(3).integers(0, 256, (601, 503, 3), dtype=np.uint8)


@pytest.mark.parametrize("sub_ifds", [True, False])
def test_pyramids(tmp_path, large_rgb, sub_ifds):
    write_pyramid(tmp_path / "a.tif", large_rgb, sub_ifds=sub_ifds)
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.level_shapes == ((601, 503), (301, 252), (151, 126), (76, 63))
        # Sizes are rounded up; the levels are halves all the same.
        assert slide.level_downsamples == ((1, 1), (2, 2), (4, 4), (8, 8))
        assert slide.mpp == (0.5, 0.5)
        for level in range(4):
            step = 2**level
            np.testing.assert_array_equal(
                slide.read_region(40, 80, level, 30, 20),
                large_rgb[40::step, 80::step][:30, :20],
            )
        # 2 µm is read from the third level (which was not averaged, so that it shows).
        np.testing.assert_array_equal(
            slide.read(5, 3, 20, 10, 2.0), large_rgb[::4, ::4][5:25, 3:13]
        )
        # Nothing is read from a coarser level than wanted.
        averaged = large_rgb[:600, :500:].astype(float)[:, :, 0].reshape(200, 3, 500).mean(axis=1)
        got = slide.read(0, 0, 100, 50, 1.5)[..., 0]
        assert got.shape == (100, 50)
        assert averaged.std() > 0
        finer = large_rgb[::2, ::2].astype(float)
        assert got[0, 0] == pytest.approx(
            (finer[0, 0, 0] + finer[0, 1, 0] / 2 + finer[1, 0, 0] / 2 + finer[1, 1, 0] / 4) / 2.25
        )


def test_labels_and_macros_are_no_levels(tmp_path, large_rgb):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for image in (large_rgb, large_rgb[::2, ::2], large_rgb[:100, :300], large_rgb[:90, :90]):
            writer.write(image, photometric="rgb", tile=(64, 64), metadata=None)
    _, slide = whole(tmp_path / "a.tif")
    assert slide.level_shapes == ((601, 503), (301, 252))


def test_missing_tiles_are_empty(tmp_path):
    def tiles():
        for i in range(4):
            yield zlib.compress(bytes([100]) * (64 * 64 * 3)) if i == 1 else b""

    tifffile.imwrite(
        tmp_path / "a.tif", tiles(), shape=(128, 128, 3), dtype=np.uint8, tile=(64, 64),
        photometric="rgb", compression="zlib",
    )  # fmt: skip
    pixels, _ = whole(tmp_path / "a.tif")
    assert (pixels[:64, 64:] == 100).all()
    assert (pixels[64:] == 255).all()


# Pixel size


def test_pixel_size_from_ome(tmp_path, gray16):
    metadata = {
        "axes": "CYX",
        "PhysicalSizeX": 650,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.325,
        "PhysicalSizeYUnit": "µm",
        "Channel": {"Name": ["DAPI", "laminin"]},
    }
    tifffile.imwrite(tmp_path / "a.ome.tif", np.stack([gray16] * 2), metadata=metadata)
    with open_slide(tmp_path / "a.ome.tif") as slide:
        assert slide.mpp == pytest.approx((0.325, 0.65))
        assert slide.mpp_source == "OME metadata"
        assert slide.channel_names == ("DAPI", "laminin")
        assert slide.name == "a"


@pytest.mark.parametrize("size", ["0", "-0.5", "nan", "12", "x"])
def test_absurd_ome_pixel_size(tmp_path, gray16, size):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, gray16, metadata={"axes": "YX", "PhysicalSizeX": 0.123456789})
    data = path.read_bytes()
    assert b"0.123456789" in data
    path.write_bytes(data.replace(b"0.123456789", size.encode().ljust(11)))
    with pytest.raises(PixelSizeError, match=r"a.ome.tif.*OME metadata.*implausible"):
        open_slide(path)
    with open_slide(path, mpp=0.5) as slide:
        assert slide.mpp == (0.5, 0.5)


@pytest.mark.parametrize(
    ("resolution", "unit", "mpp"),
    [((2e4, 1e4), "CENTIMETER", (1.0, 0.5)), ((50800, 50800), "INCH", (0.5, 0.5))],
)
def test_pixel_size_from_tags(tmp_path, rgb, resolution, unit, mpp):
    tifffile.imwrite(
        tmp_path / "a.tif", rgb, photometric="rgb", resolution=resolution, resolutionunit=unit
    )
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.mpp == pytest.approx(mpp)
        assert slide.mpp_source == "TIFF resolution"


@pytest.mark.parametrize(
    ("resolution", "unit"),
    [((300, 300), "INCH"), ((1, 1), "NONE"), ((2e4, 2e4), "NONE"), ((0, 0), "CENTIMETER")],
)
def test_no_pixel_size_in_tags(tmp_path, rgb, resolution, unit):
    tifffile.imwrite(
        tmp_path / "a.tif", rgb, photometric="rgb", resolution=resolution, resolutionunit=unit
    )
    with pytest.raises(PixelSizeError, match=r"a.tif: the file states no pixel size.*--mpp 0.5"):
        open_slide(tmp_path / "a.tif")


@pytest.mark.parametrize("unit", ["micron", "um", "\\u00B5m"])
def test_pixel_size_from_imagej(tmp_path, gray16, unit):
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.stack([gray16] * 3),
        imagej=True,
        resolution=(2.0, 4.0),
        metadata={"unit": unit, "axes": "CYX"},
    )
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.mpp == pytest.approx((0.25, 0.5))
        assert slide.mpp_source == "ImageJ metadata"
        assert slide.n_channels == 3
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, 150, 130)[..., 2], gray16)


# Damaged files


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("kept", [0.03, 0.5, 0.95])
def test_truncated(tmp_path, rgb, layout, kept):
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, rgb, photometric="rgb", **layout)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(SlideReadError, match=r"cut.tif"):
        whole(path)


def test_corrupt_header(tmp_path, rgb):
    path = tmp_path / "bad.tif"
    tifffile.imwrite(path, rgb, photometric="rgb")
    data = bytearray(path.read_bytes())
    data[4:8] = struct.pack("<I", 2**31)
    path.write_bytes(data)
    with pytest.raises(SlideReadError, match="bad.tif"):
        whole(path)


def test_damaged_tiles_are_reported_when_read(tmp_path, rgb):
    path = tmp_path / "bad.tif"
    tifffile.imwrite(path, rgb, photometric="rgb", tile=(64, 64), compression="zlib")
    with tifffile.TiffFile(path) as tif:
        start = tif.pages[0].dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[start : start + 60] = b"\xff" * 60
    path.write_bytes(data)
    with open_slide(path, mpp=0.5) as slide:
        np.testing.assert_array_equal(slide.read_region(70, 70, 0, 50, 50), rgb[70:120, 70:120])
        with pytest.raises(SlideReadError, match="bad.tif"):
            slide.read_region(0, 0, 0, 50, 50)


def write_header(path, width, height, n_bytes=100, compression=8, photometric=1):
    """Write a TIFF with one strip whatever its size."""
    tags = [
        (256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, compression),
        (262, 3, photometric), (273, 4, 200), (277, 3, 1), (278, 4, height), (279, 4, n_bytes),
    ]  # fmt: skip
    ifd = struct.pack("<H", len(tags))
    for code, kind, value in tags:
        ifd += struct.pack("<HHI", code, kind, 1) + struct.pack("<I", value)
    data = struct.pack("<2sHI", b"II", 42, 8) + ifd + struct.pack("<I", 0)
    path.write_bytes(data.ljust(200, b"\0") + b"x" * n_bytes)


@pytest.mark.parametrize(
    ("width", "height", "compression"),
    [(10_000, 10_000, 8), (2**31, 2**31, 8), (2**31, 2**31, 1), (100_000, 100_000, 5)],
)
def test_absurd_dimensions_do_not_allocate(tmp_path, width, height, compression):
    write_header(tmp_path / "bomb.tif", width, height, compression=compression)
    with pytest.raises(SlideReadError, match="bomb.tif"):
        open_slide(tmp_path / "bomb.tif", mpp=0.5)


def test_unsupported_color_space(tmp_path):
    write_header(tmp_path / "lab.tif", 10, 10, photometric=8, compression=1)
    with pytest.raises(SlideReadError, match=r"lab.tif.*CIELAB.*RGB"):
        open_slide(tmp_path / "lab.tif", mpp=0.5)


def test_large_pyramid_opens_at_once_and_is_never_loaded(tmp_path):
    path = tmp_path / "large.tif"
    tile = zlib.compress(np.full((512, 512, 3), 180, np.uint8).tobytes())
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for i, size in enumerate((40_000, 20_000, 10_000, 5_000)):
            writer.write(
                (tile for _ in range((-(-size // 512)) ** 2)),
                shape=(size, size, 3),
                dtype=np.uint8,
                tile=(512, 512),
                photometric="rgb",
                compression="zlib",
                subfiletype=int(i > 0),
                metadata=None,
            )
    start = time.perf_counter()
    with open_slide(path, mpp=0.25) as slide:
        assert time.perf_counter() - start < 1
        assert slide.level_count == 4
        decoded = []
        decode = slide._source._decode
        slide._source._decode = lambda *args: decoded.append(args) or decode(*args)
        assert (slide.read(9_000, 9_000, 1024, 1024, 0.5) == 180).all()
        assert len(decoded) <= 9
        assert all(level.shape == (20_000, 20_000) for level, *_ in decoded)
