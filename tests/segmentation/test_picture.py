from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import ArrayLike, NDArray
from segmentation.drawn_maps import MapSlide

import biopsy_ai.slides
from biopsy_ai.errors import ChannelError
from biopsy_ai.segmentation.picture import PictureReader, border_channel, is_fluorescent, normalize
from biopsy_ai.slides import open_slide


@pytest.fixture
def slide() -> Any:
    rng = np.random.default_rng(0)
    return MapSlide(tuple(rng.uniform(0, 255, (3, 300, 200)).astype(np.float32)))


def test_range_becomes_zero_to_one() -> None:
    image = np.array([[[20.0, 120.0, 220.0]]], np.float32)
    assert normalize(image, 20, 220) == pytest.approx(np.array([[[0, 0.5, 1]]]))
    assert image[0, 0, 0] == 20


def test_extremes_are_cut_off() -> None:
    image = np.array([[[0.0, 1000.0, 100.0]]])
    assert normalize(image, 100, 200)[0, 0].tolist() == [-0.25, 1.5, 0]


def test_all_integer_types_and_large_images() -> None:
    image = np.arange(300 * 400, dtype=np.uint16).reshape(300, 400, 1) % 4096
    expected = np.clip(image / 4095.0, -0.25, 1.5)
    assert normalize(image, 0, 4095) == pytest.approx(expected, abs=1e-5)


def test_flat_range_does_not_divide_by_zero() -> None:
    assert np.isfinite(normalize(np.full((2, 2, 3), 7.0), 7, 7)).all()


