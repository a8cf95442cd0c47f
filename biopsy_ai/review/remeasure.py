"""Fibers whose outline a person changed, measured again.

What needs the picture or the whole section is taken over from the fiber of the analysis that
shares most pixels, until the section is measured again as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.errors import ReviewError
from biopsy_ai.labels import LabelArray, read_windows
from biopsy_ai.measure import measure_fibers
from biopsy_ai.measure.angularity import angularity_scores
from biopsy_ai.measure.exclusion import BETWEEN_REASONS, join_reasons
from biopsy_ai.measure.fibers import CUT, SHAPE_COLUMNS, SIZE_COLUMNS
from biopsy_ai.review.nuclei_inside import COUNTED, NucleiInside
from biopsy_ai.review.patch import Box

if TYPE_CHECKING:
    from biopsy_ai.saved import SavedAnalysis

MEASURED = (*SIZE_COLUMNS, *SHAPE_COLUMNS, "shape_assessable", "touches_border")
"""Columns that the outline of a fiber decides."""


@dataclass(frozen=True, eq=False)
class Remeasured:
    """Fibers that were measured again, by label.

    Attributes
    ----------
    ids, boxes
        (n,) labels, ascending, and the (n, 4) box of each.
    rows
        A row of the fiber table for each.
    """

    ids: NDArray[np.int64]
    boxes: NDArray[np.int64]
    rows: pd.DataFrame


@dataclass(frozen=True, eq=False)
class PlacedPiece:
    """A piece of a label image in the place of the whole; all around it is background."""

    piece: NDArray[np.int32]
    origin: tuple[int, int]
    shape: tuple[int, int]

    def __getitem__(self, key: tuple[slice, slice], /) -> NDArray[np.int32]:
        # where a window begins and ends in the piece, if it does
        ends = [
            (part.start - first, part.stop - first, side)
            for part, first, side in zip(key, self.origin, self.piece.shape, strict=True)
        ]
        inside = tuple(
            slice(min(max(start, 0), side), min(max(stop, 0), side)) for start, stop, side in ends
        )
        if all(0 <= start and stop <= side for start, stop, side in ends):
            return self.piece[inside]
        out = np.zeros([stop - start for start, stop, _ in ends], np.int32)
        here = tuple(
            slice(part.start - start, part.stop - start)
            for part, (start, _, _) in zip(inside, ends, strict=True)
        )
        if all(part.stop > part.start for part in inside):
            out[here] = self.piece[inside]
        return out


def measure_again(
    labels: LabelArray,
    around: Mapping[int, Box],
    saved: SavedAnalysis,
    original: pd.DataFrame,
) -> Remeasured:
    """Measure fibers whose outline a person changed.

    Parameters
    ----------
    labels : (H, W) array of int
        The corrected label image; every piece of it is read once.
    around
        The fibers, each with a box that holds it whole.
    saved
        The analysis.
    original
        Its fiber table, with whatever columns the rows are to have. How angular a fiber is, is
        told by comparing it with those of this table.

    Raises
    ------
    ReviewError
        If there is nothing left of a fiber.
    """
    if not around:
        return Remeasured(np.zeros(0, np.int64), np.zeros((0, 4), np.int64), original.iloc[:0])
    ids = np.array(sorted(around), np.int64)
    boxes = np.array([around[label] for label in ids.tolist()], np.int64)
    height, width = int(labels.shape[0]), int(labels.shape[1])
    nuclei = NucleiInside(saved)
    reach = np.array(nuclei.reach_px, np.int64)
    grown = np.clip(
        boxes + np.concatenate([-reach, reach]), 0, np.array([height, width, height, width])
    )
    before = np.zeros(len(ids), np.int64)
    parts: list[pd.DataFrame] = []
    for piece, (top, left), members in read_windows(labels, grown):
        members = np.sort(members)
        placed = PlacedPiece(piece, (top, left), (height, width))
        old = saved.segmentation.labels[top : top + piece.shape[0], left : left + piece.shape[1]]
        old = np.asarray(old)
        for row in members.tolist():
            y0, x0, y1, x1 = (boxes[row] - (top, left, top, left)).tolist()
            mask = piece[y0:y1, x0:x1] == ids[row]
            if not mask.any():
                raise ReviewError(f"nothing would be left of fiber {ids[row]}. Delete it instead.")
            before[row] = _most_frequent(old[y0:y1, x0:x1][mask])
            boxes[row] = _tight(mask) + np.tile(boxes[row, :2], 2)
        parts.append(_measured(placed, ids[members], boxes[members], saved))
        nuclei.add(placed, ids[members], boxes[members])
    measured = pd.concat(parts, ignore_index=True)
    measured = measured.sort_values("label", ignore_index=True)
    rows = _inherited(before, original)
    values: dict[str, Any] = {"label": ids}
    values |= {name: measured[name].array for name in MEASURED}
    counts = nuclei.count(ids)
    values |= {name: counts[name].array for name in COUNTED}
    # what the network thought of another outline says nothing about this one
    values["confidence"] = np.full(len(ids), np.nan)
    inherited = [_without(str(text), *CUT) for text in rows["excluded"]]
    values["excluded"] = join_reasons(measured["excluded"], inherited)
    rows = rows.assign(**{name: value for name, value in values.items() if name in rows})
    limits = saved.config.limits_in_force
    rows["angularity"] = angularity_scores(rows, limits, reference=original)
    return Remeasured(ids, boxes, rows.astype(original.dtypes))


def _measured(
    labels: LabelArray, ids: NDArray[np.int64], boxes: NDArray[np.int64], saved: SavedAnalysis
) -> pd.DataFrame:
    image = saved.summary.get("image") or {}
    return measure_fibers(
        labels,
        saved.segmentation.mpp,
        ids=ids,
        boxes=boxes,
        image_mpp=image.get("mpp"),
        region=saved.config.region,
        config=saved.config.measurement,
    )


def _tight(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1], np.int64)


def _most_frequent(labels: NDArray[np.integer]) -> int:
    """The label that most pixels have; 0 where all are background."""
    found, counts = np.unique(labels[labels > 0], return_counts=True)
    return int(found[counts.argmax()]) if len(found) else 0


def _inherited(before: NDArray[np.int64], original: pd.DataFrame) -> pd.DataFrame:
    """Rows of some fibers of the analysis, empty ones for label 0."""
    at = np.searchsorted(original["label"].to_numpy(np.int64), before)
    rows = original.take(np.minimum(at, len(original) - 1)).reset_index(drop=True)
    new = np.flatnonzero(before == 0)
    if len(new):
        for number, kind in enumerate(rows.dtypes):
            rows.iloc[new, number] = _empty_value(kind)
    return rows


def _empty_value(kind: Any) -> Any:
    if pd.api.types.is_string_dtype(kind):
        return ""
    if pd.api.types.is_extension_array_dtype(kind):
        return pd.NA
    if pd.api.types.is_float_dtype(kind):
        return np.nan
    return False if pd.api.types.is_bool_dtype(kind) else 0


def _without(reasons: str, *unwanted: str) -> str:
    return BETWEEN_REASONS.join(
        part for part in reasons.split(BETWEEN_REASONS) if part and part not in unwanted
    )
