from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from drawn_fibers import segmentation_of

from biopsy_ai.report.backdrop import read_backdrop


class DrawnSlide(SimpleNamespace):
    """A slide whose pixels are given."""

    def grid_shape(self, mpp: float) -> tuple[int, int]:
        rows, columns = self.pixels.shape[:2]
        return round(rows * self.mpp[0] / mpp), round(columns * self.mpp[1] / mpp)

    def read(self, y, x, height, width, mpp, *, channels=None):
        assert (y, x) == (0, 0)
        picked = self.pixels if channels is None else self.pixels[:, :, channels]
        size = (width, height)
        image = cv2.resize(picked, size, interpolation=cv2.INTER_NEAREST)
        return image.reshape(height, width, -1).astype(np.float32)


def slide(pixels: np.ndarray, **attributes) -> DrawnSlide:
    values = {"is_rgb": True, "channels": {}, "mpp": (0.5, 0.5), **attributes}
    return DrawnSlide(pixels=pixels, dtype=pixels.dtype, shape=pixels.shape[:2], **values)


def test_small_sections_are_enlarged_and_large_ones_bounded(segmentation) -> None:
    height, width = segmentation.labels.shape
    small = read_backdrop(None, segmentation)
    assert small.pixels.shape == (1200 * height // width, 1200, 3)
    assert small.mpp == pytest.approx(width * 0.5 / 1200)
    large = segmentation_of(np.ones((4000, 9000), np.int32))
    pixels = read_backdrop(None, large).pixels
    assert pixels.shape[1] == 2400
    assert pixels.shape[0] * pixels.shape[1] <= 4_000_000


def test_without_a_slide_it_is_white(segmentation) -> None:
    assert (read_backdrop(None, segmentation).pixels == 255).all()


def test_fluorescence_is_shown_by_its_border_channel(segmentation, drawn_labels) -> None:
    pixels = np.zeros((*drawn_labels.shape, 3), dtype=np.uint16)
    pixels[:, :, 0] = 60_000
    pixels[:, :, 2] = np.where(drawn_labels > 0, 100, 1100)
    image = slide(pixels, is_rgb=False, channels={"border": 2})
    shown = read_backdrop(image, segmentation).pixels
    assert (np.ptp(shown, axis=2) == 0).all()
    assert (shown == 0).mean() > 0.4
    assert shown.max() == 255
