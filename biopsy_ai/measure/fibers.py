"""The fiber table: one row per fiber of a label image."""

from __future__ import annotations

import numpy as np
import pandas as pd

from biopsy_ai.config import MPP_COARSE, MeasurementConfig
from biopsy_ai.labels import LabelArray, find_boxes, read_windows
from biopsy_ai.measure.angularity import angularity_scores
from biopsy_ai.measure.feret import measure_hull
from biopsy_ai.measure.outline import subpixel_outline, trace_outline
from biopsy_ai.measure.perimeter import crofton_perimeter
from biopsy_ai.measure.reference import Limits
from biopsy_ai.measure.shape import (
    CURVATURE_SAMPLES,
    curvature_measures,
    measure_shape,
    resample_outline,
)
from biopsy_ai.measure.size import measure_size
from biopsy_ai.progress import Progress
from biopsy_ai.region import CUT_BY_REGION, Region, cut_fibers

CUT_BY_BORDER = "cut by the image border"
"""Reason of exclusion of a fiber that reaches the edge of the image, or nearly."""

CUT = (CUT_BY_BORDER, CUT_BY_REGION)
"""Reasons of exclusion of fibers that are only partly in what is analyzed."""

SIZE_COLUMNS = (
    "area_um2",
    "perimeter_um",
    "min_feret_um",
    "max_feret_um",
    "lesser_diameter_um",
    "orthogonal_diameter_um",
    "equivalent_diameter_um",
    "axis_major_length_um",
    "axis_minor_length_um",
    "eccentricity",
    "orientation_deg",
    "centroid_y_um",
    "centroid_x_um",
)
SHAPE_COLUMNS = (
    "circularity",
    "solidity",
    "convexity",
    "feret_aspect_ratio",
    "roundness",
    "triangularity",
    "min_angle_deg",
    "n_acute_angles",
    "max_curvature",
    "concave_fraction",
    "angularity",
)
COLUMNS = (
    "label",
    *SIZE_COLUMNS,
    *SHAPE_COLUMNS,
    "shape_assessable",
    "touches_border",
    "touches_tissue_edge",
    "confidence",
    "excluded",
)
"""Columns of the fiber table, in order."""

_MEASURED = SIZE_COLUMNS + SHAPE_COLUMNS[:8]


