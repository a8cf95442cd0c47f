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

_BAND_PX = 1 << 16  # values in work stay inside the processor's cache


def normalize(image: ArrayLike, low: float, high: float) -> NDArray[np.float32]:
    """Map the range low..high of an image to 0..1, cut off at `CLIP`.

    The range belongs to the whole slide, never to one tile.

    Parameters
    ----------
    image
        (H, W, channels) in units of the file.
    low, high
        Intensities that become 0 and 1.
    """
    image = np.asarray(image)
    scale = np.float32(1 / max(high - low, 1e-6))
    offset = np.float32(low) * scale
    normalized = np.empty(image.shape, np.float32)
    rows = max(1, _BAND_PX // max(image[:1].size, 1))
    for top in range(0, len(image), rows):
        band = normalized[top : top + rows]
        np.multiply(image[top : top + rows], scale, out=band, casting="unsafe")
        band -= offset
        np.clip(band, *CLIP, out=band)
    return normalized


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
    def of_slide(
        cls, slide: Slide, mpp: float, tissue: TissueMask | None = None, stain: str = "auto"
    ) -> PictureReader:
        """Choose channel and range for a slide.

        Raises
        ------
        ChannelError
            When it is fluorescence of several channels and none is named border.
        """
        from biopsy_ai.slides import intensity_range

        channel = border_channel(slide, stain)
        low, high = (np.atleast_1d(value) for value in intensity_range(slide, tissue))
        if channel is None:
            # Color takes one range, also where the image alone would pass for fluorescence.
            return cls(slide, mpp, float(low.min()), float(high.max()), channel)
        at = channel if low.size > 1 else 0
        return cls(slide, mpp, float(low[at]), float(high[at]), channel)

    def read(self, y: int, x: int, height: int, width: int) -> NDArray[np.float32]:
        """Read a window of the working grid as (height, width, 3), normalized.

        What lies beyond the slide at the bottom and on the right is its mirror image.
        """
        rows, columns = self.slide.grid_shape(self.mpp)
        inside = min(height, rows - y), min(width, columns - x)
        channels = None if self.channel is None else [self.channel]
        pixels = self.slide.read(y, x, *inside, self.mpp, channels=channels)
        picture = normalize(pixels, self.low, self.high)
        if inside != (height, width):
            beyond = ((0, height - inside[0]), (0, width - inside[1]), (0, 0))
            picture = np.pad(picture, beyond, mode="reflect")
        return picture if channels is None else np.repeat(picture, 3, axis=2)


def border_channel(slide: Slide, stain: str = "auto") -> int | None:
    """Find the channel that shows the fiber border; None for color images.

    Color images with a dark background are fluorescence, unless the user names a bright-field
    stain. Where their channels are all the same, gray was saved as color, and any of them will do.

    Parameters
    ----------
    slide
        The slide.
    stain
        What the user says it is: "if" makes fluorescence of any color image, a bright-field stain
        a color image of any with three channels, and "auto" leaves it to the background.

    Raises
    ------
    ChannelError
        When it is fluorescence of several channels and none is named border.
    """
    if "border" in slide.channels:
        return slide.channels["border"]
    if slide.n_channels == 1:
        return 0
    if slide.n_channels == 3 and stain not in ("auto", "if"):
        return None
    if slide.is_rgb:
        from biopsy_ai.slides.tissue import THUMBNAIL_MPP, is_gray

        if not is_fluorescent(slide, stain):
            return None
        if is_gray(slide.thumbnail(THUMBNAIL_MPP)[0]):
            return 0
        found, example = "is fluorescence saved as a color image with the channels", 1
    else:
        found, example = f"has {slide.n_channels} channels:", 0
    could_be_bright = slide.n_channels == 3 and stain == "auto"
    or_bright = " Or name the stain if it is bright field: --stain he." if could_be_bright else ""
    names = ", ".join(f"{i} ({name})" for i, name in enumerate(slide.channel_names))
    raise ChannelError(
        f"{slide.path}: {found} {names}. Say which one shows the fiber border (laminin, WGA, "
        f"dystrophin), for instance with --channels border={example}.{or_bright}"
    )


def is_fluorescent(slide: Slide, stain: str = "auto") -> bool:
    """Whether a slide is fluorescence: said so by the user, or light on a dark background.

    Parameters
    ----------
    slide
        The slide.
    stain
        What the user says it is. "if" and the bright-field stains settle it; with "auto" a named
        border channel makes it fluorescence, else the background tells.
    """
    from biopsy_ai.slides.tissue import has_dark_background

    if stain != "auto":
        return stain == "if"
    return "border" in slide.channels or has_dark_background(slide)
