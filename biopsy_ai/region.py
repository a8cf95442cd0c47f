"""The part of a section that is analyzed, where it is not the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import ConfigError, OutlineReadError
from biopsy_ai.labels import LabelArray, WritableLabelArray, read_windows, scan_windows
from biopsy_ai.tissue_classes import BACKGROUND

if TYPE_CHECKING:
    from biopsy_ai.segmentation.nuclei import Nuclei
    from biopsy_ai.segmentation.result import Segmentation
    from biopsy_ai.segmentation.tissue_map import TissueMap

Region: TypeAlias = tuple[tuple[float, float], ...]
"""Corners (y, x) of a polygon, µm from the top left corner of the image."""

CUT_BY_REGION = "cut by the edge of the region"
"""Reason of exclusion of a fiber that lies partly outside."""

CONTEXT_UM = 150.0
"""So far beyond its edge the section is looked at, that fibers at the edge are seen whole: no fiber
is wider. [default]"""

SEAM_UM = 10.0
"""Tissue classes are kept so far beyond the edge: what lies beside the last fibers inside. They do
not count in any area. [default]"""

DRAW_AGAIN = "Draw the region again, with one line around it that does not cross itself."


def check_region(corners: Sequence[tuple[float, float]]) -> None:
    """Refuse corners that enclose nothing.

    Raises
    ------
    ValueError
        Says what is wrong with them.
    """
    import shapely

    if len(corners) < 3:
        raise ValueError(f"a region has at least three corners, this one {len(corners)}")
    polygon = shapely.Polygon(corners)
    if not polygon.is_valid:
        why = shapely.is_valid_reason(polygon).split("[")[0].lower()
        raise ValueError(f"the outline of the region crosses itself ({why}). {DRAW_AGAIN}")
    if not polygon.area > 0:
        raise ValueError(f"the region has no area. {DRAW_AGAIN}")


def read_region(path: str | Path, mpp: tuple[float, float]) -> Region:
    """Read a region from GeoJSON, as QuPath writes an annotation.

    Parameters
    ----------
    path
        File with one annotation, in pixels of the image at full resolution.
    mpp
        Pixel size (y, x) of the image, µm.

    Raises
    ------
    ConfigError
        If it cannot be read, or holds none or several.
    """
    from biopsy_ai.formats.contours import from_image_xy
    from biopsy_ai.formats.read_qupath import read_annotation

    try:
        ring = from_image_xy(read_annotation(path), mpp, (1.0, 1.0))
    except OutlineReadError as error:
        raise ConfigError(str(error)) from error
    corners = tuple((float(y), float(x)) for y, x in ring)
    try:
        check_region(corners)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    return corners


def region_mask(
    region: Region,
    shape: tuple[int, ...],
    mpp: tuple[float, float],
    origin: tuple[int, int] = (0, 0),
) -> NDArray[np.bool_]:
    """Mark the pixels whose center lies inside.

    Parameters
    ----------
    region
        Its corners.
    shape
        Rows and columns of the mask.
    mpp
        Its pixel size (y, x), µm.
    origin
        Row and column of its first pixel.
    """
    from biopsy_ai.formats.contours import fill_rings

    ring = np.divide(region, mpp)
    return fill_rings([ring], (int(shape[0]), int(shape[1])), origin)


def area_um2(region: Region, shape: tuple[int, ...], mpp: tuple[float, float]) -> float:
    """Area of a region as far as it lies in an image, µm².

    Parameters
    ----------
    region
        Its corners.
    shape, mpp
        Rows and columns of the image, and its pixel size (y, x) in µm.
    """
    import shapely

    image = shapely.box(0, 0, shape[0] * mpp[0], shape[1] * mpp[1])
    return float(shapely.Polygon(region).intersection(image).area)


def cut_fibers(
    region: Region,
    labels: LabelArray,
    mpp: tuple[float, float],
    ids: NDArray[np.int64],
    boxes: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Tell which fibers lie partly, or wholly, outside of a region.

    Parameters
    ----------
    region
        Its corners.
    labels
        (H, W) label image; read where the edge of the region may cut a fiber.
    mpp
        Its pixel size (y, x), µm.
    ids, boxes
        (n,) labels, and (n, 4) box of each, y0, x0, y1, x1, half-open.
    """
    return _shares(region, labels, mpp, ids, boxes) < 1


