"""A slide sliced like an array, on the grid of the label images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from biopsy_ai.slides.slide import Slide


@dataclass(frozen=True, eq=False)
class SlidePixels:
    """The pixels of a slide at one scale; only what a slice needs is read.

    Attributes
    ----------
    slide
        An open slide.
    mpp
        µm per pixel of the grid, the same along both axes.
    size
        Rows and columns of the grid, such as those of the label image.
    """

    slide: Slide
    mpp: float
    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.size, self.slide.n_channels)

    def __getitem__(self, key: tuple[slice, slice], /) -> NDArray[Any]:
        """Read a window: (rows, columns, channels) float32 in units of the file.

        Raises
        ------
        ValueError
            If a slice has a step.
        """
        (y0, y1, step_y), (x0, x1, step_x) = (
            part.indices(side) for part, side in zip(key, self.size, strict=True)
        )
        if (step_y, step_x) != (1, 1):
            raise ValueError("a slide is read without steps: ask for a coarser grid instead")
        if y1 <= y0 or x1 <= x0:
            return np.empty((max(y1 - y0, 0), max(x1 - x0, 0), self.shape[2]), np.float32)
        return self.slide.read(y0, x0, y1 - y0, x1 - x0, self.mpp)
