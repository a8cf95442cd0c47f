from __future__ import annotations

import math
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.io
import tifffile
import zarr
from scipy import ndimage

from biopsy_ai import labels as label_room
from biopsy_ai.errors import OutlineReadError
from biopsy_ai.formats import label_image, tiled_tiff
from biopsy_ai.formats.label_image import (
    load_label_image,
    read_label_image,
    write_label_image,
)
from biopsy_ai.packed_labels import PackedLabels


def write_png(path: Path, image: np.ndarray) -> None:
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())


@pytest.mark.parametrize("shape", [(1, 1), (700, 1100), (512, 1024), (1030, 40)])
def test_labels_and_pixel_size_survive_the_round_trip(tmp_path, shape: tuple[int, int]) -> None:
    y, x = np.indices(shape)
    labels = ((y // 30) * 100_000 + x // 20 * (y % 30 > 4)).astype(np.int32)
    path = tmp_path / "fibers ä.tif"
    write_label_image(path, labels, (0.5, 0.25))
    read, mpp = read_label_image(path)
    assert read.dtype == np.int32
    np.testing.assert_array_equal(read, labels)
    assert mpp == pytest.approx((0.5, 0.25))


def test_the_file_is_a_tiled_compressed_ome_tiff_that_others_read(tmp_path, drawn_labels) -> None:
    path = tmp_path / "fibers.tif"
    write_label_image(path, drawn_labels, (0.5, 0.5))
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        assert file.is_ome
        assert not file.is_bigtiff
        assert page.tile == (512, 512)
        assert page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        assert page.dtype == np.int32
        assert file.series[0].axes == "YX"
        assert 'PhysicalSizeX="0.5" PhysicalSizeXUnit="µm"' in file.ome_metadata
        assert page.resolution == (20_000, 20_000)
    np.testing.assert_array_equal(skimage.io.imread(path), drawn_labels)
    assert path.stat().st_size < 40_000


def test_large_files_are_bigtiff_and_read_lazily(tmp_path, monkeypatch, drawn_labels) -> None:
    stored = zarr.create_array(
        zarr.storage.MemoryStore(), shape=drawn_labels.shape, chunks=(64, 64), dtype="int32"
    )
    stored[:] = drawn_labels
    monkeypatch.setattr(tiled_tiff, "BIGTIFF_BYTES", 1000)
    monkeypatch.setattr(label_room, "IN_MEMORY_PX", 1000)
    path = tmp_path / "fibers.tif"
    write_label_image(path, stored, (0.5, 0.5))
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff
    read, _ = read_label_image(path)
    assert isinstance(read, PackedLabels)
    np.testing.assert_array_equal(read[10:90, 20:100], drawn_labels[10:90, 20:100])
    np.testing.assert_array_equal(read[:], drawn_labels)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib", "tile": (64, 64)},
        {"compression": "zlib", "rowsperstrip": 7},
        {"compression": "zlib", "rowsperstrip": 8000},
        {"ome": True, "metadata": {"axes": "YX"}},
        {"imagej": True},
    ],
)
def test_large_files_of_any_layout_are_read_by_parts(
    tmp_path, monkeypatch, drawn_labels, options: dict
) -> None:
    monkeypatch.setattr(label_room, "IN_MEMORY_PX", 1000)
    monkeypatch.setattr(label_image, "BAND_PX", 50)
    tifffile.imwrite(tmp_path / "labels.tif", drawn_labels.astype(np.uint16), **options)
    read, _ = read_label_image(tmp_path / "labels.tif")
    np.testing.assert_array_equal(read[:], drawn_labels)


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "uint32", "uint64", "int16", "int64", "float32", "float64"]
)
def test_every_number_type_is_read(tmp_path, dtype: str) -> None:
    labels = np.zeros((30, 40), dtype=dtype)
    labels[2:10, 2:10], labels[2:10, 10:20] = 3, 100
    tifffile.imwrite(tmp_path / "masks.tif", labels)
    read, mpp = read_label_image(tmp_path / "masks.tif")
    assert read.dtype == np.int32
    np.testing.assert_array_equal(read, labels)
    assert mpp is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_is_read(tmp_path, dtype) -> None:
    labels = np.zeros((30, 40), dtype=dtype)
    labels[2:10, 2:10], labels[2:10, 10:20] = 3, np.iinfo(dtype).max
    write_png(tmp_path / "Etikett ö_cp_masks.png", labels)
    np.testing.assert_array_equal(read_label_image(tmp_path / "Etikett ö_cp_masks.png")[0], labels)


