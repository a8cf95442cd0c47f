"""Fibers whose outline a person changed, measured again.

What needs the picture or the whole section is taken over from the fiber of the analysis that
shares most pixels, until the section is measured again as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.labels import LabelArray, read_windows, view_on_grid
from biopsy_ai.measure import measure_fibers
from biopsy_ai.measure.exclusion import BETWEEN_REASONS, join_reasons
from biopsy_ai.measure.fibers import CUT_BY_BORDER, SHAPE_COLUMNS, SIZE_COLUMNS
from biopsy_ai.measure.nuclei import count_nuclei, measure_nuclei
from biopsy_ai.measure.reference import Limits
from biopsy_ai.review.patch import Box

if TYPE_CHECKING:
    from biopsy_ai.saved import SavedAnalysis

AROUND_UM = 40.0
"""How far around a fiber its nuclei are looked at, µm: farther than any nucleus is long."""

MEASURED = (*SIZE_COLUMNS, *SHAPE_COLUMNS, "shape_assessable", "touches_border")
"""Columns that the outline of a fiber alone decides."""

COUNTED = ("n_nuclei", "n_internal_nuclei", "is_centrally_nucleated")
"""Columns that the outline and the nuclei decide."""


def tight_boxes(
    labels: LabelArray, around: Mapping[int, Box]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find fibers in boxes that they lie in.

    Parameters
    ----------
    labels : (H, W) array of int
    around
        A box that holds the whole fiber, by label.

    Returns
    -------
    ids : (n,) ndarray of int64
        Labels that were found, ascending.
    boxes : (n, 4) ndarray of int64
        The box of each.
    """
    ids = np.array(sorted(around), np.int64)
    boxes = np.array([around[label] for label in ids.tolist()], np.int64).reshape(-1, 4)
    found = np.zeros(len(ids), bool)
    for piece, (top, left), members in read_windows(labels, boxes):
        for row in members.tolist():
            y0, x0, y1, x1 = boxes[row].tolist()
            mask = piece[y0 - top : y1 - top, x0 - left : x1 - left] == ids[row]
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            if len(rows):
                found[row] = True
                boxes[row] = y0 + rows[0], x0 + columns[0], y0 + rows[-1] + 1, x0 + columns[-1] + 1
    return ids[found], boxes[found]


def measure_again(
    labels: LabelArray,
    ids: NDArray[np.int64],
    boxes: NDArray[np.int64],
    saved: SavedAnalysis,
    original: pd.DataFrame,
) -> pd.DataFrame:
    """Measure fibers whose outline a person changed.

    Parameters
    ----------
    labels : (H, W) array of int
        The corrected label image.
    ids, boxes : (n,) and (n, 4) arrays of int
        Fibers to measure, ascending, and the box of each.
    saved
        The analysis.
    original
        Its fiber table, with whatever columns the rows are to have.

    Returns
    -------
    DataFrame
        A row per fiber, with the columns and types of `original`.
    """
    if not len(ids):
        return original.iloc[:0]
    config = saved.config.measurement
    image = saved.summary.get("image") or {}
    measured = measure_fibers(
        labels,
        saved.segmentation.mpp,
        ids=ids,
        boxes=boxes,
        image_mpp=image.get("mpp"),
        config=config,
    )
    rows = _inherited(labels, ids, boxes, saved, original)
    values: dict[str, Any] = {"label": ids}
    values |= {name: measured[name].array for name in MEASURED if name in rows}
    counts = _nuclei_of(labels, ids, boxes, saved)
    values |= {name: counts[name].array for name in COUNTED}
    # what the network thought of another outline says nothing about this one
    values["confidence"] = np.full(len(ids), np.nan)
    inherited = [_without(str(text), CUT_BY_BORDER) for text in rows["excluded"]]
    values["excluded"] = join_reasons(measured["excluded"], inherited)
    known = {name: value for name, value in values.items() if name in rows}
    return rows.assign(**known).astype(original.dtypes)


def _inherited(
    labels: LabelArray,
    ids: NDArray[np.int64],
    boxes: NDArray[np.int64],
    saved: SavedAnalysis,
    original: pd.DataFrame,
) -> pd.DataFrame:
    """Rows of the fibers of the analysis that share most pixels; empty rows where none does."""
    before = np.zeros(len(ids), np.int64)
    for piece, (top, left), members in read_windows(labels, boxes):
        height, width = piece.shape
        old = np.asarray(saved.segmentation.labels[top : top + height, left : left + width])
        for row in members.tolist():
            y0, x0, y1, x1 = boxes[row].tolist()
            crop = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
            under = old[crop][piece[crop] == ids[row]]
            found, counts = np.unique(under[under > 0], return_counts=True)
            before[row] = found[counts.argmax()] if len(found) else 0
    at = np.searchsorted(original["label"].to_numpy(np.int64), before)
    rows = original.take(np.minimum(at, len(original) - 1)).reset_index(drop=True)
    new = np.flatnonzero(before == 0)
    if len(new):
        for number, kind in enumerate(rows.dtypes):
            rows.iloc[new, number] = _empty_value(kind)
    return rows


def _empty_value(kind: Any) -> Any:
    if pd.api.types.is_extension_array_dtype(kind) and not pd.api.types.is_string_dtype(kind):
        return pd.NA
    if pd.api.types.is_float_dtype(kind):
        return np.nan
    if pd.api.types.is_bool_dtype(kind):
        return False
    return 0 if pd.api.types.is_integer_dtype(kind) else ""


def _without(reasons: str, reason: str) -> str:
    return BETWEEN_REASONS.join(
        part for part in reasons.split(BETWEEN_REASONS) if part and part != reason
    )


def _nuclei_of(
    labels: LabelArray, ids: NDArray[np.int64], boxes: NDArray[np.int64], saved: SavedAnalysis
) -> pd.DataFrame:
    """Nuclei of each fiber, on their own grid; missing where they cannot be assessed."""
    nuclei = saved.segmentation.nuclei
    if nuclei is None or saved.nuclei is None:
        return count_nuclei(None, ids)[list(COUNTED)]
    height, width = int(nuclei.labels.shape[0]), int(nuclei.labels.shape[1])
    fibers = view_on_grid(labels, saved.segmentation.mpp, (height, width), nuclei.mpp)
    limits = Limits(saved.config.measurement.limits)
    scale = np.divide(saved.segmentation.mpp, nuclei.mpp)
    around = np.ceil(np.divide(AROUND_UM, nuclei.mpp)).astype(int)
    counted = []
    for label, box in zip(ids.tolist(), boxes, strict=True):
        start = np.maximum(np.floor(box[:2] * scale).astype(int) - around, 0)
        end = np.minimum(np.ceil(box[2:] * scale).astype(int) + around, (height, width))
        window = (slice(int(start[0]), int(end[0])), slice(int(start[1]), int(end[1])))
        near, there = np.asarray(fibers[window]), np.asarray(nuclei.labels[window])
        # the others are those of other fibers
        within = np.unique(there[near == label])
        there = np.where(np.isin(there, within[within > 0]), there, 0)
        table = measure_nuclei(there, near, nuclei.mpp, limits=limits) if there.any() else None
        counted.append(count_nuclei(_NO_NUCLEI if table is None else table, np.array([label])))
    return pd.concat(counted, ignore_index=True)[list(COUNTED)]


_NO_NUCLEI = pd.DataFrame({"class": np.array([], dtype=object), "fiber": np.array([], np.int64)})