def within(segmentation: Segmentation, region: Region) -> Segmentation:
    """Take away the fibers and nuclei outside of a region.

    Fibers that its edge cuts stay, as those do that the image border cuts. Nuclei go by their
    center, and what is farther than `SEAM_UM` outside is background. Images are changed in place;
    fibers that the network found are numbered anew.
    """
    labels = cast(WritableLabelArray, segmentation.labels)
    shares = _shares(region, labels, segmentation.mpp, segmentation.ids, segmentation.boxes)
    kept = shares > 0
    new = segmentation.ids
    if segmentation.provenance.get("method") == "network":
        new = np.cumsum(kept)
    new = np.where(kept, new, 0).astype(np.int64)
    _renumber(labels, segmentation.ids, segmentation.boxes, new)
    nuclei, tissue = segmentation.nuclei, segmentation.tissue
    if tissue is not None:
        _clear_outside(region, tissue)
    return replace(
        segmentation,
        ids=new[kept],
        boxes=segmentation.boxes[kept],
        confidence=segmentation.confidence[kept],
        touches_tissue_edge=segmentation.touches_tissue_edge[kept],
        nuclei=None if nuclei is None else nuclei_within(nuclei, region),
    )


def nuclei_within(nuclei: Nuclei, region: Region) -> Nuclei:
    """Take away the nuclei whose center lies outside; the label image is changed in place."""
    import shapely

    y, x = (nuclei.centroid_px * nuclei.mpp).T
    kept = np.asarray(shapely.contains_xy(shapely.Polygon(region), y, x), dtype=bool)
    new = np.where(kept, np.cumsum(kept), 0)
    labels = cast(WritableLabelArray, nuclei.labels)
    _renumber(labels, np.arange(1, len(nuclei) + 1), nuclei.boxes, new)
    return replace(
        nuclei,
        area_px=nuclei.area_px[kept],
        centroid_px=nuclei.centroid_px[kept],
        boxes=nuclei.boxes[kept],
        confidence=nuclei.confidence[kept],
    )


@dataclass(frozen=True, eq=False)
class RegionView:
    """An image of labels or classes in which all outside of a region is 0; sliced like its source.

    Attributes
    ----------
    source
        (H, W) image.
    mpp
        Its pixel size (y, x), µm.
    region
        Corners of the region.
    """

    source: LabelArray
    mpp: tuple[float, float]
    region: Region

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.source.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(getattr(self.source, "dtype", np.int64))

    def __getitem__(self, key: tuple[slice, slice], /) -> np.ndarray:
        piece = np.asarray(self.source[key])
        rows, columns = (
            part.indices(side)[0] for part, side in zip(key, self.shape[:2], strict=True)
        )
        return np.where(region_mask(self.region, piece.shape, self.mpp, (rows, columns)), piece, 0)


def _clear_outside(region: Region, tissue: TissueMap) -> None:
    import shapely

    from biopsy_ai.formats.contours import fill_rings

    kept = shapely.Polygon(region).buffer(SEAM_UM)
    rings = [np.divide(ring.coords[:-1], tissue.mpp) for ring in (kept.exterior, *kept.interiors)]
    for rows, columns in scan_windows(tissue.classes.shape):
        classes = np.asarray(tissue.classes[rows, columns])
        if classes.any():
            inside = fill_rings(rings, classes.shape, (rows.start, columns.start))
            tissue.classes[rows, columns] = np.where(inside, classes, np.uint8(BACKGROUND))


def _shares(
    region: Region,
    labels: LabelArray,
    mpp: tuple[float, float],
    ids: NDArray[np.int64],
    boxes: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Share of each fiber that lies inside; its pixels count where its box alone does not tell."""
    import shapely

    polygon = shapely.Polygon(region)
    shapely.prepare(polygon)
    y0, x0, y1, x1 = (boxes * np.tile(mpp, 2)).T
    around = shapely.box(y0, x0, y1, x1)
    shares = shapely.covers(polygon, around).astype(float)
    open_ = np.flatnonzero((shares == 0) & shapely.intersects(polygon, around))
    for piece, (top, left), members in read_windows(labels, boxes[open_]):
        for row in open_[members].tolist():
            a, b, c, d = boxes[row].tolist()
            fiber = piece[a - top : c - top, b - left : d - left] == ids[row]
            inside = region_mask(region, fiber.shape, mpp, (a, b))
            shares[row] = float((fiber & inside).sum()) / max(float(fiber.sum()), 1.0)
    return shares


def _renumber(
    labels: WritableLabelArray,
    ids: NDArray[np.int64],
    boxes: NDArray[np.int64],
    new: NDArray[np.int64],
) -> None:
    """Give labels new numbers, 0 to take them away."""
    if not len(ids) or (ids == new).all():
        return
    y0, x0 = boxes[:, :2].min(axis=0).tolist()
    y1, x1 = boxes[:, 2:].max(axis=0).tolist()
    for rows, columns in scan_windows((y1 - y0, x1 - x0)):
        window = (
            slice(rows.start + y0, rows.stop + y0),
            slice(columns.start + x0, columns.stop + x0),
        )
        piece = np.array(labels[window])
        drawn = piece > 0
        if drawn.any():
            piece[drawn] = new[np.searchsorted(ids, piece[drawn])]
            labels[window] = piece