def test_gray_stored_as_color_is_read_and_colors_are_refused(tmp_path) -> None:
    labels = np.zeros((30, 40, 3), dtype=np.uint8)
    labels[2:10, 2:10], labels[12:20, 2:10] = 3, 9
    write_png(tmp_path / "gray.png", labels)
    tifffile.imwrite(tmp_path / "gray.tif", labels, photometric="rgb")
    tifffile.imwrite(
        tmp_path / "planar.tif", np.moveaxis(labels, 2, 0), photometric="rgb", planarconfig=2
    )
    for name in ("gray.png", "gray.tif", "planar.tif"):
        np.testing.assert_array_equal(read_label_image(tmp_path / name)[0], labels[:, :, 0])
    labels[2:10, 2:10] = (255, 0, 3)
    write_png(tmp_path / "color.png", labels)
    tifffile.imwrite(tmp_path / "color.tif", labels, photometric="rgb")
    for name in ("color.png", "color.tif"):
        with pytest.raises(OutlineReadError, match=rf"{name}: is a color image.*16-bit"):
            read_label_image(tmp_path / name)


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_is_taken_apart_into_its_parts(tmp_path, value: int) -> None:
    mask = np.zeros((30, 40), dtype=np.uint8)
    mask[2:10, 2:10] = mask[10:14, 10:14] = mask[20:25, 5:9] = value
    tifffile.imwrite(tmp_path / "mask.tif", mask)
    file = load_label_image(tmp_path / "mask.tif")
    assert file.from_mask
    # parts that touch at a corner are two
    np.testing.assert_array_equal(file.labels, ndimage.label(mask)[0])
    assert file.labels.max() == 3


def test_a_bilevel_image_is_a_mask(tmp_path) -> None:
    mask = np.zeros((30, 40), dtype=bool)
    mask[2:10, 2:10] = mask[20:25, 5:9] = True
    tifffile.imwrite(tmp_path / "mask.tif", mask)
    assert load_label_image(tmp_path / "mask.tif").labels.max() == 2


def test_one_label_among_many_numbers_stays_one(tmp_path) -> None:
    labels = np.zeros((30, 40), dtype=np.uint8)
    labels[2:10, 2:10] = labels[20:25, 5:9] = 17
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    file = load_label_image(tmp_path / "labels.tif")
    assert not file.from_mask
    np.testing.assert_array_equal(file.labels, labels)


@pytest.mark.parametrize("unit", ["OME", "ImageJ", "cm", "dpi", "none"])
def test_the_pixel_size_is_taken_where_it_stands(tmp_path, unit: str) -> None:
    labels = np.zeros((30, 40), dtype=np.uint16)
    labels[2:10, 2:10], labels[2:10, 10:20] = 3, 4
    options: dict = {
        "OME": {
            "ome": True,
            "metadata": {"axes": "YX", "PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm"},
        },
        "ImageJ": {"imagej": True, "resolution": (4, 4), "metadata": {"unit": "micron"}},
        "cm": {"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"},
        "dpi": {"resolution": (72, 72), "resolutionunit": "INCH"},
        "none": {},
    }[unit]
    tifffile.imwrite(tmp_path / "labels.tif", labels, **options)
    _, mpp = read_label_image(tmp_path / "labels.tif")
    assert mpp == (None if unit in ("dpi", "none") else pytest.approx((0.25, 0.25)))


def test_the_first_level_of_a_pyramid_and_single_planes_of_stacks_are_read(tmp_path) -> None:
    labels = np.zeros((64, 80), dtype=np.uint16)
    labels[2:40, 2:40], labels[2:40, 50:70] = 3, 4
    with tifffile.TiffWriter(tmp_path / "pyramid.ome.tif") as writer:
        writer.write(labels, subifds=1, tile=(32, 32))
        writer.write(labels[::2, ::2], subfiletype=1, tile=(32, 32))
    tifffile.imwrite(tmp_path / "plane.tif", labels[None, None], imagej=True)
    for name in ("pyramid.ome.tif", "plane.tif"):
        np.testing.assert_array_equal(read_label_image(tmp_path / name)[0], labels)


def photograph() -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=(80, 90))
    smooth = ndimage.gaussian_filter(noise, 2)
    return np.uint8(np.interp(smooth, (smooth.min(), smooth.max()), (20, 250)))


