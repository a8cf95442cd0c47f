"""Fibers of one field that fits in memory, from the maps of the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.segmentation.drawing import FiberMaps, fiber_maps
from biopsy_ai.segmentation.placement import FiberSheet
from biopsy_ai.segmentation.thresholds import InstanceThresholds
from biopsy_ai.segmentation.windows import Window, window_fibers


@dataclass(frozen=True, eq=False)
class FiberInstances:
    """Fibers of one field; row i of the arrays is label i + 1.

    Attributes
    ----------
    labels
        (H, W) int32, 0 background, fibers 1..n ordered by centroid, row by row.
    boxes
        (n, 4) int64 half-open y0, x0, y1, x1.
    confidence
        (n,) float32, mean foreground probability inside.
    """

    labels: NDArray[np.int32]
    boxes: NDArray[np.int64]
    confidence: NDArray[np.float32]


def label_fibers(
    foreground: ArrayLike,
    border: ArrayLike,
    distance: ArrayLike,
    thresholds: InstanceThresholds | None = None,
    *,
    mpp: float = OUTLINE_MPP,
) -> FiberInstances:
    """Turn the maps of the network into fibers.

    Cores are what is sarcoplasm and no border. A core whose distance map has several peaks is
    flooded from these; pieces without a border between them are merged again. Outlines are
    then drawn on the full grid, holes filled, and what is too small, too faint or too flat to be
    a fiber is left out.

    Parameters
    ----------
    foreground, border, distance
        (H, W) maps, float in 0..1 or uint8 in 0..255.
    thresholds
        Defaults where None.
    mpp
        Pixel size, µm.
    """
    rows, columns = np.shape(foreground)
    return label_maps(
        fiber_maps(foreground, border, distance), (rows, columns), thresholds, mpp=mpp
    )


def label_maps(
    maps: FiberMaps,
    shape: tuple[int, ...],
    thresholds: InstanceThresholds | None = None,
    *,
    mpp: float = OUTLINE_MPP,
) -> FiberInstances:
    """Do as `label_fibers` does, with maps that are quantized and halved already.

    Parameters
    ----------
    maps
        Of one field.
    shape
        (H, W) of the labels; one row or column of the maps may be padding.
    thresholds, mpp
        As for `label_fibers`.
    """
    thresholds = thresholds or InstanceThresholds()
    height, width = maps.foreground.shape
    everything = (0, 0, height, width)
    fibers = window_fibers(
        maps,
        Window(everything, everything),
        (height, width),
        thresholds,
        mpp,
    )
    sheet = FiberSheet((shape[0], shape[1]), thresholds.min_area_um2 / mpp**2)
    sheet.place(fibers)
    return FiberInstances(np.asarray(sheet.labels[:, :]), sheet.boxes, sheet.confidence)
