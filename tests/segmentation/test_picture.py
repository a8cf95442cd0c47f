from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from segmentation.drawn_maps import MapSlide

import biopsy_ai.slides
from biopsy_ai.errors import ChannelError
from biopsy_ai.segmentation.picture import PictureReader, border_channel, normalize


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
        ({}, True, 3, None),
        ({}, False, 1, 0),
        ({"border": 3}, False, 4, 3),
        ({"border": 0}, True, 3, 0),
    ],
)
def test_which_channel_is_used(
    channels: dict[str, int], is_rgb: bool, n_channels: int, expected: int | None
) -> None:
    slide: Any = SimpleNamespace(channels=channels, is_rgb=is_rgb, n_channels=n_channels)
    assert border_channel(slide) == expected


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
