"""Tissue classes of a section, on a grid coarser than that of the fibers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

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
from biopsy_ai.processors import usable_cores, worker_threads
from biopsy_ai.segmentation.drawing import CLASS_BITS, COARSE, VOTE, FiberMaps
from biopsy_ai.segmentation.windows import CORE_PX, Window
from biopsy_ai.slides.quality import quality_limits
from biopsy_ai.tissue_classes import ARTEFACT, FIBER

HALO_PX = 100
"""Context that is looked at around a window for artefacts that go on there, pixels of the class map
(100 µm). [default]"""

THREADS_MAX = 4
"""Bands of windows that are called at the same time; each needs about 200 MB. [default]"""


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
    """Call what lies inside an outline fiber, in place; artefacts across outlines stay artefacts.

    The outline of a fiber is surer than the class of its pixels, and the areas of both agree then.
    An artefact does not know where a fiber ends: what lies mostly in one is that fiber, necrotic
    or otherwise odd, and no artefact. Nor are specks: dust is found on the picture.

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
    bands = [list(band) for _, band in groupby(scan_windows(shape), lambda window: window[0])]
    # What lies above and below a band is seen as it was drawn, whichever band is called first; what
    # lies to the left of a window, as it was called.
    drawn = {
        band[0][0].start: np.array(tissue.classes[_around(band[0][0].start, shape[0]), 0:])
        for band in bands[1:]
    }

    def call(band: list[tuple[slice, slice]]) -> None:
        for window in band:
            _call_window(tissue, seen, window, drawn)

    with worker_threads("call", min(usable_cores(), THREADS_MAX)) as threads:
        list(threads.map(call, bands))


def _around(row: int, height: int) -> slice:
    return slice(max(row - HALO_PX, 0), min(row + HALO_PX, height))


def _call_window(
    tissue: TissueMap,
    seen: LabelArray,
    window: tuple[slice, slice],
    drawn: Mapping[int, NDArray[np.uint8]],
) -> None:
    """Call the fibers of one window; `drawn` has the rows around the ends of its band."""
    rows, columns = (
        slice(max(part.start - HALO_PX, 0), min(part.stop + HALO_PX, side))
        for part, side in zip(window, tissue.classes.shape, strict=True)
    )
    above, below = window[0].start - rows.start, rows.stop - window[0].stop
    parts = [np.asarray(tissue.classes[window[0], columns])]
    if above:
        parts.insert(0, drawn[window[0].start][:above, columns])
    if below:
        parts.append(drawn[window[0].stop][-below:, columns])
    classes, within = np.concatenate(parts), np.asarray(seen[rows, columns])
    wrong = _no_artefacts(classes == ARTEFACT, within, tissue.mpp[0] * tissue.mpp[1])
    if wrong.any():
        classes = _filled_from_around(classes, wrong)
    called = np.where((within > 0) & (classes != ARTEFACT), np.uint8(FIBER), classes)
    left = window[1].start - columns.start
    height, width = (part.stop - part.start for part in window)
    tissue.classes[window] = called[above : above + height, left : left + width]


def _no_artefacts(
    artefact: NDArray[np.bool_], fibers: NDArray[np.integer], pixel_um2: float
) -> NDArray[np.bool_]:
    """Parts that are too small for an artefact, or of which one fiber holds nearly all."""
    import cv2

    if not artefact.any():
        return artefact
    limits = quality_limits()
    share, least_um2 = (
        float(limits[name]["value"]) for name in ("artefact_in_fiber_above", "artefact_um2_from")
    )
    n, parts, stats, _ = cv2.connectedComponentsWithStats(artefact.astype(np.uint8), connectivity=8)
    at = np.flatnonzero(artefact)
    part, fiber = parts.ravel()[at], fibers.ravel()[at]
    pairs, count = np.unique((fiber * np.int64(n) + part)[fiber > 0], return_counts=True)
    most = np.zeros(n)
    np.maximum.at(most, pairs % n, count)
    area = stats[:, cv2.CC_STAT_AREA]
    wrong = (most > share * area) | (area * pixel_um2 < least_um2)
    wrong[0] = False
    return np.asarray(wrong[parts])


def _filled_from_around(classes: NDArray[np.uint8], where: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Give some pixels the class of the nearest of the others."""
    import cv2

    if where.all():
        return classes
    _, nearest = cv2.distanceTransformWithLabels(
        where.astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    class_of = np.zeros(int(nearest.max()) + 1, np.uint8)
    class_of[nearest[~where]] = classes[~where]
    return np.where(where, class_of[nearest], classes)


class TissueSheet:
    """A class map that is filled window after window; windows do not overlap in their cores.

    Parameters
    ----------
    shape
        (H, W) of the working grid, both even.
    sought
        (h, w) bool, where tissue is sought; all else is background, whatever lies on the glass.

    Attributes
    ----------
    classes
        (H / 2, W / 2) tissue classes.
    votes
        (H / 2, W / 2) 1 where the network thinks of an artefact, else 0.
    """

    def __init__(self, shape: tuple[int, int], sought: NDArray[np.bool_] | None = None) -> None:
        coarse = (shape[0] // COARSE, shape[1] // COARSE)
        self.classes = allocate_labels(coarse, np.uint8)
        self.votes = allocate_labels(coarse, np.uint8)
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
        classes = classes * self._sought[np.ix_(rows, columns)]
        self.classes[y0:y1, x0:x1] = classes & CLASS_BITS
        self.votes[y0:y1, x0:x1] = classes // VOTE


def window_tissue(maps: FiberMaps, window: Window) -> NDArray[np.uint8]:
    """Cut the classes of the core out of the maps of what a window sees."""
    top, left = window.outer[:2]
    y0, x0, y1, x1 = window.core
    classes = maps.cut(y0 - top, x0 - left, y1 - top, x1 - left).tissue
    assert classes is not None
    return classes


# Whole chunks: no window reads again what another one has written.
assert CORE_PX // COARSE % CHUNK_PX == 0
