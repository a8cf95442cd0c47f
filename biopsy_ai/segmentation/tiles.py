"""Tiles that the network works through: only where there is tissue, with context around."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biopsy_ai.segmentation.scratch import BLOCK_PX

STRIDE_PX = 64
"""The network takes sides that are multiples of this."""


class Margins(NamedTuple):
    """Pixels of context on each side of a picture."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0

    def mirrored(self, axes: tuple[int, ...]) -> Margins:
        """Those of the picture mirrored along axes of (N, C, H, W)."""
        top, left, bottom, right = self
        if 2 in axes:
            top, bottom = bottom, top
        if 3 in axes:
            left, right = right, left
        return Margins(top, left, bottom, right)


@dataclass(frozen=True)
class Tile:
    """A rectangle of the working grid; half-open, pixels, multiples of `STRIDE_PX`.

    Attributes
    ----------
    y0, x0, y1, x1
        The core, whose maps are kept. It may reach beyond the slide.
    context
        Pixels that are read beyond the core on each side; none beyond the slide.
    """

    y0: int
    x0: int
    y1: int
    x1: int
    context: Margins

    @property
    def input_origin(self) -> tuple[int, int]:
        """Row and column where the context begins."""
        return self.y0 - self.context.top, self.x0 - self.context.left

    @property
    def input_shape(self) -> tuple[int, int]:
        """Rows and columns of core and context."""
        return (
            self.y1 - self.y0 + self.context.top + self.context.bottom,
            self.x1 - self.x0 + self.context.left + self.context.right,
        )


def cut_tiles(
    shape: tuple[int, int],
    tissue: ArrayLike,
    tissue_mpp: float,
    mpp: float,
    tile_px: int,
    overlap_px: int,
) -> list[Tile]:
    """Cut the tissue of a slide into tiles, row by row.

    Tiles lie on a fixed raster and are trimmed to the tissue in them; those without tissue are
    left out.

    Parameters
    ----------
    shape
        (H, W) of the slide on the working grid.
    tissue
        (h, w) bool mask of the tissue.
    tissue_mpp
        Its pixel size, µm.
    mpp
        Pixel size of the working grid, µm.
    tile_px
        Side of a core, rounded up to whole blocks of the map store.
    overlap_px
        Context on each side, rounded up to what the network takes. There is none beyond the
        slide: made-up surroundings mislead the network more than the end of the picture does.
    """
    cells = tissue_cells(shape, tissue, tissue_mpp / mpp)
    step = -(-tile_px // BLOCK_PX) * BLOCK_PX // STRIDE_PX
    overlap_px = -(-overlap_px // STRIDE_PX) * STRIDE_PX
    height, width = cells.shape[0] * STRIDE_PX, cells.shape[1] * STRIDE_PX
    tiles = []
    for row in range(0, cells.shape[0], step):
        for column in range(0, cells.shape[1], step):
            part = cells[row : row + step, column : column + step]
            rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
            if rows.size == 0:
                continue
            y0, x0 = (row + int(rows[0])) * STRIDE_PX, (column + int(columns[0])) * STRIDE_PX
            y1 = (row + int(rows[-1]) + 1) * STRIDE_PX
            x1 = (column + int(columns[-1]) + 1) * STRIDE_PX
            context = Margins(
                top=min(overlap_px, y0),
                left=min(overlap_px, x0),
                bottom=min(overlap_px, height - y1),
                right=min(overlap_px, width - x1),
            )
            tiles.append(Tile(y0, x0, y1, x1, context))
    return tiles


def tissue_cells(shape: tuple[int, int], tissue: ArrayLike, scale: float) -> NDArray[np.bool_]:
    """Tell which squares of `STRIDE_PX` hold tissue.

    Parameters
    ----------
    shape
        (H, W) of the slide on the working grid.
    tissue
        (h, w) bool mask.
    scale
        Working pixels per pixel of the mask, at most `STRIDE_PX`.
    """
    mask = np.asarray(tissue, bool)
    for axis in (0, 1):
        n_cells = -(-shape[axis] // STRIDE_PX)
        # A pixel of the mask that reaches into the next cell counts for both.
        first = (np.arange(n_cells) * (STRIDE_PX / scale)).astype(np.intp)
        last = np.ceil((np.arange(n_cells) + 1) * (STRIDE_PX / scale)).astype(np.intp)
        size = mask.shape[axis]
        first, last = np.minimum(first, size - 1), np.clip(last, 1, size)
        count = np.cumsum(mask, axis=axis, dtype=np.int32)
        count = np.concatenate([np.zeros_like(count.take([0], axis)), count], axis=axis)
        mask = count.take(last, axis) > count.take(first, axis)
    return mask
