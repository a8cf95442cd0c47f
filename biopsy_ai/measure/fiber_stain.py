"""How darkly or brightly each fiber is stained, for telling its type."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.errors import ChannelError
from biopsy_ai.labels import LabelArray, coarse_shape, find_boxes, read_windows
from biopsy_ai.measure.fiber_quantiles import quantiles_by_fiber
from biopsy_ai.measure.interior import sampled_pixels
from biopsy_ai.measure.interior_stain import (
    MIN_UM2,
    RIM_UM,
    depth_below_border,
    rows_of,
    sample_steps,
)
from biopsy_ai.progress import Progress
from biopsy_ai.slides.stain_colors import optical_densities

DENSITY = "od"
"""Column of the optical density of bright field."""

TYPE_CHANNELS = ("I", "IIA", "IIX")
"""Channels of an immunofluorescence that show a fiber type."""


def type_channels(channels: Mapping[str, int]) -> dict[str, int]:
    """Pick the channels that show a fiber type.

    Parameters
    ----------
    channels : mapping of str to int
        Channel number by name, as the user gives it; the case of letters does not matter.

    Returns
    -------
    dict of str to int
        Channel number by name of `TYPE_CHANNELS`, in that order.

    Raises
    ------
    ChannelError
        If two names mean the same channel, such as ``IIa`` and ``IIA``.
    """
    found: dict[str, int] = {}
    for name, number in channels.items():
        kind = name.strip().upper()
        if kind not in TYPE_CHANNELS:
            continue
        if kind in found:
            raise ChannelError(f"the channel of type {kind} is named twice: give it once")
        found[kind] = number
    return {kind: found[kind] for kind in TYPE_CHANNELS if kind in found}


def density_of_interior(interior: pd.DataFrame) -> pd.DataFrame:
    """Take the stain of fibers from the table of their interiors, where that was measured.

    Parameters
    ----------
    interior : DataFrame
        From `biopsy_ai.measure.interior.measure_interior` of a bright-field section: its
        ``density`` is summed over red, green and blue.

    Returns
    -------
    DataFrame
        ``label`` and ``od``, as `measure_fiber_stain` gives it.
    """
    od = interior["density"].to_numpy(float) / 3.0
    return pd.DataFrame({"label": interior["label"].to_numpy(), DENSITY: od})


def measure_fiber_stain(
    fibers: LabelArray,
    mpp: tuple[float, float],
    image: LabelArray,
    *,
    channels: Mapping[str, int] | None = None,
    white: NDArray[np.float32] | None = None,
    ids: np.ndarray | None = None,
    boxes: np.ndarray | None = None,
    image_step: int = 1,
    nuclei: LabelArray | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Measure the stain of each fiber: median inside of its rim of 2 µm.

    Parameters
    ----------
    fibers : (H, W) array of int
        Label image; it and the other images are read in windows, on the same grid.
    mpp : (y, x) tuple of float
        Pixel size in µm.
    image : (H, W, C) array
        Picture.
    channels : mapping of str to int, optional
        Number by name of the channels to measure, for immunofluorescence.
    white : (C,) array, optional
        Intensity of empty glass, for bright field; the mean density of the channels is measured
        then. Exactly one of ``channels`` and ``white`` must be given.
    ids, boxes : (n,) and (n, 4) arrays of int, optional
        Labels to measure and the box of each; found in the image if not given.
    image_step : int, optional
        Pixels of the grid per pixel of the picture, along each axis: it shows the first of them.
    nuclei : (H, W) array of int, optional
        Label image of the nuclei, which are left out.
    progress : callable, optional
        Called as ``progress("fiber stain", done, total)``.

    Returns
    -------
    DataFrame
        One row per fiber in the order of ``ids``: ``label``, and ``od`` (optical density, base 10)
        or one column per channel (intensity in units of the file). NaN where less than 6 µm² of
        the fiber lie inside.

    Raises
    ------
    ValueError
        If the images differ in shape, the picture is too coarse, or not exactly one of
        ``channels`` and ``white`` is given.

    Notes
    -----
    Criteria §3.1 and §10: ATPase and formazan stains have nearly one color, so that the mean of
    the channels tells their amount and dyes need not be taken apart.
    """
    if (channels is None) == (white is None):
        raise ValueError("give the channels of a fluorescence, or the white of a bright field")
    for other, step in ((image, image_step), (nuclei, 1)):
        if other is not None and coarse_shape(fibers.shape, step) != tuple(other.shape[:2]):
            raise ValueError(
                f"images of shapes {tuple(fibers.shape)} and {tuple(other.shape)}: fibers, nuclei "
                "and picture must lie on the same grid"
            )
    steps = sample_steps(mpp)
    if any(step % image_step for step in steps):
        raise ValueError(f"a picture {image_step} times as coarse as the grid shows too little")
    if ids is None or boxes is None:
        ids, boxes = find_boxes(fibers)
    names = [DENSITY] if channels is None else list(channels)
    measured = np.full((len(ids), len(names)), np.nan)
    done = 0
    for piece, (top, left), members in read_windows(fibers, boxes):
        if progress:
            progress("fiber stain", done, len(ids))
        done += len(members)
        window = (slice(top, top + piece.shape[0]), slice(left, left + piece.shape[1]))
        pixels = sampled_pixels(image, image_step, window, mpp).astype(np.float32)
        if white is not None:
            planes = optical_densities(pixels, white).mean(axis=-1, keepdims=True)
        else:
            planes = pixels[..., list((channels or {}).values())]
        over = None if nuclei is None else np.asarray(nuclei[window])
        measured[members] = _medians(planes, piece, over, (top, left), ids[members], mpp)
    if progress:
        progress("fiber stain", len(ids), len(ids))
    table = pd.DataFrame(measured, columns=names)
    table.insert(0, "label", ids)
    return table


def _medians(
    planes: NDArray[np.floating | np.integer],
    labels: NDArray[np.integer],
    nuclei: NDArray[np.integer] | None,
    origin: tuple[int, int],
    wanted: NDArray[np.int64],
    mpp: tuple[float, float],
) -> NDArray[np.float64]:
    """Median of each plane inside of the rim of each fiber, (m, planes)."""
    steps = sample_steps(mpp)
    looked_at = tuple(slice(-at % step, None, step) for at, step in zip(origin, steps, strict=True))
    spacing = mpp[0] * steps[0], mpp[1] * steps[1]
    rows = rows_of(np.ascontiguousarray(labels[looked_at]), wanted)
    inside = (rows >= 0) & (depth_below_border(rows, spacing) > RIM_UM)
    if nuclei is not None:
        inside &= nuclei[looked_at] == 0
    of_fiber = rows[inside]
    n = np.bincount(of_fiber, minlength=len(wanted))
    medians = np.full((len(wanted), planes.shape[-1]), np.nan)
    enough = n * spacing[0] * spacing[1] >= MIN_UM2
    for k in range(planes.shape[-1]):
        values = np.ascontiguousarray(planes[..., k], np.float32)[inside]
        highest = max(float(values.max(initial=0.0)), 1.0)
        median = quantiles_by_fiber(values, of_fiber, n, (0.5,), highest)[0]
        medians[enough, k] = median[enough]
    return medians
