from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from biopsy_ai.slides import open_slide
from napari_plugin import levels as levels_module
from napari_plugin.levels import (
    LabelPyramid,
    LabelTable,
    LastWindow,
    TablePyramid,
    near_rim,
    slide_levels,
)


class OnDisk:
    """A label image that is no array: only slices are read."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels
        self.shape, self.dtype = pixels.shape, pixels.dtype
        self.n_read = 0

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        self.n_read += 1
        return self.pixels[key].copy()

    def __setitem__(self, key: tuple[slice, slice], value: np.ndarray) -> None:
        self.pixels[key] = value


@pytest.fixture
def small_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pyramids of small images."""
    monkeypatch.setattr(levels_module, "LEVEL_PX", 8)
    monkeypatch.setattr(levels_module, "BAND_PX", 16)


def write_slide(path: Path, pixels: np.ndarray, n_reduced: int = 0, **more: object) -> Path:
    with tifffile.TiffWriter(path) as file:
        options = {"tile": (16, 16), "photometric": "rgb", "resolutionunit": "CENTIMETER", **more}
        file.write(pixels, subifds=n_reduced, resolution=(2e4, 2e4), **options)
        for step in (2**i for i in range(1, n_reduced + 1)):
            reduced = pixels[::step, ::step]
            file.write(reduced, subfiletype=1, resolution=(2e4 / step,) * 2, **options)
    return path


