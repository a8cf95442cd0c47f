"""Fibers, nuclei, tissue and picture of one section on one grid, to be measured together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.labels import LabelArray, coarse_shape, find_boxes, view_on_grid
from biopsy_ai.region import Region, RegionView
from biopsy_ai.segmentation.result import Segmentation
from biopsy_ai.slides.pixels import SlidePixels

if TYPE_CHECKING:
    from biopsy_ai.slides import Slide

STEP = 2
"""Pixels of the grid per pixel of the small picture: one in each µm. [default]"""


@dataclass(frozen=True, eq=False)
class SectionGrid:
    """What is known of every pixel of a section.

    Outlines that were drawn elsewhere have pixels of their own, which need not be square; the
    picture is read, and nuclei and tissue are drawn, with those of the network. Nothing is copied:
    what lies on another grid is seen through a view.

    Attributes
    ----------
    mpp
        Pixel size (y, x), µm.
    fibers
        (H, W) label image.
    ids, boxes
        Labels of the fibers that are seen on this grid, and the box of each.
    nuclei
        (H, W) label image; None where nuclei cannot be assessed.
    tissue
        (H, W) class of every pixel; None where it is not known.
    image
        (H, W, 3) bright-field picture; None where there is none.
    region
        The part that is analyzed; None where that is the whole section.
    small_image, image_step
        One pixel of it in so many along each axis, and that number; enough for the color of
        fibers, and read in a third of the time.
    """

    mpp: tuple[float, float]
    fibers: LabelArray
    ids: np.ndarray
    boxes: np.ndarray
    nuclei: LabelArray | None
    tissue: LabelArray | None
    image: LabelArray | None
    region: Region | None = None
    small_image: LabelArray | None = None
    image_step: int = 1

    @property
    def counted_tissue(self) -> LabelArray | None:
        """Class of every pixel of the part that is analyzed; all else is background."""
        if self.tissue is None or self.region is None:
            return self.tissue
        return RegionView(self.tissue, self.mpp, self.region)

    @property
    def shape(self) -> tuple[int, int]:
        height, width = self.fibers.shape[:2]
        return int(height), int(width)


def lay_on_grid(
    segmentation: Segmentation,
    slide: Slide | None = None,
    *,
    bright_field: bool = False,
    region: Region | None = None,
) -> SectionGrid:
    """Bring what was found in a section on the grid of the network, or leave it on its own.

    Parameters
    ----------
    segmentation
        Fibers, and nuclei and tissue if they were looked for.
    slide
        The slide; None leaves the outlines on their own grid.
    bright_field
        Whether its pixels show red, green and blue light that came through the section.
    region
        The part of the section that is analyzed.
    """
    if slide is None:
        shape, mpp = segmentation.labels.shape, segmentation.mpp
    else:
        shape, mpp = slide.grid_shape(OUTLINE_MPP), (OUTLINE_MPP, OUTLINE_MPP)
    height, width = int(shape[0]), int(shape[1])
    nuclei, tissue = segmentation.nuclei, segmentation.tissue
    fibers = view_on_grid(segmentation.labels, segmentation.mpp, (height, width), mpp)
    ids, boxes = segmentation.ids, segmentation.boxes
    if fibers is not segmentation.labels:
        ids, boxes = find_boxes(fibers)
        known = np.isin(ids, segmentation.ids)
        ids, boxes = ids[known], boxes[known]
    bright = slide if bright_field else None
    return SectionGrid(
        mpp=mpp,
        fibers=fibers,
        ids=ids,
        boxes=boxes,
        nuclei=None
        if nuclei is None
        else view_on_grid(nuclei.labels, nuclei.mpp, (height, width), mpp),
        tissue=None
        if tissue is None
        else view_on_grid(tissue.classes, tissue.mpp, (height, width), mpp),
        image=None if bright is None else SlidePixels(bright, OUTLINE_MPP, (height, width)),
        region=region,
        small_image=None
        if bright is None
        else SlidePixels(bright, OUTLINE_MPP, coarse_shape((height, width), STEP), STEP),
        image_step=STEP,
    )
