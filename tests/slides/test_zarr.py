from __future__ import annotations

import shutil

import numpy as np
import pytest

from biopsy_ai.errors import PixelSizeError, SlideReadError
from biopsy_ai.slides import open_slide

zarr = pytest.importorskip("zarr", minversion="3")


def write_ome_zarr(path, image, version, scale=0.5, unit="micrometer", omero=None, where=""):
    """Write (c, y, x) as an image with two levels, NGFF 0.4 or 0.5."""
    root = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
    group = root.create_group(where) if where else root
    for level in range(2):
        data = image[:, :: 2**level, :: 2**level]
        array = group.create_array(
            str(level), shape=data.shape, dtype=data.dtype, chunks=(1, 64, 64)
        )
        array[:] = data
    multiscales = {
        "axes": [
            {"name": "c", "type": "channel"},
            {"name": "y", "type": "space", "unit": unit},
            {"name": "x", "type": "space", "unit": unit},
        ],
        "datasets": [
            {
                "path": str(level),
                "coordinateTransformations": [
                    {"type": "scale", "scale": [1, scale * 2**level, scale * 2**level / 2]}
                ],
            }
            for level in range(2)
        ],
    }
    ome = {"multiscales": [multiscales]}
    if omero:
        ome["omero"] = {"channels": omero}
    group.attrs.update(ome if version == "0.4" else {"ome": {"version": "0.5", **ome}})


@pytest.fixture
def planes():
    return np.random.default_rng(0).integers(0, 60000, (4, 301, 203), dtype=np.uint16)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_multichannel(tmp_path, planes, version):
    names = ["DAPI", "I", "IIa", "laminin"]
    omero = [{"label": name, "color": "FFFFFF"} for name in names]
    write_ome_zarr(tmp_path / "a.ome.zarr", planes, version, omero=omero)
    with open_slide(tmp_path / "a.ome.zarr", channels={"border": 3}) as slide:
        assert slide.mpp == (0.5, 0.25)
        assert slide.mpp_source == "OME-Zarr metadata"
        assert slide.channel_names == tuple(names)
        assert slide.level_shapes == ((301, 203), (151, 102))
        assert slide.level_downsamples == ((1, 1), (2, 2))
        assert not slide.is_rgb
        expected = np.moveaxis(planes, 0, 2)
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, 301, 203), expected)
        np.testing.assert_array_equal(
            slide.read_region(20, 40, 1, 30, 20), expected[::2, ::2][10:40, 20:40]
        )
        assert len(slide.sha256()) == 64


def test_hash_changes_with_the_pixels_and_not_with_the_place(tmp_path, planes):
    def digest(name):
        with open_slide(tmp_path / name) as slide:
            return slide.sha256()

    write_ome_zarr(tmp_path / "a.zarr", planes, "0.5")
    (tmp_path / "moved").mkdir()
    shutil.copytree(tmp_path / "a.zarr", tmp_path / "moved" / "b.zarr")
    assert digest("a.zarr") == digest("moved/b.zarr")
    planes[0, 200, 100] += 1
    write_ome_zarr(tmp_path / "b.zarr", planes, "0.5")
    assert digest("a.zarr") != digest("b.zarr")


def test_three_8_bit_channels_are_a_color_image(tmp_path, rgb):
    write_ome_zarr(tmp_path / "a.zarr", np.moveaxis(rgb, 2, 0), "0.5")
    with open_slide(tmp_path / "a.zarr") as slide:
        assert slide.is_rgb
        np.testing.assert_array_equal(slide.read_region(0, 0, 0, *slide.shape), rgb)


def test_image_in_a_subgroup(tmp_path, planes):
    write_ome_zarr(tmp_path / "a.zarr", planes, "0.4", where="0")
    with open_slide(tmp_path / "a.zarr") as slide:
        assert slide.n_channels == 4


def test_scale_without_unit_is_no_pixel_size(tmp_path, planes):
    write_ome_zarr(tmp_path / "a.zarr", planes, "0.4", unit=None)
    with pytest.raises(PixelSizeError, match=r"a.zarr.*no unit of length.*--mpp"):
        open_slide(tmp_path / "a.zarr")


def test_zarr_without_image(tmp_path):
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    with pytest.raises(SlideReadError, match=r"a.zarr.*no OME-Zarr image"):
        open_slide(tmp_path / "a.zarr", mpp=0.5)


def test_damaged_metadata(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text("{no json")
    with pytest.raises(SlideReadError, match="a.zarr"):
        open_slide(tmp_path / "a.zarr", mpp=0.5)


@pytest.mark.parametrize("chunks", [(1, 40_000, 40_000), (4, 20_000, 20_000), (1, 3_000_000, 512)])
def test_chunks_that_take_gigabytes_to_decode_are_refused(tmp_path, planes, chunks):
    write_ome_zarr(tmp_path / "a.zarr", planes, "0.5")
    zarr.open_group(str(tmp_path / "a.zarr")).create_array(
        "0", shape=(4, 40_000, 40_000), chunks=chunks, dtype="uint8", overwrite=True
    )
    with pytest.raises(SlideReadError, match=r"a\.zarr: .*GB.*smaller chunks"):
        open_slide(tmp_path / "a.zarr")


def test_shards_may_be_large(tmp_path, planes):
    write_ome_zarr(tmp_path / "a.zarr", planes, "0.5")
    zarr.open_group(str(tmp_path / "a.zarr")).create_array(
        "0",
        shape=(4, 40_960, 40_960),
        chunks=(1, 512, 512),
        shards=(4, 40_960, 40_960),
        dtype="uint8",
        overwrite=True,
    )
    with open_slide(tmp_path / "a.zarr") as slide:
        assert slide.read_region(5000, 5000, 0, 8, 8).shape == (8, 8, 4)
