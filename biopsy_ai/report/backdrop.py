"""The section as an overlay shows it: small enough to be looked at, whatever the slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.slides.color import white_level

if TYPE_CHECKING:
    from biopsy_ai.segmentation import Segmentation
    from biopsy_ai.slides import Slide

LONG_SIDE_PX = 2400
"""Longer side of the section in the overlay, at most. [default]"""

SMALL_SIDE_PX = 1200
"""Sections of fewer pixels are enlarged to this, so that lines and text stay fine. [default]"""

AREA_PX = 4_000_000
"""Pixels of the section in the overlay, at most. [default]"""

PERCENTILES = (1.0, 99.5)
"""Fluorescence is shown from black to white between these percentiles. [default]"""


@dataclass(frozen=True, eq=False)
class Backdrop:
    """What overlays are drawn on.

    Attributes
    ----------
    pixels
        (h, w, 3) uint8 RGB.
    mpp
        Size of its square pixels, µm; it begins where the section begins.
    """

    pixels: NDArray[np.uint8]
    mpp: float


def read_backdrop(slide: Slide | None, segmentation: Segmentation) -> Backdrop:
    """Read the whole section at the scale of the overlays.

    Parameters
    ----------
    slide
        The section; fluorescence is shown by its border channel. None gives white.
    segmentation
        The fibers, from the same top-left corner as the section.

    Returns
    -------
    Backdrop
    """
    if slide is None:
        extent_um = np.multiply(segmentation.labels.shape, segmentation.mpp)
        mpp = _overlay_mpp(extent_um, min(segmentation.mpp))
        return Backdrop(_white(extent_um, mpp), mpp)
    return slide_backdrop(slide)


def slide_backdrop(slide: Slide) -> Backdrop:
    """Read a slide, which is open, at the scale of the overlays."""
    mpp = _overlay_mpp(np.multiply(slide.shape, slide.mpp), min(slide.mpp))
    return Backdrop(read_window(slide, 0, 0, *slide.grid_shape(mpp), mpp), mpp)


def _overlay_mpp(extent_um: NDArray[np.float64], native_mpp: float) -> float:
    longest, area = float(extent_um.max()), float(extent_um.prod())
    coarsest = longest / SMALL_SIDE_PX
    finest = max(longest / LONG_SIDE_PX, (area / AREA_PX) ** 0.5)
    return max(finest, min(native_mpp, coarsest))


def _white(extent_um: NDArray[np.float64], mpp: float) -> NDArray[np.uint8]:
    height, width = (max(1, round(float(side) / mpp)) for side in extent_um)
    return np.full((height, width, 3), 255, dtype=np.uint8)


def read_window(
    slide: Slide, y: int, x: int, height: int, width: int, mpp: float
) -> NDArray[np.uint8]:
    """Read a part of a slide as it is shown.

    Parameters
    ----------
    slide
        The section; fluorescence is shown by its border channel, from dark to bright in this part.
    y, x, height, width
        Window in pixels of `mpp`; may reach beyond the slide.
    mpp
        Pixel size, µm.

    Returns
    -------
    (height, width, 3) uint8 ndarray
        RGB.
    """
    if slide.is_rgb:
        image = slide.read(y, x, height, width, mpp)
        shown = image * (255.0 / white_level(slide.dtype))
    else:
        channel = slide.channels.get("border", 0)
        border = slide.read(y, x, height, width, mpp, channels=[channel])
        low, high = np.percentile(border, PERCENTILES)
        shown = np.repeat((border - low) * (255.0 / max(high - low, 1e-6)), 3, axis=2)
    return np.clip(np.rint(shown), 0, 255).astype(np.uint8)