NEGATIVE = np.full((9, 9), -1, dtype=np.int16)
FRACTIONS = np.full((9, 9), 0.5, dtype=np.float32)
NOT_A_NUMBER = np.full((9, 9), np.nan, dtype=np.float32)
HUGE = np.full((9, 9), 2**31, dtype=np.uint32)
STACK = np.ones((5, 9, 9), dtype=np.uint8)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (NEGATIVE, "negative"),
        (FRACTIONS, "fractions"),
        (NOT_A_NUMBER, "fractions"),
        (HUGE, "above"),
        (STACK, "stack"),
        (NEGATIVE.astype(complex), "complex"),
        (photograph(), "photograph"),
    ],
)
def test_what_is_no_label_image_is_refused_with_advice(tmp_path, image, reason: str) -> None:
    tifffile.imwrite(tmp_path / "labels.tif", image, photometric="minisblack")
    with pytest.raises(OutlineReadError, match=rf"labels\.tif: .*{reason}"):
        read_label_image(tmp_path / "labels.tif")


def test_damaged_and_foreign_files_are_reported_by_name(tmp_path, drawn_labels) -> None:
    good = tmp_path / "good.tif"
    write_label_image(good, drawn_labels, (0.5, 0.5))
    write_png(tmp_path / "good.png", drawn_labels.astype(np.uint16))
    jpeg = cv2.imencode(".jpg", drawn_labels.astype(np.uint8))[1].tobytes()
    damaged = {
        "empty.tif": b"",
        "text.tif": b"label,area\n",
        "header.tif": good.read_bytes()[:20],
        "cut.tif": good.read_bytes()[:6000],
        "cut.png": (tmp_path / "good.png").read_bytes()[:40],
        "photo.jpg": jpeg,
    }
    for name, data in damaged.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(OutlineReadError, match=name):
            read_label_image(tmp_path / name)
    with pytest.raises(OutlineReadError, match="nothing.tif"):
        read_label_image(tmp_path / "nothing.tif")
    with pytest.raises(OutlineReadError, match="cannot be read"):
        read_label_image(tmp_path)


def test_an_image_of_absurd_size_is_refused_before_it_is_read(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(label_image, "MAX_PX", 100)
    monkeypatch.setattr(label_room, "IN_MEMORY_PX", 100)
    tifffile.imwrite(tmp_path / "bomb.tif", np.zeros((20, 20), np.uint8))
    write_png(tmp_path / "bomb.png", np.zeros((20, 20), np.uint8))
    for name in ("bomb.tif", "bomb.png"):
        with pytest.raises(OutlineReadError, match=f"{name}.*too large"):
            read_label_image(tmp_path / name)


def zeros(n_bytes: int) -> bytes:
    """Deflate zeros, a multiple of a million, without ever holding all of them."""
    million = 1_000_000
    pack = zlib.compressobj(9)
    start = pack.compress(bytes(million)) + pack.flush(zlib.Z_FULL_FLUSH)
    again = pack.compress(bytes(million)) + pack.flush(zlib.Z_FULL_FLUSH)
    # The checksum of zeros: 1, and how many they are.
    checksum = (n_bytes % 65521 << 16 | 1).to_bytes(4, "big")
    return start + again * (n_bytes // million - 1) + b"\x03\x00" + checksum


@pytest.mark.parametrize(
    ("shape", "layout", "n_parts"),
    [
        ((60_000, 60_000), {"rowsperstrip": 60_000}, 1),
        ((1, 3_000_000_000), {"rowsperstrip": 1}, 1),
        ((48_000, 50_000), {"tile": (48_000, 50_000)}, 1),
        # A row of tiles is decoded at once, and so are all colors.
        ((20_000, 100_000), {"tile": (20_000, 20_000)}, 5),
        ((7_000, 9_000, 40), {"rowsperstrip": 7_000, "planarconfig": 1}, 1),
        ((3, 25_000, 25_000), {"rowsperstrip": 25_000, "planarconfig": 2}, 3),
    ],
)
def test_what_would_take_gigabytes_to_decode_is_refused(
    tmp_path, shape: tuple[int, ...], layout: dict, n_parts: int
) -> None:
    path = tmp_path / "bomb.tif"
    layout |= {"compression": "zlib", "photometric": "rgb" if len(shape) == 3 else "minisblack"}
    part = zeros(math.prod(shape) // n_parts)
    tifffile.imwrite(path, iter([part] * n_parts), shape=shape, dtype=np.uint8, **layout)
    assert path.stat().st_size < 4_000_000
    with pytest.raises(OutlineReadError, match=r"bomb\.tif: .* GB.*tiled TIFF"):
        read_label_image(path)
