"""The picture that the network sees: three channels on one brightness scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biopsy_ai.errors import ChannelError

if TYPE_CHECKING:
    from biopsy_ai.slides import Slide, TissueMask

CLIP = (-0.25, 1.5)
"""Normalized values beyond these are cut off, in training and prediction alike."""


def normalize(image: ArrayLike, low: float, high: float) -> NDArray[np.float32]:
    """Map the range low..high of an image to 0..1, cut off at `CLIP`.

    The range belongs to the whole slide, never to one tile.
    """
    scale = np.float32(1 / max(high - low, 1e-6))
    scaled = np.asarray(image, np.float32) * scale
    scaled -= np.float32(low) * scale
    return np.clip(scaled, *CLIP, out=scaled)


@dataclass(frozen=True)
class PictureReader:
    """Reads windows of a slide as the network takes them.

    Attributes
    ----------
    slide
        Where from.
    mpp
        Pixel size, µm.
    low, high
        Intensities that become 0 and 1.
    channel
        The channel with the fiber border; None for color images.
    """

    slide: Slide
    mpp: float
    low: float
    high: float
    channel: int | None

    @classmethod
    def of_slide(cls, slide: Slide, mpp: float, tissue: TissueMask | None = None) -> PictureReader:
        """Choose channel and range for a slide.

        Raises
        ------
        ChannelError
            When it has several channels and none is named border.
        """
        from biopsy_ai.slides import intensity_range

        channel = border_channel(slide)
        low, high = (np.atleast_1d(value) for value in intensity_range(slide, tissue))
        at = channel if channel is not None and low.size > 1 else 0
        return cls(slide, mpp, float(low[at]), float(high[at]), channel)

    def read(self, y: int, x: int, height: int, width: int) -> NDArray[np.float32]:
        """Read a window of the working grid as (height, width, 3), normalized."""
        if self.channel is None:
            return normalize(self.slide.read(y, x, height, width, self.mpp), self.low, self.high)
        pixels = self.slide.read(y, x, height, width, self.mpp, channels=[self.channel])
        return np.repeat(normalize(pixels, self.low, self.high), 3, axis=2)


def border_channel(slide: Slide) -> int | None:
    """Find the channel that shows the fiber border; None for color images.

    Raises
    ------
    ChannelError
        When the slide has several channels and none is named border.
    """
    if "border" in slide.channels:
        return slide.channels["border"]
    if slide.is_rgb:
        return None
    if slide.n_channels == 1:
        return 0
    names = ", ".join(f"{i} ({name})" for i, name in enumerate(slide.channel_names))
    raise ChannelError(
        f"{slide.path}: has {slide.n_channels} channels: {names}. Say which one shows the fiber "
        "border (laminin, WGA, dystrophin), for instance with --channels border=0."
    )
