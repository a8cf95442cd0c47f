from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from biopsy_ai.formats.contours import fiber_polygons
from biopsy_ai.formats.qupath import EXCLUDED_CLASS, FIBER_CLASS
from biopsy_ai.report.overlay import scale_bar_um, write_overlay


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


def read(path) -> np.ndarray:
    return cv2.imread(str(path))[:, :, ::-1]


def count(image: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((np.abs(image.astype(int) - color).max(axis=2) < 12).sum())


@pytest.mark.parametrize(
    ("width_um", "bar_um"), [(277, 50), (1500, 200), (9999, 1000), (10_000, 2000), (55.0, 10)]
)
def test_the_scale_bar_is_round(width_um: float, bar_um: float) -> None:
    assert scale_bar_um(width_um) == bar_um


def test_outlines_lie_on_the_fibers_in_two_colors(tmp_path, segmentation, drawn_labels) -> None:
    pixels = np.full((*drawn_labels.shape, 3), (240, 150, 190), dtype=np.uint8)
    excluded = segmentation.ids[:10].tolist()
    path = tmp_path / "overlay.png"
    write_overlay(path, slide(pixels), segmentation, excluded=excluded, title="Schnitt $1$ 肌")
    image = read(path)
    rows = round(1200 * drawn_labels.shape[0] / drawn_labels.shape[1])
    assert image.shape[1] == 1200
    assert image.shape[0] > rows
    section, strip = image[:rows], image[rows:]
    assert count(section, FIBER_CLASS[1]) > 3 * count(section, EXCLUDED_CLASS[1]) > 0
    assert count(section, (240, 150, 190)) > 0.5 * section[..., 0].size
    assert count(strip, (0, 0, 0)) > 100  # scale bar
    assert count(strip, FIBER_CLASS[1]) > 0
    assert (strip[-2:] == 255).all()


def test_outlines_are_where_the_fibers_are(tmp_path, segmentation, drawn_labels) -> None:
    write_overlay(tmp_path / "overlay.png", None, segmentation)
    scale = 1200 / drawn_labels.shape[1]
    section = read(tmp_path / "overlay.png")[: int(drawn_labels.shape[0] * scale)]
    lines = section.min(axis=2) < 128
    polygon = dict(fiber_polygons(segmentation.labels, segmentation.ids, segmentation.boxes))[
        segmentation.ids[5]
    ]
    on_line = np.floor(polygon * scale).astype(int)
    inside = (on_line < lines.shape).all(axis=1) & (on_line >= 0).all(axis=1)
    assert lines[tuple(on_line[inside].T)].mean() > 0.9
    assert lines.mean() < 0.3


def test_fluorescence_is_shown_by_its_border_channel(tmp_path, segmentation, drawn_labels) -> None:
    pixels = np.zeros((*drawn_labels.shape, 3), dtype=np.uint16)
    pixels[:, :, 0] = 60_000
    pixels[:, :, 2] = np.where(drawn_labels > 0, 100, 1100)
    image = slide(pixels, is_rgb=False, channels={"border": 2})
    write_overlay(tmp_path / "overlay.png", image, segmentation)
    section = read(tmp_path / "overlay.png")[:900]
    assert count(section, (0, 0, 0)) > 0.4 * section[..., 0].size
    shown = section[(np.ptp(section, axis=2) == 0)]
    assert shown.max() == 255


@pytest.mark.parametrize("shape", [(40, 3000), (3000, 40), (20, 20)])
def test_sections_of_any_shape_have_a_readable_legend(tmp_path, shape) -> None:
    from biopsy_ai.labels import find_boxes
    from biopsy_ai.segmentation.result import Segmentation

    labels = np.zeros(shape, dtype=np.int32)
    labels[5:15, 5:15] = 1
    ids, boxes = find_boxes(labels)
    flags = np.zeros(1, dtype=bool)
    drawn = Segmentation(labels, (1.0, 1.0), ids, boxes, np.ones(1, np.float32), flags, {})
    write_overlay(tmp_path / "overlay.png", None, drawn, title="a long name " * 30)
    image = read(tmp_path / "overlay.png")
    assert image.shape[1] >= 750
    assert max(image.shape) < 2700
