"""Nuclei in the channel of an immunofluorescence that shows them (DAPI, Hoechst)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.progress import Progress
from biopsy_ai.segmentation.nuclei import (
    HALO_PX,
    Nuclei,
    NucleusPixels,
    NucleusSheet,
    owned_nuclei,
)
from biopsy_ai.segmentation.seeds import grow
from biopsy_ai.segmentation.thresholds import NucleusThresholds
from biopsy_ai.segmentation.windows import Window, cut_windows

if TYPE_CHECKING:
    from biopsy_ai.slides import Slide, TissueMask

STAGE = "nuclei_channel"

CORE_PX = 2048
"""Side of the squares that are looked at one by one, pixels."""
BLUR_PX = 1.0
"""Blur that takes away noise before anything is thresholded, pixels (0.5 µm). [default]"""
HAZE_UM = 15.0
"""A disc of this radius fits into haze and into no nucleus: what it fits into is ground, and taken
away. [default]"""
NOISE_SD = 6.0
"""A nucleus is brighter than the ground by so many standard deviations of the blurred noise, which
a million pixels of noise never reach. [default]"""
MIN_CONTRAST = 0.02
"""It is also brighter by this share of the channel's range, lest the steps of an empty channel pass
for nuclei. [default]"""
CORE_SHARE = 0.7
"""The core of a nucleus is what lies this deep, of the deepest place near by: two touching nuclei
have two, a long one has one. [default]"""
NEAR_UM = 4.0
"""How near that is. [default]"""
GROWTH_PX = 24
"""How far a nucleus reaches beyond its core, pixels (12 µm). [default]"""
THRESHOLDS = NucleusThresholds(min_foreground=0.0, min_area_um2=6.0)
"""Of which the least area counts; a nucleus cut at its tip by a section of 8 µm is larger."""

_SHRINK = 4


@dataclass(frozen=True)
class ChannelRange:
    """What is bright in a channel.

    Attributes
    ----------
    threshold
        Height above the ground from which a pixel belongs to a nucleus; infinite where the channel
        shows none.
    top
        Height of the brightest nuclei.
    """

    threshold: float
    top: float


def find_channel_nuclei(
    slide: Slide,
    channel: int,
    tissue: TissueMask | None = None,
    *,
    progress: Progress | None = None,
) -> Nuclei:
    """Find the nuclei that one channel of a slide shows.

    Parameters
    ----------
    slide
        An open slide; read in windows, so that memory does not grow with it.
    channel
        Number of the channel.
    tissue
        Where the slide holds tissue; windows without any are left out.
    progress
        Called as ``progress("nuclei_channel", done, total)``, in windows.

    Returns
    -------
    Nuclei
        On the grid of the network. Empty where the channel is dark or holds noise alone.

    Raises
    ------
    SlideReadError
        If the file is damaged.
    Cancelled
        If ``progress`` raises it.

    Notes
    -----
    The channel is blurred a little and its ground taken away (white top-hat with a disc wider than
    any nucleus, Soille 2003), which evens out haze and uneven light. One threshold for the whole
    slide follows from pixels spread over the tissue: that of Otsu 1979 (IEEE Trans SMC 9:62), but
    at least six standard deviations of the noise. Touching nuclei are parted by the depth below
    their outline. What a nucleus becomes depends on what lies within some 40 µm of it alone, so
    that windows which see all of it see the same.
    """
    mpp = OUTLINE_MPP
    height, width = slide.grid_shape(mpp)
    sheet = NucleusSheet((height, width), mpp)
    found = channel_range(slide, channel, tissue)
    windows = cut_windows((height + height % 2, width + width % 2), CORE_PX, 0)
    for done, window in enumerate(windows):
        if progress is not None:
            progress(STAGE, done, len(windows))
        if np.isfinite(found.threshold) and _holds_tissue(window, tissue, mpp):
            sheet.place(_window_nuclei(slide, channel, window, found, mpp))
    if progress is not None:
        progress(STAGE, len(windows), len(windows))
    return sheet.nuclei()


def channel_range(slide: Slide, channel: int, tissue: TissueMask | None = None) -> ChannelRange:
    """Find from which brightness on a channel shows nuclei.

    Parameters
    ----------
    slide
        An open slide.
    channel
        Number of the channel.
    tissue
        Where the slide holds tissue.
    """
    from skimage.filters import threshold_otsu

    from biopsy_ai.slides.color import white_level
    from biopsy_ai.slides.intensity import sample_windows
    from biopsy_ai.slides.tissue import THUMBNAIL_MPP

    heights = np.concatenate(
        [
            above_ground(part[..., 0], OUTLINE_MPP).ravel()
            for part in sample_windows(slide, OUTLINE_MPP, tissue, channels=[channel])
        ]
    )
    middle = float(np.median(heights))
    # the lower half alone: nuclei are in the upper one
    noise = 1.4826 * float(np.median(middle - heights[heights <= middle])) if middle > 0 else 0.0
    top = float(np.percentile(heights, 99.99))
    # cameras of 12 bits are often stored in 16
    full = white_level(slide.dtype)
    brightest = float(slide.thumbnail(THUMBNAIL_MPP)[0][..., channel].max())
    contrast = MIN_CONTRAST * min(full, max(brightest, full / 16))
    least = max(middle + NOISE_SD * noise, contrast)
    if top <= least:
        return ChannelRange(np.inf, top)
    # dust may be far brighter than any nucleus
    return ChannelRange(max(float(threshold_otsu(np.minimum(heights, top))), least), top)


def above_ground(plane: NDArray[np.float32], mpp: float) -> NDArray[np.float32]:
    """Blur a channel and take its ground away.

    Parameters
    ----------
    plane
        (H, W) of which the first pixel lies at multiples of 4 pixels of the slide.
    mpp
        Pixel size, µm.
    """
    import cv2

    smooth = cv2.GaussianBlur(plane, (0, 0), BLUR_PX, borderType=cv2.BORDER_REFLECT)
    rows, columns = (-(-side // _SHRINK) for side in smooth.shape)
    beyond = rows * _SHRINK - smooth.shape[0], columns * _SHRINK - smooth.shape[1]
    whole = cv2.copyMakeBorder(smooth, 0, beyond[0], 0, beyond[1], cv2.BORDER_REPLICATE)
    small = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
    radius = int(np.ceil(HAZE_UM / (_SHRINK * mpp)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    ground = cv2.morphologyEx(small, cv2.MORPH_OPEN, disc)
    ground = cv2.resize(ground, whole.shape[::-1], interpolation=cv2.INTER_LINEAR)
    heights = smooth - ground[: smooth.shape[0], : smooth.shape[1]]
    return np.maximum(heights, 0, out=heights)


def label_channel(heights: NDArray[np.float32], threshold: float, mpp: float) -> NDArray:
    """Part what is above a threshold into nuclei.

    Parameters
    ----------
    heights
        (H, W) from `above_ground`.
    threshold
        Height from which a pixel belongs to a nucleus.
    mpp
        Pixel size, µm.

    Returns
    -------
    (H, W) ndarray
        Whole numbers, 0 background.
    """
    import cv2

    inside = cv2.compare(heights, threshold, cv2.CMP_GT)
    if not cv2.countNonZero(inside):
        return np.zeros(heights.shape, np.uint16)
    inside = _filled(inside, mpp)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_5)
    depth = cv2.GaussianBlur(depth, (0, 0), BLUR_PX)
    reach = max(int(round(NEAR_UM / mpp)), 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    deepest = cv2.dilate(depth, disc)
    core = cv2.bitwise_and(inside, cv2.compare(depth, CORE_SHARE * deepest, cv2.CMP_GE))
    n, labels = cv2.connectedComponents(core, connectivity=8, ltype=cv2.CV_32S)
    grown = labels.astype(np.uint16 if n <= 1 << 16 else np.float32)
    grow(grown, inside, GROWTH_PX)
    return grown


def _filled(inside: NDArray[np.uint8], mpp: float) -> NDArray[np.uint8]:
    """Fill small holes, which nucleoli leave, and drop what is too small for a nucleus."""
    import cv2

    few = THRESHOLDS.min_area_um2 / mpp**2
    for background in (False, True):
        plane = cv2.bitwise_not(inside) if background else inside
        n, labels, stats, _ = cv2.connectedComponentsWithStats(plane, connectivity=4)
        small = stats[:, cv2.CC_STAT_AREA] < few
        small[0] = False
        if n > 1 and small.any():
            inside = np.where(small[labels], np.uint8(255 if background else 0), inside)
    return inside


def _window_nuclei(
    slide: Slide, channel: int, window: Window, found: ChannelRange, mpp: float
) -> NucleusPixels:
    """Find the nuclei whose centroid lies in the core of a window."""
    height, width = slide.grid_shape(mpp)
    halo = HALO_PX + 2 * _SHRINK * int(np.ceil(HAZE_UM / (_SHRINK * mpp))) + 2 * _SHRINK
    y0, x0 = (max(0, side - halo) for side in window.core[:2])
    y1, x1 = min(height, window.core[2] + halo), min(width, window.core[3] + halo)
    plane = slide.read(y0, x0, y1 - y0, x1 - x0, mpp, channels=[channel])[..., 0]
    heights = above_ground(np.ascontiguousarray(plane), mpp)
    labels = label_channel(heights, found.threshold, mpp)
    bright = np.clip(heights * np.float32(255 / max(found.top, 1e-6)), 0, 255).astype(np.uint8)
    pixels = np.flatnonzero(labels)
    nuclei = NucleusPixels.found(labels.ravel()[pixels], pixels, bright, (y0, x0))
    return owned_nuclei(nuclei, window, THRESHOLDS, mpp)


def _holds_tissue(window: Window, tissue: TissueMask | None, mpp: float) -> bool:
    if tissue is None:
        return True
    y0, x0, y1, x1 = (side * mpp / tissue.mpp for side in window.core)
    part = tissue.mask[int(y0) : int(np.ceil(y1)) + 1, int(x0) : int(np.ceil(x1)) + 1]
    return bool(part.any())