def test_color_stays_color(slide: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    span = (np.zeros(3, np.float32), np.full(3, 255, np.float32))
    monkeypatch.setattr(biopsy_ai.slides, "intensity_range", lambda slide, tissue=None: span)
    reader = PictureReader.of_slide(slide, 0.5)
    assert reader.channel is None
    window = reader.read(10, 20, 64, 128)
    assert window.dtype == np.float32
    assert window == pytest.approx(slide.pixels[10:74, 20:148] / 255, abs=1e-5)


def test_beyond_the_slide_is_its_mirror_image(slide: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    span = (np.zeros(3, np.float32), np.full(3, 255, np.float32))
    monkeypatch.setattr(biopsy_ai.slides, "intensity_range", lambda slide, tissue=None: span)
    window = PictureReader.of_slide(slide, 0.5).read(256, 128, 64, 128)
    assert window.shape == (64, 128, 3)
    assert (window[44:63] == window[42:23:-1]).all()
    assert (window[:, 72:127] == window[:, 70:15:-1]).all()
    assert window[:44, :72] == pytest.approx(slide.pixels[256:, 128:] / 255, abs=1e-5)


def test_border_channel_is_shown_in_all_three(slide: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    span = (np.array([0, 10, 20], np.float32), np.array([100, 110, 220], np.float32))
    monkeypatch.setattr(biopsy_ai.slides, "intensity_range", lambda slide, tissue=None: span)
    slide.channels = {"border": 2}
    reader = PictureReader.of_slide(slide, 0.5)
    assert (reader.channel, reader.low, reader.high) == (2, 20, 220)
    window = reader.read(0, 0, 64, 64)
    assert window.shape == (64, 64, 3)
    expected = (slide.pixels[:64, :64, 2] - 20) / 200
    for channel in range(3):
        assert window[..., channel] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("channels", "is_rgb", "n_channels", "expected"),
    [
        ({}, False, 1, 0),
        ({"border": 3}, False, 4, 3),
        ({"border": 0}, True, 3, 0),
    ],
)
def test_which_channel_is_used(
    channels: dict[str, int], is_rgb: bool, n_channels: int, expected: int | None, slide: Any
) -> None:
    slide.channels, slide.is_rgb, slide.n_channels = channels, is_rgb, n_channels
    assert border_channel(slide) == expected


def test_color_image_of_fluorescence(slide: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    dark = np.zeros((40, 40, 3), np.float32)
    dark[0, :10] = 1
    monkeypatch.setattr(slide, "thumbnail", lambda mpp: (dark, mpp))
    assert border_channel(slide) == 0
    colored = dark * np.array([0, 1, 0.5], np.float32)
    monkeypatch.setattr(slide, "thumbnail", lambda mpp: (colored, mpp))
    with pytest.raises(ChannelError, match="saved as a color image"):
        border_channel(slide)
    slide.channels = {"border": 1}
    assert border_channel(slide) == 1


def test_stain_of_the_user_makes_fluorescence_of_a_color_image(slide: Any) -> None:
    assert border_channel(slide, "he") is None
    assert border_channel(slide, "if") == 0


def write_color(path: Path, *planes: ArrayLike) -> Path:
    """A color image whose thumbnail shows the planes as they are."""
    pixels = np.stack([np.kron(plane, np.ones((8, 8))) for plane in planes], axis=2)
    tifffile.imwrite(path, pixels.astype(np.uint8), photometric="rgb")
    return path


@pytest.fixture
def planes() -> NDArray[np.int64]:
    """Signal of three channels on black, of different strength."""
    signal = np.random.default_rng(1).integers(0, 60, (3, 20, 30))
    return signal * np.array([1, 2, 4])[:, None, None] * (np.arange(30) % 3 == 0)


def test_color_fluorescence_needs_a_named_border(tmp_path: Path, planes: Any) -> None:
    path = write_color(tmp_path / "merged.tif", *planes)
    expected = r"merged\.tif.*0 \(red\), 1 \(green\), 2 \(blue\).*--channels border=1"
    with open_slide(path, mpp=0.5) as dark, pytest.raises(ChannelError, match=expected):
        PictureReader.of_slide(dark, 0.5)
    path = write_color(tmp_path / "merged.tif", *(255 - planes))
    with open_slide(path, mpp=0.5) as bright:
        assert border_channel(bright) is None
        assert border_channel(bright, "he") is None
        with pytest.raises(ChannelError, match=expected):
            PictureReader.of_slide(bright, 0.5, stain="if")


def test_a_bright_field_stain_settles_what_is_dark(tmp_path: Path, planes: Any) -> None:
    """A very dark slide; its color takes one range, like that of any other."""
    path = write_color(tmp_path / "dark.tif", *planes // 4)
    with open_slide(path, mpp=0.5) as slide:
        with pytest.raises(ChannelError, match=r"--stain he\."):
            border_channel(slide)
        assert border_channel(slide, "he") is None
        assert not is_fluorescent(slide, "he")
        reader = PictureReader.of_slide(slide, 0.5, stain="he")
        window = reader.read(0, 0, 160, 240)
        assert not np.array_equal(window[..., 0], window[..., 2])
    assert (reader.channel, reader.low) == (None, 0)
    assert reader.high == pytest.approx(np.percentile(planes[2] // 4, 99.5), abs=1)


def test_three_gray_channels_of_a_bright_field_stain_are_color(tmp_path: Path, planes: Any) -> None:
    pixels = np.stack([np.kron(255 - plane, np.ones((8, 8))) for plane in planes])
    path = tmp_path / "planar.tif"
    tifffile.imwrite(path, pixels.astype(np.uint8), photometric="minisblack")
    with open_slide(path, mpp=0.5) as slide:
        assert (slide.is_rgb, slide.n_channels) == (False, 3)
        assert border_channel(slide, "trichrome") is None
        assert PictureReader.of_slide(slide, 0.5, stain="trichrome").read(0, 0, 9, 9).shape[2] == 3
        for stain in ("auto", "if"):
            with pytest.raises(ChannelError, match="has 3 channels"):
                border_channel(slide, stain)


def test_named_border_of_a_color_image_is_used_alone(tmp_path: Path, planes: Any) -> None:
    path = write_color(tmp_path / "merged.tif", *planes)
    with open_slide(path, mpp=0.5, channels={"border": 1}) as slide:
        reader = PictureReader.of_slide(slide, 0.5, stain="if")
        window = reader.read(0, 0, 160, 240)
    low, high = np.percentile(planes[1], (0.5, 99.5))
    assert (reader.channel, reader.low, reader.high) == (1, low, high)
    expected = np.kron(planes[1], np.ones((8, 8))) / high
    for channel in range(3):
        assert window[..., channel] == pytest.approx(np.clip(expected, -0.25, 1.5), abs=1e-5)


@pytest.mark.parametrize("stain", ["auto", "if"])
def test_gray_saved_as_color_needs_no_name(tmp_path: Path, planes: Any, stain: str) -> None:
    path = write_color(tmp_path / "laminin.tif", *[planes[0]] * 3)
    with open_slide(path, mpp=0.5) as slide:
        window = PictureReader.of_slide(slide, 0.5, stain=stain).read(0, 0, 160, 240)
    expected = np.kron(planes[0], np.ones((8, 8))) / np.percentile(planes[0], 99.5)
    for channel in range(3):
        assert window[..., channel] == pytest.approx(expected, abs=1e-5)


def test_several_channels_need_a_name() -> None:
    slide: Any = SimpleNamespace(
        path="section.tif",
        channels={"nuclei": 0},
        is_rgb=False,
        n_channels=2,
        channel_names=("DAPI", "laminin"),
    )
    with pytest.raises(ChannelError, match=r"section\.tif.*1 \(laminin\)"):
        border_channel(slide)


@pytest.mark.parametrize(
    ("bright", "stain", "expected"),
    [
        (True, "auto", False),
        (True, "atpase", False),
        (True, "if", True),
        (False, "auto", True),
        (False, "he", False),
    ],
)
def test_gray_images_are_bright_field_or_fluorescence(
    tmp_path: Path, planes: Any, bright: bool, stain: str, expected: bool
) -> None:
    plane = np.kron(planes[0], np.ones((8, 8)))
    gray = (255 - plane if bright else plane).astype(np.uint8)
    tifffile.imwrite(tmp_path / "gray.tif", gray)
    with open_slide(tmp_path / "gray.tif", mpp=0.5) as slide:
        assert is_fluorescent(slide, stain) == expected


def test_named_border_and_merged_color_are_fluorescence(tmp_path: Path, planes: Any) -> None:
    path = write_color(tmp_path / "merged.tif", *planes)
    with open_slide(path, mpp=0.5, channels={"border": 1}) as slide:
        assert is_fluorescent(slide)
        assert not is_fluorescent(slide, "he")
    path = write_color(tmp_path / "merged.tif", *(255 - planes))
    with open_slide(path, mpp=0.5) as slide:
        assert not is_fluorescent(slide)
