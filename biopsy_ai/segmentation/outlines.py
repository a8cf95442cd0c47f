"""Outlines that the user brings: label images, QuPath GeoJSON, ImageJ RoiSet."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.checksum import file_sha256
from biopsy_ai.config import MPP_GIVEN
from biopsy_ai.errors import OutlineReadError, PixelSizeError
from biopsy_ai.formats.contours import Polygon, fill_rings, from_image_xy, ring_area
from biopsy_ai.formats.imagej import read_roiset
from biopsy_ai.formats.label_image import MAX_PX, load_label_image
from biopsy_ai.formats.outline_files import ReadOutlines
from biopsy_ai.formats.read_qupath import read_geojson
from biopsy_ai.labels import allocate_labels, find_boxes
from biopsy_ai.segmentation.label_pieces import tell_of_pieces

if TYPE_CHECKING:
    from biopsy_ai.segmentation.result import Segmentation

OUTSIDE_PX = 1.0
"""How far the middle of an outline may lie beyond the image before it is no longer its own."""

EDGE_UM = 5.0
"""Room beyond the last outline where no image says how far the field reached, µm."""

CUT_FROM = 0.05
"""Least share of an outline that lies under smaller ones to be worth telling. [default]"""

RASTER_PX = 4096
"""Outlines are drawn in squares of this side, a multiple of the chunks of large label images."""


def read_outlines(
    path: str | Path,
    *,
    mpp: tuple[float, float] | None,
    shape: tuple[int, int] | None = None,
) -> Segmentation:
    """Read fiber outlines from a file instead of segmenting.

    Label images keep their own grid and numbers. Polygons (QuPath GeoJSON, ImageJ RoiSet.zip)
    are drawn on the grid of the original image: a pixel belongs to the outline that surrounds
    its center, and where outlines overlap to the smallest of them, so that none disappears
    behind a larger one.

    Parameters
    ----------
    path
        Label TIFF or PNG (also Cellpose's ``_masks.tif``), GeoJSON (also zipped or gzipped),
        RoiSet.zip or a single .roi. What the file is, is decided by its content.
    mpp
        Pixel size (y, x) in µm of the original image, or, without an image, of the file. None
        takes the pixel size that a label TIFF states itself.
    shape
        Rows and columns of the original image, None where there is no image.

    Returns
    -------
    Segmentation
        ``ids`` are the numbers in the file; ``confidence`` is NaN.

    Raises
    ------
    OutlineReadError
        The file is missing, damaged, empty, or does not fit the image.
    PixelSizeError
        There is no pixel size, or an implausible one.
    """
    from biopsy_ai.slides.pixel_size import check_mpp

    path = Path(path)
    if mpp is not None:
        mpp = check_mpp(mpp, str(path))
    kind = _kind(path)
    provenance: dict[str, object] = {
        "method": "outlines",
        "file": path.name,
        "sha256": file_sha256(path),
        "format": kind,
        "n_skipped": 0,
        "field_known": True,
    }
    warnings: list[str] = []
    if kind == "label image":
        labels, mpp = _read_labels(path, mpp, shape, provenance, warnings)
    else:
        read = read_geojson(path) if kind == "GeoJSON" else read_roiset(path)
        labels, mpp = _draw(path, read, mpp, shape, provenance, warnings)
    ids, boxes = find_boxes(labels)
    if len(ids) == 0:
        raise OutlineReadError(f"{path}: holds no fiber outlines. Check that it is the right file.")
    if kind != "label image":
        # outlines that cover no pixel, or are hidden behind another, left no number
        n_skipped = read.n_skipped + len(read.outlines) - len(ids)
        provenance["n_skipped"] = n_skipped
        if n_skipped:
            some = "1 object outlines" if n_skipped == 1 else f"{n_skipped} objects outline"
            warnings.append(
                f"{path}: {some} no fiber of their own (points, lines, regions, shapes without a "
                "pixel or on top of each other). Left out."
            )
    warnings += [f"{path}: {words}" for words in tell_of_pieces(labels, ids, boxes)]
    provenance["warnings"] = warnings
    return _segmentation(labels, mpp, ids, boxes, provenance)


def _kind(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            head = file.read(512)
    except OSError as error:
        raise OutlineReadError(f"{path}: cannot be read ({error.strerror or error}).") from error
    if head[:2] == b"PK":
        return _kind_of_archive(path)
    if head[:4] == b"Iout":
        return "RoiSet"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head[:2] == b"\x1f\x8b" or text[:1] in (b"{", b"["):
        return "GeoJSON"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\x89PNG") or head[:2] == b"\xff\xd8":
        return "label image"
    if not head:
        raise OutlineReadError(f"{path}: the file is empty.")
    advice = (
        " Cellpose's _seg.npy can run programs when opened and is not read; save the masks as "
        "TIFF or PNG instead."
        if head[:6] == b"\x93NUMPY"
        else ""
    )
    raise OutlineReadError(
        f"{path}: is no file with outlines that can be read.{advice} Give a label image (TIFF, "
        "PNG), QuPath GeoJSON or ImageJ RoiSet.zip."
    )


def _kind_of_archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.lower() for name in archive.namelist()]
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise OutlineReadError(
            f"{path}: the archive is damaged ({error}). Save it again."
        ) from error
    if any(name.endswith(".roi") for name in names):
        return "RoiSet"
    if any(name.endswith((".geojson", ".json")) for name in names):
        return "GeoJSON"
    raise OutlineReadError(
        f"{path}: the archive holds neither ImageJ selections (.roi) nor GeoJSON. Save it from "
        "the ROI Manager with More > Save."
    )


def _read_labels(
    path: Path,
    mpp: tuple[float, float] | None,
    shape: tuple[int, int] | None,
    provenance: dict[str, object],
    warnings: list[str],
) -> tuple[Any, tuple[float, float]]:
    from biopsy_ai.slides.pixel_size import is_plausible, resolve_pixel_size

    file = load_label_image(path)
    if file.from_mask:
        provenance["format"] = "mask, its connected parts numbered"
    rows, columns = file.labels.shape
    if shape is None or (rows, columns) == tuple(shape):
        used, source, told = resolve_pixel_size(path, file.stated, mpp)
        warnings += told
        provenance["mpp_source"] = source if shape is None else "the image"
        return file.labels, used
    # another grid than the image's: both pixel sizes must say so
    stated = file.stated.mpp
    there = f"the label image has {columns} × {rows} px, the section {shape[1]} × {shape[0]} px"
    if stated is None or not is_plausible(stated) or mpp is None:
        raise OutlineReadError(
            f"{path}: {there}, and without a pixel size in the label image its scale is unknown. "
            "Give labels of the same size as the section, or a TIFF that states its pixel size."
        )
    expected = [n * a / b for n, a, b in zip(shape, mpp, stated, strict=True)]
    if any(abs(n - m) > 1 for n, m in zip((rows, columns), expected, strict=True)):
        raise OutlineReadError(
            f"{path}: {there}, which does not agree with their pixel sizes ({stated[0]:.4g} and "
            f"{mpp[0]:.4g} µm). Were the labels drawn on another section, or on a crop of it?"
        )
    provenance["mpp_source"] = file.stated.source
    return file.labels, stated


def _draw(
    path: Path,
    read: ReadOutlines,
    mpp: tuple[float, float] | None,
    shape: tuple[int, int] | None,
    provenance: dict[str, object],
    warnings: list[str],
) -> tuple[Any, tuple[float, float]]:
    from biopsy_ai.slides.pixel_size import HOW_TO_GIVE

    if mpp is None:
        raise PixelSizeError(
            f"{path}: outlines are stored in pixels of the image they were drawn on, without its "
            f"pixel size. {HOW_TO_GIVE}"
        )
    if not read.outlines:
        raise OutlineReadError(
            f"{path}: holds no fiber outlines ({read.n_skipped} points, lines or empty shapes)."
        )
    polygons = [
        (outline.label, [from_image_xy(ring, mpp, mpp) for ring in outline.rings])
        for outline in read.outlines
    ]
    provenance["mpp_source"] = "the image" if shape is not None else MPP_GIVEN
    if shape is None:
        # how far the image reached is unknown: nothing may seem to be cut by its border
        provenance["field_known"] = False
        extent = np.max([ring.max(axis=0) for _, rings in polygons for ring in rings], axis=0)
        extent = np.ceil(extent + EDGE_UM / np.array(mpp))
        shape = (max(1, int(extent[0])), max(1, int(extent[1])))
    _check_fit(path, polygons, shape)
    labels = allocate_labels(shape)
    cut = draw_polygons(labels, polygons)
    n_cut = int(np.count_nonzero((cut >= CUT_FROM) & (cut < 1)))
    if n_cut:
        warnings.append(
            f"{path}: {n_cut} of {len(polygons)} outlines lie partly under smaller ones, which "
            f"take the common pixels: up to {100 * cut[cut < 1].max():.0f} % of their area."
        )
    return labels, mpp


def _check_fit(
    path: Path, polygons: list[tuple[int, list[Polygon]]], shape: tuple[int, int]
) -> None:
    if shape[0] * shape[1] > MAX_PX:
        raise OutlineReadError(
            f"{path}: reaches to row {shape[0]}, column {shape[1]}, farther than any section. "
            "Are the coordinates in pixels of the image?"
        )
    middles = np.array([rings[0].min(axis=0) + rings[0].max(axis=0) for _, rings in polygons]) / 2
    beyond = (middles < -OUTSIDE_PX) | (middles > np.array(shape) + OUTSIDE_PX)
    n_beyond = int(beyond.any(axis=1).sum())
    if n_beyond:
        raise OutlineReadError(
            f"{path}: {n_beyond} of {len(polygons)} outlines lie outside the image "
            f"({shape[1]} × {shape[0]} px). Outlines must be in pixels of the full-resolution "
            "image; were they drawn on another image or on a smaller copy?"
        )


def draw_polygons(labels: Any, polygons: list[tuple[int, list[Polygon]]]) -> NDArray[np.float64]:
    """Draw polygons into a label image; where they overlap, the smallest is on top.

    Parameters
    ----------
    labels : (H, W) array of int32
        Changed in place, square by square.
    polygons
        Label and rings (row, column) of each fiber; what an odd number of rings surrounds is
        inside.

    Returns
    -------
    (n,) ndarray of float
        Share of the pixels of each polygon that went to smaller ones.
    """
    height, width = labels.shape
    areas = [-_area(rings) for _, rings in polygons]
    order = np.argsort(areas, kind="stable")
    low = np.array([np.min([r.min(axis=0) for r in rings], axis=0) for _, rings in polygons])
    high = np.array([np.max([r.max(axis=0) for r in rings], axis=0) for _, rings in polygons])
    first = np.clip(np.floor(low), 0, (height, width)).astype(np.int64)
    last = np.clip(np.ceil(high), 0, (height, width)).astype(np.int64)
    drawn, kept = np.zeros((2, len(polygons)), dtype=np.int64)
    numbers = np.array([label for label, _ in polygons], dtype=np.int64)
    for top in range(0, height, RASTER_PX):
        for left in range(0, width, RASTER_PX):
            bottom, right = min(top + RASTER_PX, height), min(left + RASTER_PX, width)
            meets = (first < (bottom, right)).all(axis=1) & (last > (top, left)).all(axis=1)
            if not meets.any():
                continue
            square = np.zeros((bottom - top, right - left), dtype=np.int32)
            for i in order[meets[order]]:
                y0, x0 = np.maximum(first[i], (top, left)).tolist()
                y1, x1 = np.minimum(last[i], (bottom, right)).tolist()
                label, rings = polygons[i]
                inside = fill_rings(rings, (y1 - y0, x1 - x0), origin=(y0, x0))
                square[y0 - top : y1 - top, x0 - left : x1 - left][inside] = label
                drawn[i] += np.count_nonzero(inside)
            labels[top:bottom, left:right] = square
            there, count = np.unique(square, return_counts=True)
            seen = np.isin(numbers, there)
            kept[seen] += count[np.searchsorted(there, numbers[seen])]
    return np.asarray(1 - kept / np.maximum(drawn, 1))


def _area(rings: list[Polygon]) -> float:
    # holes are few and small beside what they are cut from, so adding them does not change order
    return sum(ring_area(ring) for ring in rings)


def _segmentation(
    labels: Any,
    mpp: tuple[float, float],
    ids: NDArray[np.int64],
    boxes: NDArray[np.int64],
    provenance: dict[str, object],
) -> Segmentation:
    from biopsy_ai.segmentation.result import Segmentation

    return Segmentation(
        labels=labels,
        mpp=mpp,
        ids=ids,
        boxes=boxes,
        confidence=np.full(len(ids), np.nan, dtype=np.float32),
        touches_tissue_edge=np.zeros(len(ids), dtype=bool),
        provenance=provenance,
    )
