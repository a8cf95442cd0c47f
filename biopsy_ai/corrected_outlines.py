"""The outlines of a section after a person has corrected them, with what was known of the old."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.corrections import Corrections
from biopsy_ai.errors import NoTissueError
from biopsy_ai.labels import LabelArray, allocate_labels, find_boxes, scan_windows, view_on_grid
from biopsy_ai.saved import SavedAnalysis
from biopsy_ai.section_summary import OutlinedSection
from biopsy_ai.segmentation.result import Segmentation
from biopsy_ai.segmentation.tissue_edge import facing_glass
from biopsy_ai.segmentation.tissue_map import TissueMap, call_fibers
from biopsy_ai.tissue_classes import ENDOMYSIUM, FIBER

if TYPE_CHECKING:
    from biopsy_ai.slides import Slide, TissueMask
    from biopsy_ai.slides.stain_detection import SectionStain

NEAR_PX = 50
"""How far around a place that is no fiber any more its tissue is looked for, pixels of the class
map (50 µm). [default]"""


def corrected_section(
    saved: SavedAnalysis,
    labels: LabelArray,
    corrections: Corrections,
    slide: Slide | None,
    tissue: TissueMask | None,
    stain: SectionStain | None,
) -> OutlinedSection:
    """An analyzed section with corrected outlines, to be measured again.

    Parameters
    ----------
    saved
        The analysis.
    labels, corrections
        What a person drew and decided.
    slide, tissue, stain
        Found on the slide again; None without one.
    """
    segmentation = corrected_segmentation(saved, labels, corrections, tissue)
    given = bool((saved.summary.get("provenance") or {}).get("types_sha256"))
    return OutlinedSection(
        saved.name,
        saved.config,
        segmentation,
        slide,
        tissue,
        stain,
        no_nuclei="" if saved.nuclei is not None else str(saved.summary["nuclei"]["why_not"]),
        given=types_before(saved, segmentation) if given else None,
        warnings=list(saved.summary["warnings"]),
    )


def corrected_segmentation(
    saved: SavedAnalysis,
    labels: LabelArray,
    corrections: Corrections,
    tissue: TissueMask | None,
) -> Segmentation:
    """Put corrected outlines in the place of those of an analysis.

    Nuclei stay as they were drawn, and so do tissue classes but for what is a fiber now, or no
    longer is one. Of an outline that a person drew no confidence is known.

    Parameters
    ----------
    saved
        The analysis.
    labels
        (H, W) corrected label image.
    corrections
        Which outlines a person drew.
    tissue
        Where the slide holds tissue: drawn fibers at its edge are told by it.

    Raises
    ------
    NoTissueError
        If no fiber is left.
    """
    before = saved.segmentation
    ids, boxes = find_boxes(labels)
    if len(ids) == 0:
        raise NoTissueError(
            f"{saved.folder}: no fiber is left to measure. Undo deletions, or draw some."
        )
    row = np.minimum(np.searchsorted(before.ids, ids), len(before.ids) - 1)
    drawn = (before.ids[row] != ids) | np.isin(ids, list(corrections.outlines))
    found = replace(
        before,
        labels=labels,
        ids=ids,
        boxes=boxes,
        confidence=np.where(drawn, np.float32(np.nan), before.confidence[row]),
        touches_tissue_edge=before.touches_tissue_edge[row] & ~drawn,
    )
    if tissue is not None and drawn.any():
        found.touches_tissue_edge[drawn] = _facing(found, drawn, tissue)
    if before.tissue is None:
        return found
    return replace(found, tissue=_called_anew(before.tissue, before, labels))


def types_before(saved: SavedAnalysis, segmentation: Segmentation) -> pd.DataFrame:
    """Types that a table gave before, for the fibers that there are now.

    Fibers that are new have the type of the one that most of them was.
    """
    before = dict(zip(saved.fibers["label"].tolist(), saved.fibers["type"], strict=True))
    kinds = {}
    for label, (y0, x0, y1, x1) in zip(
        segmentation.ids.tolist(), segmentation.boxes.tolist(), strict=True
    ):
        kind = before.get(label)
        if kind is None:
            mask = np.asarray(segmentation.labels[y0:y1, x0:x1]) == label
            under = np.bincount(np.asarray(saved.labels[y0:y1, x0:x1])[mask])
            kind = before.get(int(under[1:].argmax()) + 1 if len(under) > 1 else 0, "")
        if kind:
            kinds[label] = kind
    return pd.DataFrame(
        {"label": np.array(list(kinds), np.int64), "type": np.array(list(kinds.values()), object)}
    )


def _facing(
    segmentation: Segmentation, drawn: NDArray[np.bool_], tissue: TissueMask
) -> NDArray[np.bool_]:
    some = replace(
        segmentation,
        ids=segmentation.ids[drawn],
        boxes=segmentation.boxes[drawn],
        confidence=segmentation.confidence[drawn],
        touches_tissue_edge=segmentation.touches_tissue_edge[drawn],
    )
    return facing_glass(some, tissue).touches_tissue_edge


def _called_anew(tissue: TissueMap, before: Segmentation, labels: LabelArray) -> TissueMap:
    """Classes of the tissue with the corrected fibers in the place of those before."""
    shape = (int(tissue.classes.shape[0]), int(tissue.classes.shape[1]))
    old, new = (
        view_on_grid(each, before.mpp, shape, tissue.mpp) for each in (before.labels, labels)
    )
    found = TissueMap(allocate_labels(shape, np.uint8), tissue.mpp)
    for rows, columns in scan_windows(shape):
        classes = np.array(tissue.classes[rows, columns])
        given_up = (np.asarray(old[rows, columns]) > 0) & (np.asarray(new[rows, columns]) == 0)
        given_up &= classes == FIBER
        if given_up.any():
            _fill_in(classes, given_up, (rows.start, columns.start), tissue.classes, new)
        found.classes[rows, columns] = classes
    call_fibers(found, labels, before.mpp)
    return found


def _fill_in(
    classes: NDArray[np.uint8],
    given_up: NDArray[np.bool_],
    origin: tuple[int, int],
    every: LabelArray,
    fibers: LabelArray,
) -> None:
    """Give what is no fiber any more the class of the nearest place that never was one."""
    from scipy.ndimage import distance_transform_edt, find_objects, label

    parts, _ = label(given_up, structure=np.ones((3, 3)))
    for number, (rows, columns) in enumerate(find_objects(parts), 1):
        top, left = rows.start + origin[0], columns.start + origin[1]
        y0, x0 = max(top - NEAR_PX, 0), max(left - NEAR_PX, 0)
        bottom, right = rows.stop + origin[0] + NEAR_PX, columns.stop + origin[1] + NEAR_PX
        around = (slice(y0, bottom), slice(x0, right))
        seen = np.asarray(every[around])
        other = (seen != FIBER) & (np.asarray(fibers[around]) == 0)
        y, x = np.nonzero(parts[rows, columns] == number)
        inside = y + rows.start, x + columns.start
        if not other.any():
            classes[inside] = ENDOMYSIUM
            continue
        nearest = distance_transform_edt(~other, return_distances=False, return_indices=True)
        at = inside[0] + origin[0] - y0, inside[1] + origin[1] - x0
        classes[inside] = seen[nearest[0][at], nearest[1][at]]
