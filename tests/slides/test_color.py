from __future__ import annotations

import numpy as np

from biopsy_ai.slides import color


def test_transparency_shows_white():
    image = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 100, 200, 51]]], np.uint8)
    got = color.composite_on_white(image)
    assert got.tolist() == [[[10, 20, 30], [255, 255, 255], [204, 224, 244]]]
    assert got.dtype == np.uint8


def test_premultiplied_transparency():
    image = np.array([[[0, 20, 40, 51]]], np.uint8)
    assert color.composite_on_white(image, premultiplied=True).tolist() == [[[204, 224, 244]]]


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
