"""A slide sliced like an array, on the grid of the label images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from biopsy_ai.slides.slide import Slide

_BAND_PX = 512


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
        Rows and columns that are seen, such as those of the label image.
    step
        One pixel of the grid in so many is seen, along each axis; none is blurred.
    """

    slide: Slide
    mpp: float
    size: tuple[int, int]
    step: int = 1

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
        if self.step == 1:
            return self.slide.read(y0, x0, y1 - y0, x1 - x0, self.mpp)
        seen = np.empty((y1 - y0, x1 - x0, self.shape[2]), np.float32)
        width = (x1 - x0 - 1) * self.step + 1
        # in bands, lest the pixels that are not seen take much memory, which is slow
        for top in range(y0, y1, _BAND_PX // self.step):
            bottom = min(top + _BAND_PX // self.step, y1)
            height = (bottom - top - 1) * self.step + 1
            band = self.slide.read(top * self.step, x0 * self.step, height, width, self.mpp)
            seen[top - y0 : bottom - y0] = band[:: self.step, :: self.step]
        return seen
