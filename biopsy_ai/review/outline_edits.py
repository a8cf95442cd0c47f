"""Corrections of outlines in a whole section: the pieces they need, and the patches they give."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import ReviewError
from biopsy_ai.labels import read_windows
from biopsy_ai.review import operations
from biopsy_ai.review.corrected_section import CorrectedSection
from biopsy_ai.review.operations import LINE_BEYOND_UM, MAX_SIDE_UM, MERGE_GAP_UM, Corrected
from biopsy_ai.review.patch import Box, Patch, find_patch, read_box, union_of

LARGEST_LABEL = int(np.iinfo(np.int32).max)
"""What the label image can hold."""


@dataclass(frozen=True, eq=False)
class Edit:
    """What a correction of outlines does, as `biopsy_ai.review.entry.Entry` tells it."""

    patches: tuple[Patch, ...] = ()
    outlined: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    parents: dict[int, int] = field(default_factory=dict)


def delete(section: CorrectedSection, labels: list[int]) -> Edit:
    """Make background of fibers, of which there may be many all over the section."""
    boxes = section.boxes[section.rows_of(labels)]
    patches: list[Patch] = []
    for piece, (top, left), members in read_windows(section.labels, boxes):
        for row in members.tolist():
            y0, x0, y1, x1 = boxes[row].tolist()
            crop = np.asarray(piece[y0 - top : y1 - top, x0 - left : x1 - left], np.int32)
            found = find_patch(crop, operations.delete(crop, [labels[row]]).pixels, (y0, x0))
            if found is not None:
                patches.append(found)
    return Edit(tuple(patches), removed=tuple(labels))


def merge(section: CorrectedSection, labels: list[int]) -> Edit:
    """Make one fiber of several."""
    boxes = [section.box_of(label) for label in labels]
    # far too far apart is told before a large piece is read
    around = _piece(section, boxes, MERGE_GAP_UM, "Fibers that lie side by side can be merged.")
    piece = read_box(section.labels, around)
    return _edit(piece, operations.merge(piece, labels, _mpp(section)), around)


def split(section: CorrectedSection, label: int, line_um: Any, next_label: int) -> Edit:
    """Part a fiber along a line."""
    box = section.box_of(label)
    line = _points(section, line_um, 2, "the line needs two or more points")
    around = _piece(section, [box], LINE_BEYOND_UM, "Draw the fiber anew.")
    piece = read_box(section.labels, around)
    corrected = operations.split(piece, label, line - around[:2], _mpp(section), next_label)
    return _edit(piece, corrected, around)


def redraw(section: CorrectedSection, label: int, outline_um: Any) -> Edit:
    """Replace the outline of a fiber."""
    box = section.box_of(label)
    outline = _outline(section, outline_um)
    around = _piece(section, [box, _bounds(outline)], 1.0, "Draw the outline around the fiber.")
    piece = read_box(section.labels, around)
    corrected = operations.redraw(piece, label, outline - around[:2], _mpp(section))
    return _edit(piece, corrected, around)


def draw(section: CorrectedSection, outline_um: Any, next_label: int) -> Edit:
    """Add a fiber."""
    outline = _outline(section, outline_um)
    around = _piece(section, [_bounds(outline)], 1.0, "Draw the outline around one fiber.")
    piece = read_box(section.labels, around)
    corrected = operations.draw(piece, outline - around[:2], _mpp(section), next_label)
    return _edit(piece, corrected, around)


def _edit(piece: NDArray[np.int32], corrected: Corrected, around: Box) -> Edit:
    patch = find_patch(piece, corrected.pixels, around[:2])
    if patch is None:
        raise ReviewError("that outline is the one that the fiber has already.")
    if max(corrected.outlined, default=0) > LARGEST_LABEL:
        raise ReviewError("there are no more numbers for new fibers in this section.")
    return Edit((patch,), corrected.outlined, corrected.removed, corrected.parents)


def _mpp(section: CorrectedSection) -> tuple[float, float]:
    return section.saved.segmentation.mpp


def _points(
    section: CorrectedSection, points_um: Any, least: int, too_few: str
) -> NDArray[np.float64]:
    """Points that a user drew, in pixels of the label image, none twice in a row."""
    try:
        points = np.asarray(points_um, np.float64)
        if points.size and (points.ndim != 2 or points.shape[1] != 2):
            raise ValueError("no two numbers for each point")
    except (TypeError, ValueError):
        raise ReviewError("what was drawn is no list of points (y, x). Draw it again.") from None
    points = points.reshape(-1, 2)
    if not np.isfinite(points).all():
        raise ReviewError("what was drawn has points without a place. Draw it again.")
    if len(points):
        points = points[np.append(True, (np.diff(points, axis=0) != 0).any(axis=1))]
    if len(points) < least:
        raise ReviewError(f"{too_few}. Draw it again.")
    pixels = points / _mpp(section)
    height, width = section.labels.shape
    if not (
        (pixels.max(axis=0) > 0).all()
        and pixels[:, 0].min() < height
        and pixels[:, 1].min() < width
    ):
        raise ReviewError("what was drawn lies outside of the image. Draw it on the section.")
    return pixels


def _outline(section: CorrectedSection, outline_um: Any) -> NDArray[np.float64]:
    return _points(section, outline_um, 3, "the outline needs three or more points")


def _bounds(points: NDArray[np.float64]) -> Box:
    y0, x0 = np.floor(points.min(axis=0)).astype(int).tolist()
    y1, x1 = np.ceil(points.max(axis=0)).astype(int).tolist()
    return y0, x0, y1 + 1, x1 + 1


def _piece(section: CorrectedSection, boxes: Iterable[Box], around_um: float, advice: str) -> Box:
    """The box around several, and some µm more, inside of the image."""
    whole = union_of(list(boxes))
    assert whole is not None
    mpp = _mpp(section)
    height, width = section.labels.shape
    sides_um = (whole[2] - whole[0]) * mpp[0], (whole[3] - whole[1]) * mpp[1]
    if max(sides_um) > MAX_SIDE_UM:
        raise ReviewError(
            f"that is {max(sides_um):.0f} µm wide; at most {MAX_SIDE_UM:.0f} µm can be changed at "
            f"once. {advice}"
        )
    # two pixels more: outlines keep one from their neighbors
    y, x = (int(np.ceil(around_um / side)) + 2 for side in mpp)
    y0, x0, y1, x1 = whole
    return max(y0 - y, 0), max(x0 - x, 0), min(y1 + y, height), min(x1 + x, width)