def measure_fibers(
    labels: LabelArray,
    mpp: tuple[float, float],
    *,
    ids: np.ndarray | None = None,
    boxes: np.ndarray | None = None,
    confidence: np.ndarray | None = None,
    touches_tissue_edge: np.ndarray | None = None,
    image_mpp: tuple[float, float] | float | None = None,
    region: Region | None = None,
    config: MeasurementConfig | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Measure every fiber of a label image.

    Parameters
    ----------
    labels : (H, W) array of int
        0 background, each fiber a number. A numpy array, or anything that is sliced the same way,
        such as a zarr array; it is read in pieces and never held whole.
    mpp : (y, x) tuple of float
        Size of a label pixel in µm. Pixels need not be square: outlines are scaled to µm before
        anything is measured on them, and the Crofton directions are weighted by their angles.
    ids : (n,) array of int, optional
        Labels to measure, ascending. Without it: 1..n when boxes are given, else all that occur.
    boxes : (n, 4) array of int, optional
        Box of each, y0, x0, y1, x1, half-open. Found in the image if not given.
    confidence : (n,) array of float, optional
        Copied into the table; NaN if not given.
    touches_tissue_edge : (n,) array of bool, optional
        Copied into the table; missing values if not given, as it is unknown then.
    image_mpp : (y, x) tuple of float, or float, optional
        Pixel size of the image that the fibers were outlined on, if not that of the labels.
        Above 1.5 µm no shape is measured.
    region : tuple of (y, x), optional
        The part of the section that is analyzed: its edge cuts fibers as the image border does.
    config : MeasurementConfig, optional
    progress : callable, optional
        Called as ``progress("measure", done, total)``.

    Returns
    -------
    DataFrame
        One row per fiber in the order of ``ids``, columns `COLUMNS`. Lengths in µm, angles in
        degrees, centroids from the top left corner of the image. ``excluded`` is empty, or why
        the fiber is left out of the statistics.

    Raises
    ------
    ValueError
        If the label image is not a plane of whole numbers, if arguments do not fit each other, or
        if a label does not occur in its box.

    Notes
    -----
    Area, centroid, ellipse and equivalent diameter are those of all pixels with the label, holes
    left out. Perimeter, Feret diameters and shape are those of the outer outline of the largest
    connected part, holes taken as filled: a vacuole or a stray pixel does not change the shape of
    a fiber. Shape is called from an equivalent diameter of ``config.min_shape_diameter_px``
    (``shape_assessable``), in pixels of the labels or of the image, whichever are coarser: drawing
    on a finer grid adds no detail. Below 12 label pixels it is not measured at all, as the pixel
    grid decides it. A fiber within 1 µm of the edge of the image touches the border. These and all
    other limits are defaults that ``config.limits`` replaces.
    """
    config = config or MeasurementConfig()
    limits = Limits(config.limits)
    ids, boxes = _fibers_to_measure(labels, ids, boxes)
    total = len(ids)
    image_sides = np.broadcast_to(mpp if image_mpp is None else image_mpp, 2).astype(float)
    shapes_wanted = bool(image_sides.max() <= MPP_COARSE)
    height, width = int(labels.shape[0]), int(labels.shape[1])
    # Rows and columns at the edge in which a fiber touches the border.
    near = [1 + int(limits["border_um"] / side + 1e-6) for side in mpp]
    measured = np.full((total, len(_MEASURED)), np.nan)
    curvature = np.full((total, 2), np.nan)
    touches_border = np.zeros(total, dtype=bool)
    done = 0
    if progress:
        progress("measure", 0, total)
    for piece, origin, members in read_windows(labels, boxes):
        outlines = np.zeros((len(members), CURVATURE_SAMPLES), dtype=complex)
        diameters = np.zeros(len(members))
        for k, row in enumerate(members):
            y0, x0, y1, x1 = (int(edge) for edge in boxes[row])
            mask = piece[y0 - origin[0] : y1 - origin[0], x0 - origin[1] : x1 - origin[1]]
            mask = np.equal(mask, ids[row]).view(np.uint8)
            if not mask.any():
                raise ValueError(f"label {ids[row]} does not occur in its box {boxes[row]}")
            values, outline, diameters[k] = _measure_one(mask, mpp, shapes_wanted, limits)
            measured[row, : len(values)] = values
            if outline is not None:
                outlines[k] = outline
            touches_border[row] = (
                mask[: max(near[0] - y0, 0)].any()
                or mask[:, : max(near[1] - x0, 0)].any()
                or mask[max(height - near[0] - y0, 0) :].any()
                or mask[:, max(width - near[1] - x0, 0) :].any()
            )
            done += 1
            if progress and done % 256 == 0:
                progress("measure", done, total)
        drawn = diameters > 0
        if drawn.any():
            curvature[members[drawn]] = np.stack(
                curvature_measures(outlines[drawn], diameters[drawn], limits), axis=1
            )

    fibers = pd.DataFrame(measured, columns=list(_MEASURED))
    fibers.insert(0, "label", ids)
    fibers["centroid_y_um"] += boxes[:, 0] * mpp[0]
    fibers["centroid_x_um"] += boxes[:, 1] * mpp[1]
    fibers["max_curvature"], fibers["concave_fraction"] = curvature.T
    pixel_um = max(float(np.sqrt(np.prod(side))) for side in (mpp, image_sides))
    diameter_px = fibers["equivalent_diameter_um"] / pixel_um
    fibers["shape_assessable"] = shapes_wanted & (diameter_px >= config.min_shape_diameter_px)
    fibers["touches_border"] = touches_border
    fibers["touches_tissue_edge"] = (
        pd.array([pd.NA] * total, dtype="boolean")
        if touches_tissue_edge is None
        else _column(touches_tissue_edge, total, False, bool)
    )
    fibers["confidence"] = _column(confidence, total, np.nan, np.float32)
    left_out = touches_border & config.exclude_border_fibers
    fibers["excluded"] = np.where(left_out, CUT_BY_BORDER, "")
    if region is not None:
        cut = cut_fibers(region, labels, mpp, ids, boxes)
        fibers["touches_border"] |= cut
        left_out = cut & config.exclude_border_fibers & (fibers["excluded"] == "")
        fibers.loc[left_out, "excluded"] = CUT_BY_REGION
    fibers["angularity"] = angularity_scores(fibers, limits)
    if progress and total:
        progress("measure", total, total)
    return fibers[list(COLUMNS)]


def _fibers_to_measure(
    labels: LabelArray, ids: np.ndarray | None, boxes: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    if len(labels.shape) != 2:
        raise ValueError(f"a label image has two axes, this one has shape {labels.shape}")
    kind = np.dtype(getattr(labels, "dtype", np.int64)).kind
    if kind not in "iu":
        raise ValueError("a label image holds whole numbers, 0 for background")
    if boxes is None:
        found, found_boxes = find_boxes(labels)
        if ids is None:
            return found, found_boxes
        ids = np.asarray(ids, dtype=np.int64)
        missing = np.setdiff1d(ids, found)
        if len(missing):
            raise ValueError(f"labels that do not occur in the image: {missing[:10].tolist()}")
        return ids, found_boxes[np.searchsorted(found, ids)]
    boxes = np.asarray(boxes, dtype=np.int64).reshape(-1, 4)
    if ids is None:
        ids = np.arange(1, len(boxes) + 1)
    ids = np.asarray(ids, dtype=np.int64)
    if len(ids) != len(boxes):
        raise ValueError(f"{len(ids)} labels with {len(boxes)} boxes")
    return ids, boxes


def _measure_one(
    mask: np.ndarray, mpp: tuple[float, float], shapes_wanted: bool, limits: Limits
) -> tuple[list[float], np.ndarray | None, float]:
    """Measure one fiber.

    Gives the values in the order of `_MEASURED`, and the resampled outline and the equivalent
    diameter of the filled outline for the curvature, or None and 0 where no shape is measured.
    """
    size = measure_size(mask, mpp)
    pixel_area = mpp[0] * mpp[1]
    diameter_px = 2.0 * float(np.sqrt(size.area_px / np.pi))
    traced = trace_outline(mask)
    outline = subpixel_outline(traced, limits)
    outline = outline.real * mpp[0] + 1j * (outline.imag * mpp[1])
    hull = measure_hull(outline, pixel=float(np.sqrt(pixel_area)))
    perimeter = crofton_perimeter(traced.sides, mpp)
    values = [
        size.area_px * pixel_area,
        perimeter,
        hull.min_feret,
        hull.max_feret,
        hull.across,
        (hull.max_feret + hull.across) / 2.0,
        diameter_px * float(np.sqrt(pixel_area)),
        size.axis_major_length,
        size.axis_minor_length,
        size.eccentricity,
        size.orientation_deg,
        size.centroid_y,
        size.centroid_x,
    ]
    if not shapes_wanted or diameter_px < limits["min_diameter_px_values"]:
        return values, None, 0.0
    filled = traced.area_px * pixel_area
    shape = measure_shape(outline, hull, area=filled, perimeter=perimeter, limits=limits)
    values += [
        shape.circularity,
        shape.solidity,
        shape.convexity,
        shape.feret_aspect_ratio,
        shape.roundness,
        shape.triangularity,
        shape.min_angle_deg,
        float(shape.n_acute_angles),
    ]
    return values, resample_outline(outline), 2.0 * float(np.sqrt(filled / np.pi))


def _column(given: np.ndarray | None, total: int, missing: object, dtype: type) -> np.ndarray:
    if given is None:
        return np.full(total, missing, dtype=dtype)
    if len(given) != total:
        raise ValueError(f"{len(given)} values were given for {total} fibers")
    return np.asarray(given, dtype=dtype)
