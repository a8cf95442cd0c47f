from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from biopsy_ai import labels as labels_room
from biopsy_ai.segmentation.fold_caller import FoldCaller
from biopsy_ai.segmentation.tissue_map import TissueMap
from biopsy_ai.slides import open_slide
from biopsy_ai.tissue_classes import ARTEFACT, BACKGROUND, ENDOMYSIUM, FIBER

SIDE = 1000  # pixels of 0.5 µm
FOLD = np.s_[440:480]


@pytest.fixture
def slide_file(tmp_path: Path) -> Path:
    """Squares of 46 µm with 4 µm between them, and a fold of 20 µm across."""
    y, x = np.indices((SIDE, SIDE))
    density = np.where((y % 100 >= 8) & (x % 100 >= 8), 1.0, 0.2)
    density[FOLD] *= 1.8
    density[:40] = 0.0
    density = density[..., None] * np.array((0.05, 0.3, 0.2))
    path = tmp_path / "fold.tif"
    tifffile.imwrite(path, np.round(250 * 10.0**-density).astype(np.uint8), photometric="rgb")
    return path


def fibers() -> np.ndarray:
    y, x = np.indices((SIDE, SIDE))
    inside = (y % 100 >= 8) & (x % 100 >= 8) & (y >= 108)
    return np.where(inside, 1 + y // 100 * 10 + x // 100, 0).astype(np.int32)


@pytest.mark.parametrize("window_px", [2048, 300], ids=["one window", "many"])
def test_the_class_map_has_the_fold(
    slide_file: Path, window_px: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels_room, "WINDOW_PX", window_px)
    labels = fibers()
    classes = np.where(labels[::2, ::2] > 0, FIBER, ENDOMYSIUM).astype(np.uint8)
    classes[:, 200:220] = BACKGROUND
    before = classes.copy()
    votes = np.zeros_like(classes)
    with open_slide(slide_file, mpp=0.5) as slide:
        folds = FoldCaller(TissueMap(classes, (1.0, 1.0)), votes, slide, labels, 0.5)
        for window in folds.windows:
            folds.call(window)
    changed = classes != before
    assert (classes[changed] == ARTEFACT).all()
    fold = np.zeros_like(changed)
    fold[220:240] = True
    assert changed[fold & (before == FIBER)].mean() > 0.85
    away = np.ones_like(changed)
    away[212:248] = False
    assert changed[away & (before == FIBER)].mean() < 0.001
    assert not changed[before == BACKGROUND].any(), "nothing lies double in a tear"


def test_without_fibers_nothing_is_read(slide_file: Path) -> None:
    classes = np.full((SIDE // 2, SIDE // 2), ENDOMYSIUM, np.uint8)
    nothing = np.zeros((SIDE, SIDE), np.int32)
    with open_slide(slide_file, mpp=0.5) as slide:
        folds = FoldCaller(TissueMap(classes, (1.0, 1.0)), classes * 0, slide, nothing, 0.5)
        slide.close()
        for window in folds.windows:
            folds.call(window)
    assert (classes == ENDOMYSIUM).all()
