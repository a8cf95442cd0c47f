"""Labels of one picture, from a file of any of the formats that people have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.errors import OutlineReadError
from biopsy_ai.formats.cellpose import SEG_SUFFIX, read_seg_masks
from biopsy_ai.formats.coco import draw_coco
from biopsy_ai.formats.contours import ring_area
from biopsy_ai.formats.imagej import read_roiset
from biopsy_ai.formats.label_image import read_label_image
from biopsy_ai.formats.read_qupath import read_geojson
from biopsy_ai.labels import LabelArray, view_on_grid
from biopsy_ai.training.collection import DatasetItem

if TYPE_CHECKING:
    from pathlib import Path

    from biopsy_ai.slides import Slide

COVERED = 0.1
"""An outline of which others cover more than this share overlaps them. [default]"""

LEAST_PX = 20.0
"""Smaller outlines are not judged, pixels of the picture."""


@dataclass(frozen=True, eq=False)
class ItemLabels:
    """Labels on the working grid of a picture.

    Attributes
    ----------
    fibers
        (H, W) int32.
    known
        (H, W) bool, where it is known what is fiber and what is not.
    n_overlapping
        Fibers that others cover in part.
    """

    fibers: NDArray[np.int32]
    known: NDArray[np.bool_]
    n_overlapping: int


def read_item_labels(item: DatasetItem, slide: Slide) -> ItemLabels:
    """Read the labels of a picture on its working grid.

    Parameters
    ----------
    item
        Says which file, and what is known of it.
    slide
        The picture, open.

    Raises
    ------
    OutlineReadError
        The file cannot be read, or does not fit the picture.
    PixelSizeError
        The file contradicts the pixel size of the picture.
    """
    shape = slide.grid_shape(OUTLINE_MPP)
    unknown = None
    fibers: LabelArray
    if item.coco is not None:
        _check_size(item.labels, item.coco.shape, slide)
        drawn = draw_coco(item.coco, item.labels)
        fibers, n_overlapping, unknown = drawn.labels, drawn.n_overlapping, drawn.unknown
        mpp = slide.mpp
    elif item.labels.name.endswith(SEG_SUFFIX):
        fibers, n_overlapping, mpp = read_seg_masks(item.labels), 0, slide.mpp
        _check_size(item.labels, fibers.shape, slide)
    else:
        fibers, mpp, n_overlapping = _outlined(item.labels, slide)
    grid = np.asarray(
        view_on_grid(fibers, mpp, shape, (OUTLINE_MPP,) * 2)[0 : shape[0], 0 : shape[1]]
    )
    if item.known is not None:
        known = on_grid(item.known, slide, "the mask of what is known") > 0
    else:
        known = np.ones(shape, bool)
    if unknown is not None:
        crowds = view_on_grid(unknown, slide.mpp, shape, (OUTLINE_MPP,) * 2)
        known &= ~np.asarray(crowds[0 : shape[0], 0 : shape[1]]).astype(bool)
    return ItemLabels(grid.astype(np.int32), known, n_overlapping)


def on_grid(path: Path, slide: Slide, what: str) -> NDArray[np.int32]:
    """Read a label image that covers the whole of a picture, on its working grid.

    Raises
    ------
    OutlineReadError
        It cannot be read, or has other sides than the picture.
    """
    labels = read_label_image(path)[0]
    shape = slide.grid_shape(OUTLINE_MPP)
    if tuple(labels.shape) not in (slide.shape, shape):
        raise OutlineReadError(
            f"{path}: {what} has {labels.shape[1]} × {labels.shape[0]} px, the picture "
            f"{slide.shape[1]} × {slide.shape[0]} px. Save it with the size of the picture."
        )
    scale = tuple(OUTLINE_MPP * n / m for n, m in zip(shape, labels.shape, strict=True))
    view = view_on_grid(labels, (scale[0], scale[1]), shape, (OUTLINE_MPP, OUTLINE_MPP))
    return np.asarray(view[0 : shape[0], 0 : shape[1]])


def _check_size(path: Path, shape: tuple[int, ...], slide: Slide) -> None:
    if tuple(shape) != tuple(slide.shape):
        raise OutlineReadError(
            f"{path}: the labels have {shape[1]} × {shape[0]} px, the picture "
            f"{slide.shape[1]} × {slide.shape[0]} px. Were they drawn on another picture, or on a "
            "smaller copy?"
        )


def _outlined(path: Path, slide: Slide) -> tuple[LabelArray, tuple[float, float], int]:
    """Labels of a label image or of outlines, their pixel size, and how many overlap."""
    from biopsy_ai.segmentation.outlines import read_outlines

    found = read_outlines(path, mpp=slide.mpp, shape=slide.shape)
    kind = found.provenance["format"]
    if kind not in ("GeoJSON", "RoiSet"):
        return found.labels, found.mpp, 0
    outlines = (read_geojson(path) if kind == "GeoJSON" else read_roiset(path)).outlines
    numbers, counts = np.unique(np.asarray(found.labels), return_counts=True)
    left = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    n_overlapping = 0
    for outline in outlines:
        inside = np.clip(outline.rings[0], 0, slide.shape[::-1])
        # What lies in a hole, or beyond the picture, is not covered.
        area = ring_area(inside) - sum(ring_area(ring) for ring in outline.rings[1:])
        if len(outline.rings) == 1 and area >= LEAST_PX:
            n_overlapping += left.get(outline.label, 0) < (1 - COVERED) * area - 2 * area**0.5
    return found.labels, found.mpp, int(n_overlapping)
