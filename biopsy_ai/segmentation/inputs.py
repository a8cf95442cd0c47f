"""What the network sees: a window of a slide on the working grid, scaled by the slide's range."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.config import OUTLINE_MPP

if TYPE_CHECKING:
    from biopsy_ai.slides import Slide

LOWEST, HIGHEST = -0.25, 1.5
"""Scaled intensities are clipped to this range."""


def normalize(image: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """Scale intensities so that the slide's own low and high percentile become 0 and 1.

    Parameters
    ----------
    image
        Pixels in the units of the slide file, any shape.
    low, high
        `biopsy_ai.slides.intensity_range` of the whole slide, never of a tile.
    """
    scaled = (image - np.float32(low)) * np.float32(1 / max(high - low, 1e-6))
    return np.clip(scaled, LOWEST, HIGHEST, out=scaled)


def network_input(
    slide: Slide, y: int, x: int, height: int, width: int, intensity: tuple[float, float]
) -> NDArray[np.float32]:
    """Window of a slide as the network takes it.

    Parameters
    ----------
    y, x, height, width
        Window on the 0.5 µm grid, pixels; it may reach beyond the slide.
    intensity
        Low and high end of the slide's intensities.

    Returns
    -------
    (height, width, 3) ndarray of float32
        The color picture, or the fiber-border channel three times.
    """
    image = slide.read(y, x, height, width, OUTLINE_MPP)
    if not slide.is_rgb:
        border = slide.channels.get("border", 0)
        image = np.repeat(image[..., border : border + 1], 3, axis=2)
    return normalize(image, *intensity)
