"""Tissue classes of a section, on a grid coarser than that of the fibers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.labels import (
    LabelArray,
    WritableLabelArray,
    allocate_labels,
    scan_windows,
    view_on_grid,
)
from biopsy_ai.packed_labels import CHUNK_PX
from biopsy_ai.segmentation.drawing import COARSE, FiberMaps
from biopsy_ai.segmentation.windows import CORE_PX, Window
from biopsy_ai.tissue_classes import ARTEFACT, FIBER


@dataclass(frozen=True, eq=False)
class TissueMap:
    """Tissue class of every pixel.

    Attributes
    ----------
    classes
        (h, w) uint8 index into `biopsy_ai.tissue_classes.TISSUE_CLASSES`; 0 (background)
        where the network did not look. A numpy array, or `PackedLabels` when large.
    mpp
        Pixel size (y, x), µm. Its first pixel begins where that of the fibers begins.
    """

    classes: WritableLabelArray
    mpp: tuple[float, float]


def call_fibers(tissue: TissueMap, fibers: LabelArray, mpp: tuple[float, float]) -> None:
    """Call what lies inside an outline fiber, in place; artefacts stay artefacts.

    The outline of a fiber is surer than the class of its pixels, and the areas of both agree then.

    Parameters
    ----------
    tissue
        Class map, which is changed.
    fibers
        (H, W) label image of the same section.
    mpp
        Its pixel size (y, x), µm.
    """
    shape = (int(tissue.classes.shape[0]), int(tissue.classes.shape[1]))
    seen = view_on_grid(fibers, mpp, shape, tissue.mpp)
    for window in scan_windows(shape):
        classes = np.asarray(tissue.classes[window])
        inside = (np.asarray(seen[window]) > 0) & (classes != ARTEFACT)
        tissue.classes[window] = np.where(inside, np.uint8(FIBER), classes)


class TissueSheet:
    """A class map that is filled window after window; windows do not overlap in their cores.

    Parameters
    ----------
    shape
        (H, W) of the working grid, both even.
    sought
        (h, w) bool, where tissue is sought; all else is background, whatever lies on the glass.
    """

    def __init__(self, shape: tuple[int, int], sought: NDArray[np.bool_] | None = None) -> None:
        self.classes = allocate_labels((shape[0] // COARSE, shape[1] // COARSE), np.uint8)
        self._sought = np.ones((1, 1), bool) if sought is None else sought

    def place(self, window: Window, classes: NDArray[np.uint8]) -> None:
        """Fill in the core of a window; `classes` are those of `window_tissue`."""
        y0, x0, y1, x1 = (side // COARSE for side in window.core)
        rows, columns = (
            (np.arange(start, stop) * cells) // whole
            for start, stop, cells, whole in (
                (y0, y1, self._sought.shape[0], self.classes.shape[0]),
                (x0, x1, self._sought.shape[1], self.classes.shape[1]),
            )
        )
        self.classes[y0:y1, x0:x1] = classes * self._sought[np.ix_(rows, columns)]


def window_tissue(maps: FiberMaps, window: Window) -> NDArray[np.uint8]:
    """Cut the classes of the core out of the maps of what a window sees."""
    top, left = window.outer[:2]
    y0, x0, y1, x1 = window.core
    classes = maps.cut(y0 - top, x0 - left, y1 - top, x1 - left).tissue
    assert classes is not None
    return classes


# Whole chunks: no window reads again what another one has written.
assert CORE_PX // COARSE % CHUNK_PX == 0