def labels_of(shape: tuple[int, int]) -> np.ndarray:
    """Squares of 5 pixels, each with a label of its own."""
    y, x = np.indices(shape)
    return (y // 5 * 100 + x // 5 + 1).astype(np.int32)


def test_levels_of_the_file(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    path = write_slide(tmp_path / "a.tif", pixels, 1)
    with open_slide(path) as slide:
        fine, coarse = slide_levels(slide)
        assert fine.shape == (48, 64, 3)
        assert coarse.shape == (24, 32, 3)
        assert fine.dtype == np.uint8
        np.testing.assert_array_equal(np.asarray(fine[10:30, 7:40]), pixels[10:30, 7:40])
        np.testing.assert_array_equal(np.asarray(coarse), pixels[::2, ::2])


def test_levels_that_the_file_lacks_are_means(tmp_path: Path, small_levels: None) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (32, 64, 3), np.uint8)
    with open_slide(write_slide(tmp_path / "a.tif", pixels)) as slide:
        shapes = [level.shape for level in slide_levels(slide)]
        assert shapes == [(32, 64, 3), (16, 32, 3), (8, 16, 3)]
        half = np.asarray(slide_levels(slide)[1])
    mean = pixels.reshape(16, 2, 32, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(half, mean, atol=0.51)


def test_nothing_is_read_before_it_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_slide(tmp_path / "a.tif", np.zeros((48, 64, 3), np.uint8), 1)
    with open_slide(path) as slide:
        read: list[int] = []
        true_read = slide.read_region

        def counting(y: int, x: int, level: int, height: int, width: int) -> np.ndarray:
            read.append(level)
            return true_read(y, x, level, height, width)

        monkeypatch.setattr(slide, "read_region", counting)
        levels = slide_levels(slide)
        assert not read
        np.asarray(levels[1][:4, :4])
        assert read == [1]


def test_one_channel(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 4000, (2, 40, 50), np.uint16)
    tifffile.imwrite(
        tmp_path / "a.ome.tif", pixels, metadata={"axes": "CYX", "PhysicalSizeX": 0.5}, ome=True
    )
    with open_slide(tmp_path / "a.ome.tif", mpp=0.5) as slide:
        (level,) = slide_levels(slide, 1)
        assert level.shape == (40, 50)
        np.testing.assert_array_equal(np.asarray(level), pixels[1])


@pytest.mark.parametrize("shape", [(64, 64), (61, 53), (9, 100), (40, 3)])
@pytest.mark.parametrize("kind", [np.asarray, OnDisk])
def test_coarse_levels_show_the_pixel_in_the_middle(
    shape: tuple[int, int], kind: type, small_levels: None
) -> None:
    labels = labels_of(shape)
    levels = LabelPyramid(kind(labels)).levels
    assert max(levels[-1].shape) <= 8 or min(levels[-1].shape) <= 1
    for number, level in enumerate(levels):
        step = 2**number
        expected = labels[step // 2 :: step, step // 2 :: step]
        # levels of levels that do not divide evenly may be off by a pixel of the finer one
        seen = np.asarray(level[:, :])
        assert abs(np.subtract(seen.shape, expected.shape)).max() <= 1
        rows, columns = np.minimum(seen.shape, expected.shape)
        if kind is np.asarray:
            np.testing.assert_array_equal(seen[:rows, :columns], expected[:rows, :columns])
        assert np.isin(seen, labels).all()


def test_the_finest_level_is_the_label_image() -> None:
    labels = labels_of((30, 30))
    assert LabelPyramid(labels).levels[0] is labels


@pytest.mark.parametrize("kind", [np.asarray, OnDisk])
def test_levels_follow_what_is_drawn(kind: type, small_levels: None) -> None:
    labels = kind(labels_of((64, 96)))
    pyramid = LabelPyramid(labels)
    before = [np.array(level[:, :]) for level in pyramid.levels]
    labels[16:40, 48:80] = np.int32(9999)
    pyramid.update((16, 48, 40, 80))
    fresh = LabelPyramid(labels)
    for number, (old, level, new) in enumerate(
        zip(before, pyramid.levels, fresh.levels, strict=True)
    ):
        np.testing.assert_array_equal(np.asarray(level[:, :]), np.asarray(new[:, :]))
        assert number > 3 or not np.array_equal(old, np.asarray(level[:, :]))


def test_a_window_is_kept_until_the_labels_change() -> None:
    source = OnDisk(labels_of((200, 200)))
    kept = LastWindow(source)
    first = kept[50:100, 60:90]
    np.testing.assert_array_equal(first, source.pixels[50:100, 60:90])
    np.testing.assert_array_equal(kept[48:102, 58:92], source.pixels[48:102, 58:92])
    assert source.n_read == 1
    source.pixels[60, 70] = 7
    kept.forget()
    assert kept[60:61, 70:71] == 7


def test_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="without steps"):
        LastWindow(OnDisk(labels_of((20, 20))))[::2, ::2]


def test_table_by_label() -> None:
    table = LabelTable(np.uint16)
    table.set(np.array([3, 900]), np.array([7, 300]))
    seen = table[np.array([[0, 3, 4], [900, 901, 10**6]])]
    np.testing.assert_array_equal(seen, [[0, 7, 0], [300, 0, 0]])
    table.set(np.array([4]), 1)
    assert table[np.array([3, 4])].tolist() == [0, 1]
    table.set(np.array([], np.int64), 1)
    assert not table[np.array([0, 3, 4])].any()


def test_labels_too_high_for_a_table() -> None:
    with pytest.raises(ValueError, match="too high"):
        LabelTable().set(np.array([2**31 - 1]), 1)


@pytest.mark.parametrize("kind", [np.asarray, OnDisk])
def test_table_pyramid_follows_table_and_labels(kind: type, small_levels: None) -> None:
    pixels = labels_of((64, 64))
    labels = kind(pixels)
    pyramid = LabelPyramid(labels)
    table = TablePyramid(pyramid)
    coarsest = table.levels[-1]
    assert not coarsest.any()
    table.set(np.array([101]), 3)
    np.testing.assert_array_equal(table.levels[0][:, :] == 3, pixels == 101)
    table.set(np.unique(pixels), 1)
    # the viewer keeps the array that it read first
    assert table.levels[-1] is coarsest
    assert coarsest.all()
    labels[0:64, 0:64] = np.int32(0)
    pyramid.update((0, 0, 64, 64))
    table.update()
    assert not any(np.asarray(level[:, :]).any() for level in table.levels)


def test_rims_are_the_same_in_whatever_window_they_are_seen() -> None:
    labels = np.zeros((60, 60), np.int32)
    labels[5:30, 5:30], labels[31:50, 5:30], labels[5:30, 30:50] = 1, 2, 3
    pyramid = LabelPyramid(labels)
    table = TablePyramid(pyramid, rim_px=2)
    table.set(np.array([1]), 1)
    whole = table._lazy[0][:, :]
    assert whole[5, 5] == 1
    assert whole[6, 15] == 1
    assert whole[15, 29] == 1, "where another fiber touches"
    assert not whole[15, 15]
    assert not whole[labels != 1].any()
    np.testing.assert_array_equal(table._lazy[0][7:20, 4:31], whole[7:20, 4:31])


def test_near_rim_counts_pixels() -> None:
    labels = np.zeros((20, 20), np.int32)
    labels[4:16, 4:16] = 1
    inside = near_rim(labels, 3)[4:16, 4:16]
    assert inside[:3].all()
    assert inside[:, -3:].all()
    assert not inside[3:-3, 3:-3].any()
