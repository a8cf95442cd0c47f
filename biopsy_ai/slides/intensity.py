"""The range of intensities of a slide, by which the input of the network is normalized."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.slides.tissue import TissueMask, has_dark_background, tissue_mask

if TYPE_CHECKING:
    from biopsy_ai.slides.slide import Slide

LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5
"""Percentiles taken for dark and bright. [default]"""
SAMPLE_MPP = 0.5
"""Scale at which pixels are sampled, µm. [default]"""
WINDOW_PX = 256
"""Side of a sampled window, pixels. [default]"""
N_WINDOWS = 32
"""Number of sampled windows. [default]"""


def intensity_range(
    slide: Slide, tissue: TissueMask | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Robust darkest and brightest intensity of a slide.

    One range for the whole slide, so that every tile is normalized alike. Pixels are sampled at
    0.5 µm, not taken from a thumbnail: averaging over some µm would lower the thin bright
    membranes of immunofluorescence and brighten nuclei. Small slides are read as a whole; of
    larger ones 32 windows of 128 µm are, at fixed positions spread evenly over the tissue.

    Parameters
    ----------
    slide
        The slide.
    tissue
        Its tissue, where that is known already.

    Returns
    -------
    low, high
        (channels,) float32, in units of the file, high > low. The same for all channels of a
        color image, and each channel's own for fluorescence: also where that was saved as a color
        image, which a named border channel or a dark background tells.

    Raises
    ------
    NoTissueError
        The slide is large and blank.
    """
    pixels = sample_pixels(slide, tissue)
    if slide.is_rgb and "border" not in slide.channels and not has_dark_background(slide):
        pixels = pixels.reshape(-1, 1)
    low, high = np.percentile(pixels, (LOW_PERCENTILE, HIGH_PERCENTILE), axis=0)
    high = np.where(high > low, high, low + 1)
    shape = (slide.n_channels,)
    return (
        np.broadcast_to(low.astype(np.float32), shape).copy(),
        np.broadcast_to(high.astype(np.float32), shape).copy(),
    )


def sample_pixels(slide: Slide, tissue: TissueMask | None = None) -> NDArray[np.float32]:
    """Pixels from all over a slide, at 0.5 µm or as fine as it is.

    Parameters
    ----------
    slide
        The slide.
    tissue
        Its tissue, where that is known already.

    Returns
    -------
    (n, channels) float32
        Up to a million: all of a small slide, of a large one those of 32 windows of 128 µm spread
        evenly over the tissue, at the same places each time.

    Raises
    ------
    NoTissueError
        The slide is large and blank.
    """
    mpp = max(SAMPLE_MPP, *slide.mpp)
    parts = [part.reshape(-1, slide.n_channels) for part in sample_windows(slide, mpp, tissue)]
    pixels = np.concatenate(parts)
    return pixels[:: math.ceil(len(pixels) / 1_000_000)]


def sample_windows(
    slide: Slide,
    mpp: float,
    tissue: TissueMask | None = None,
    *,
    channels: Sequence[int] | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Windows from all over a slide, at the same places each time.

    Parameters
    ----------
    slide
        The slide.
    mpp
        Scale, µm per pixel.
    tissue
        Its tissue, where that is known already.
    channels
        Channel numbers to read, all by default.

    Yields
    ------
    (rows, columns, channels) float32
        A small slide as a whole, of a large one 32 windows spread evenly over the tissue.

    Raises
    ------
    NoTissueError
        The slide is large and blank.
    """
    rows, columns = slide.grid_shape(mpp)
    if rows * columns <= N_WINDOWS * WINDOW_PX**2:
        yield slide.read(0, 0, rows, columns, mpp, channels=channels)
        return
    tissue = tissue_mask(slide) if tissue is None else tissue
    height, width = min(WINDOW_PX, rows), min(WINDOW_PX, columns)
    for y, x in _centers(tissue, mpp):
        top = min(max(y - height // 2, 0), rows - height)
        left = min(max(x - width // 2, 0), columns - width)
        yield slide.read(top, left, height, width, mpp, channels=channels)


def _centers(tissue: TissueMask, mpp: float) -> list[tuple[int, int]]:
    """Positions spread evenly over the tissue in reading order, pixels of ``mpp``."""
    inside = np.flatnonzero(tissue.mask)
    picked = inside[((np.arange(N_WINDOWS) + 0.5) / N_WINDOWS * len(inside)).astype(int)]
    y, x = np.unravel_index(np.unique(picked), tissue.mask.shape)
    scale = tissue.mpp / mpp
    return [
        (int((row + 0.5) * scale), int((column + 0.5) * scale))
        for row, column in zip(y, x, strict=True)
    ]
