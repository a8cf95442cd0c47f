"""Folds across fibers entered into the class map of a slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from biopsy_ai.labels import LabelArray, scan_windows, view_on_grid
from biopsy_ai.segmentation.folds import FOLD_MPP, find_crossing_folds
from biopsy_ai.segmentation.tissue_map import TissueMap
from biopsy_ai.slides.stain_colors import optical_densities, white_of
from biopsy_ai.tissue_classes import ARTEFACT, BACKGROUND

if TYPE_CHECKING:
    from biopsy_ai.slides import Slide

HALO_UM = 150.0
"""Context read around a window, so that folds at its edge are seen whole. [default]"""


class FoldCaller:
    """Calls what lies in a fold across fibers artefact, window after window, in any order.

    Parameters
    ----------
    tissue
        Class map, which is changed.
    votes
        (h, w) 1 where the network thinks of an artefact, on the same grid.
    slide
        A bright-field slide.
    fibers
        (H, W) label image of the same section.
    mpp
        Its pixel size, µm.
    """

    def __init__(
        self,
        tissue: TissueMap,
        votes: LabelArray,
        slide: Slide,
        fibers: LabelArray,
        mpp: float,
    ) -> None:
        self.windows = list(scan_windows(tissue.classes.shape))
        self._tissue, self._slide = tissue, slide
        self._shape = slide.grid_shape(FOLD_MPP)
        grid = (FOLD_MPP, FOLD_MPP)
        self._fibers = view_on_grid(fibers, (mpp, mpp), self._shape, grid)
        self._votes = view_on_grid(votes, tissue.mpp, self._shape, grid)
        self._white = white_of(slide)

    def call(self, window: tuple[slice, slice]) -> None:
        """Look at one of `windows` and what lies around it, and change the class map there."""
        (y0, y1), (x0, x1) = (
            (
                max(int((part.start * side - HALO_UM) / FOLD_MPP), 0),
                min(int((part.stop * side + HALO_UM) / FOLD_MPP) + 1, length),
            )
            for part, side, length in zip(window, self._tissue.mpp, self._shape, strict=True)
        )
        fibers = np.asarray(self._fibers[y0:y1, x0:x1])
        if not fibers.any():
            return
        image = self._slide.read(y0, x0, y1 - y0, x1 - x0, FOLD_MPP)
        votes = np.asarray(self._votes[y0:y1, x0:x1]) > 0
        folds = find_crossing_folds(optical_densities(image, self._white), fibers, votes)
        if not folds.any():
            return
        rows, columns = (
            np.clip(
                ((np.arange(part.start, part.stop) + 0.5) * side / FOLD_MPP).astype(int) - start,
                0,
                stop - start - 1,
            )
            for part, side, start, stop in zip(
                window, self._tissue.mpp, (y0, x0), (y1, x1), strict=True
            )
        )
        classes = np.asarray(self._tissue.classes[window])
        folded = folds[np.ix_(rows, columns)] & (classes != BACKGROUND)
        self._tissue.classes[window] = np.where(folded, np.uint8(ARTEFACT), classes)
