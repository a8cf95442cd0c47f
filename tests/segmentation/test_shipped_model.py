"""The shipped model on a shipped slide: what it finds, and that tiles leave no trace."""

from __future__ import annotations

import numpy as np
import pytest

from biopsy_ai.config import AnalysisConfig, SegmentationConfig
from biopsy_ai.evaluation import match_fibers
from biopsy_ai.formats import read_label_image
from biopsy_ai.resources import sample_fibers, sample_slides
from biopsy_ai.segmentation import segment_fibers
from biopsy_ai.slides import open_slide

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def outline(name: str, tile_px: int) -> np.ndarray:
    config = AnalysisConfig(device="cpu", segmentation=SegmentationConfig(tile_px=tile_px))
    path = next(path for path in sample_slides() if path.stem == name)
    with open_slide(path) as slide:
        return np.asarray(segment_fibers(slide, config).labels)


@pytest.fixture(scope="module")
def whole() -> np.ndarray:
    return outline("normal_he", 2048)


def test_fibers_of_a_sample_are_found(whole: np.ndarray) -> None:
    path = next(path for path in sample_slides() if path.stem == "normal_he")
    truth, _ = read_label_image(sample_fibers(path))
    matching = match_fibers(whole, np.asarray(truth), iou_threshold=0.5)
    found = len(matching.pairs)
    assert 2 * found / (whole.max() + len(np.unique(truth)) - 1) > 0.93


def test_small_tiles_draw_the_same_fibers(whole: np.ndarray) -> None:
    tiled = outline("normal_he", 512)
    matching = match_fibers(tiled, whole, iou_threshold=0.9)
    assert len(matching.pairs) >= 0.995 * max(whole.max(), tiled.max())
