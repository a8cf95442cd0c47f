from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from biopsy_ai.slides import color


def test_transparency_shows_white():
    image = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 100, 200, 51]]], np.uint8)
    got = color.composite_on_white(image)
    assert got.tolist() == [[[10, 20, 30], [255, 255, 255], [204, 224, 244]]]
    assert got.dtype == np.uint8


def test_premultiplied_transparency():
    image = np.array([[[0, 20, 40, 51]]], np.uint8)
    assert color.composite_on_white(image, premultiplied=True).tolist() == [[[204, 224, 244]]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_transparency_takes_little_memory(dtype, monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (600, 500, 4)).astype(dtype)
    whole = color.composite_on_white(image)
    monkeypatch.setattr(color, "_BAND_PX", 10_000)
    tracemalloc.start()
    by_bands = color.composite_on_white(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(by_bands, whole)
    assert peak < 2 * by_bands.nbytes


def test_cmyk():
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255], [0, 255, 0, 51]]], np.uint8)
    assert color.cmyk_to_rgb(inks).tolist() == [
        [[255, 255, 255], [0, 255, 255], [0, 0, 0], [204, 0, 204]]
    ]


def test_palettes_of_grays_stay_gray():
    ramp = np.arange(256, dtype=np.uint16) * 257
    assert color.palette_table(np.stack([ramp] * 3)).shape == (256, 1)
    assert color.palette_table(np.stack([ramp, ramp, ramp * 0])).shape == (256, 3)
    # Some writers fill the low byte only.
    assert color.palette_table(np.stack([np.arange(256)] * 3))[:, 0].tolist() == list(range(256))
