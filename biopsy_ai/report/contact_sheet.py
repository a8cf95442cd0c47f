"""Contact sheets: pictures of the fibers behind a finding, cut out of the section."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.report.backdrop import read_window
from biopsy_ai.report.embedding import as_jpeg
from biopsy_ai.report.finding_parts import NOT_ASSESSABLE, Sheet
from biopsy_ai.report.legend import Color, scale_bar_um
from biopsy_ai.report.pictures import BLACK, VERMILLION, Fibers
from biopsy_ai.report.telling import ORDERS, most_telling

if TYPE_CHECKING:
    from biopsy_ai.slides import Slide

MOST = 12
"""Fibers on a sheet, at most. [default]"""

COLUMNS = 6
TILE_PX, GAP_PX = 190, 6

AROUND = 1.35
"""Side of a picture in extents of the largest fiber on the sheet. [default]"""

AROUND_GROUP = 2.5
"""The same where what lies around a fiber matters. [default]"""

LEAST_UM = 40.0
"""Side of a picture, at least, µm. [default]"""

UNSHOWN = ("absent", NOT_ASSESSABLE)
"""Grades of findings that have no sheet."""

_SHIFT = 4  # polygons are drawn with 1/16 px


def contact_sheets(
    findings: Iterable[Mapping[str, Any]],
    fibers: Fibers,
    table: pd.DataFrame,
    slide: Slide | None,
) -> dict[str, Sheet]:
    """Draw the contact sheet of each finding that is there and names fibers.

    Parameters
    ----------
    findings
        Under ``findings`` in the summary.
    fibers
        Outlines of all fibers.
    table
        One row per fiber, for the order.
    slide
        The section, open; None shows the outlines on white.

    Returns
    -------
    dict
        By name of the finding.
    """
    sheets = {}
    for finding in findings:
        name, labels = str(finding.get("name")), finding.get("labels") or ()
        if finding.get("grade") in UNSHOWN or not labels:
            continue
        drawn = [label for label in labels if label in fibers.polygons]
        chosen, words = most_telling(table, name, drawn, MOST)
        if chosen:
            order = ORDERS.get(name)
            around = AROUND_GROUP if order is not None and order.grouped else AROUND
            sheets[name] = _sheet(chosen, words, set(drawn), fibers, slide, around)
    return sheets


def _sheet(
    chosen: Sequence[int],
    words: str,
    members: set[int],
    fibers: Fibers,
    slide: Slide | None,
    around: float,
) -> Sheet:
    extents = [np.ptp(fibers.polygons[label] * fibers.mpp, axis=0).max() for label in chosen]
    side_um = max(LEAST_UM, around * float(max(extents)))
    near = _Near(members, fibers)
    tiles = [_tile(label, side_um, near, fibers, slide) for label in chosen]
    bar_um = scale_bar_um(2 * side_um)
    _bar(tiles[0], bar_um * TILE_PX / side_um)
    rows = -(-len(tiles) // COLUMNS)
    step = TILE_PX + GAP_PX
    width = min(len(tiles), COLUMNS) * step - GAP_PX
    page = np.full((rows * step - GAP_PX, width, 3), 255, np.uint8)
    for i, tile in enumerate(tiles):
        y, x = (part * step for part in divmod(i, COLUMNS))
        page[y : y + TILE_PX, x : x + TILE_PX] = tile
    share = width / (COLUMNS * step - GAP_PX)
    return Sheet(as_jpeg(page), tuple(chosen), words, bar_um, share)


class _Near:
    """The outlines that show a finding, to be found by where they lie."""

    def __init__(self, members: set[int], fibers: Fibers) -> None:
        self.outlines = [fibers.polygons[label] * fibers.mpp for label in sorted(members)]
        self.low = np.array([points.min(axis=0) for points in self.outlines]).reshape(-1, 2)
        self.high = np.array([points.max(axis=0) for points in self.outlines]).reshape(-1, 2)

    def within(self, low: NDArray[np.float64], side: float) -> list[NDArray[np.float64]]:
        """Those that reach into a square, µm."""
        meets = ((self.high > low) & (self.low < low + side)).all(axis=1)
        return [self.outlines[i] for i in np.flatnonzero(meets)]


def _tile(
    label: int, side_um: float, near: _Near, fibers: Fibers, slide: Slide | None
) -> NDArray[np.uint8]:
    mpp = side_um / TILE_PX
    outline = fibers.polygons[label] * fibers.mpp
    middle = (outline.min(axis=0) + outline.max(axis=0)) / 2
    y, x = (round(float(part) / mpp - TILE_PX / 2) for part in middle)
    if slide is None:
        tile = np.full((TILE_PX, TILE_PX, 3), 255, np.uint8)
    else:
        tile = read_window(slide, y, x, TILE_PX, TILE_PX, mpp)
    corner = np.array([y, x]) * mpp
    _line(tile, near.within(corner, side_um), corner, mpp, BLACK, 1)
    _line(tile, [outline], corner, mpp, VERMILLION, 2, halo=True)
    _number(tile, str(label))
    return tile


def _line(
    tile: NDArray[np.uint8],
    outlines: Sequence[NDArray[np.float64]],
    corner: NDArray[np.float64],
    mpp: float,
    color: Color,
    width: int,
    *,
    halo: bool = False,
) -> None:
    import cv2

    # pixel centers have whole coordinates in OpenCV
    shapes = [
        np.rint(((points - corner) / mpp - 0.5)[:, ::-1] * 2**_SHIFT).astype(np.int32)
        for points in outlines
    ]
    if halo:
        cv2.polylines(tile, shapes, True, (255, 255, 255), width + 2, cv2.LINE_AA, _SHIFT)
    cv2.polylines(tile, shapes, True, color, width, cv2.LINE_AA, _SHIFT)


def _number(tile: NDArray[np.uint8], text: str) -> None:
    import cv2

    for color, width in (((255, 255, 255), 4), (BLACK, 1)):
        at = (5, TILE_PX - 7)
        cv2.putText(tile, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.55, color, width, cv2.LINE_AA)


def _bar(tile: NDArray[np.uint8], length_px: float) -> None:
    right, low = TILE_PX - 6, TILE_PX - 8
    left = right - round(length_px)
    tile[low - 5 : low + 1, left - 1 : right + 1] = 255
    tile[low - 4 : low, left:right] = 0
