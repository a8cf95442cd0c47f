"""Territories of fibers: the places nearest to each, and along which lines they meet."""

from __future__ import annotations

import hashlib
from collections.abc import MutableMapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.labels import GridView, LabelArray, scan_windows
from biopsy_ai.processors import usable_cores, worker_threads
from biopsy_ai.progress import Progress

GRID_MPP = 1.0
"""Side of the square pixels on which territories are drawn, µm. [default]"""
THREADS_MAX = 4
"""Windows that are drawn at the same time; each needs about 200 MB. [default]"""

_AXIS = round(2**16 * np.pi / 8)
_DIAGONAL = round(2**16 * np.pi / 8 / np.sqrt(2))


Lines = NDArray[np.int64]
"""One column per pair that meets: key of the pair, met, met gap, near and near gap."""

Window = tuple[tuple[int, int], tuple[int, int]]
"""First and last row, first and last column of a piece of the grid, half-open."""


@dataclass(frozen=True, eq=False)
class KnownLines:
    """Lines that were drawn before, to be drawn again only where fibers have changed.

    Attributes
    ----------
    drawn
        What is remembered, by window: the state of the fibers there, and their lines. Is added to.
    boxes_um
        (n, 4) box of each fiber, y0, x0, y1, x1, µm.
    marks
        (n, k) what tells a fiber from what it was before: label, area, place.
    """

    drawn: MutableMapping[Window, tuple[bytes, Lines]]
    boxes_um: NDArray[np.float64]
    marks: NDArray[np.float64]

    def state_of(self, window: Window, *widths: float) -> bytes:
        """What the lines in a window depend on."""
        (top, bottom), (left, right) = window
        y0, x0, y1, x1 = (self.boxes_um / GRID_MPP).T
        inside = (y1 > top - 1) & (y0 < bottom + 1) & (x1 > left - 1) & (x0 < right + 1)
        content = self.marks[inside].tobytes() + np.array(widths, float).tobytes()
        return hashlib.blake2b(content, digest_size=16).digest()


def measure_territories(
    fibers: LabelArray,
    mpp: tuple[float, float],
    *,
    gap_um: float,
    reach_um: float,
    known: KnownLines | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Measure the lines along which the territories of fibers meet each other and nothing.

    Parameters
    ----------
    fibers : (H, W) array of int
        Label image, read in windows and never held whole; the result does not depend on them.
    mpp : (y, x) tuple of float
        Pixel size in µm.
    gap_um : float
        Gap up to which two fibers are near each other.
    reach_um : float
        Gap up to which their territories meet, at least `gap_um`; a territory ends at half of it.
    known : KnownLines, optional
        What was drawn before of a section of which little has changed; the result is the same.
    progress : callable, optional
        Called as ``progress("contacts", done, total)`` after every window.

    Returns
    -------
    DataFrame
        One row per pair that meets, ascending: ``label`` and ``neighbor`` (the higher label);
        where a territory meets nothing, or ends outside of the image, one row with ``label`` 0.
        ``met_um`` is the length of the line between the two and ``met_gap_um`` the mean gap along
        it, ``near_um`` the length of the part where the gap is at most `gap_um` and
        ``near_gap_um`` the mean gap there; gaps are NaN where there is no such line.

    Notes
    -----
    The territory of a fiber is what lies nearer to it than to any other (Voronoi diagram of the
    masks), so that two fibers with a third between them do not meet. Lengths are by the Crofton
    formula in four directions. From one fiber pixel over two pixels beside the line to the other
    fiber is one step more than the two distances to the line, and each outline lies half a step
    outside of its pixels: the gap is the sum of the two distances. Sums are of whole numbers, lest
    they depend on their order.
    """
    height, width = (
        int(np.ceil(side * step / GRID_MPP - 1e-6))
        for side, step in zip(fibers.shape[:2], mpp, strict=True)
    )
    view = GridView(fibers, (height, width), (GRID_MPP / mpp[0], GRID_MPP / mpp[1]))
    radius = 0.5 * reach_um / GRID_MPP + 0.5
    margin = int(np.ceil(1.1 * radius)) + 3
    # territories end outside of the image, and what they meet there is nothing
    windows: list[Window] = [
        ((rows.start - 2 * margin, rows.stop), (columns.start - 2 * margin, columns.stop))
        for rows, columns in scan_windows((height + 2 * margin, width + 2 * margin))
    ]

    def draw(window: Window) -> Lines:
        state = b"" if known is None else known.state_of(window, gap_um, reach_um)
        before, lines = (None if known is None else known.drawn.get(window)) or (None, _NOTHING)
        if before != state:
            piece = _read(view, *window)
            lines = _NOTHING
            if (piece > 0).any():
                lines = _lines(piece, margin, radius, gap_um / GRID_MPP)
            if known is not None:
                known.drawn[window] = state, lines
        return lines

    if progress:
        progress("contacts", 0, len(windows))
    parts = []
    with worker_threads("contacts", min(usable_cores(), THREADS_MAX)) as threads:
        for lines in threads.map(draw, windows):
            parts.append(lines)
            if progress:
                progress("contacts", len(parts), len(windows))
    key, met, met_gap, near, near_gap = _summed(np.concatenate([_NOTHING, *parts], axis=1))
    label = key >> 32
    with np.errstate(invalid="ignore"):
        met_mean = np.where(label > 0, met_gap / met, np.nan)
        near_mean = near_gap / near
    return pd.DataFrame(
        {
            "label": label,
            "neighbor": key & (2**32 - 1),
            "met_um": met * (GRID_MPP / 2**16),
            "met_gap_um": met_mean * (GRID_MPP / 2**8),
            "near_um": near * (GRID_MPP / 2**16),
            "near_gap_um": near_mean * (GRID_MPP / 2**8),
        }
    )


_NOTHING = np.empty((5, 0), np.int64)


def _read(view: GridView, rows: tuple[int, int], columns: tuple[int, int]) -> NDArray[np.integer]:
    """Read a window that may go beyond the image, 0 there."""
    ends = [
        (start, stop, side) for (start, stop), side in zip((rows, columns), view.shape, strict=True)
    ]
    inside = [(max(start, 0), min(stop, side)) for start, stop, side in ends]
    piece = np.asarray(view[slice(*inside[0]), slice(*inside[1])])
    beyond = [
        (first - start, stop - last)
        for (first, last), (start, stop, _) in zip(inside, ends, strict=True)
    ]
    return np.pad(piece, beyond)


def _lines(piece: NDArray[np.integer], margin: int, radius: float, near: float) -> Lines:
    """The lines between the territories of a window, a margin around it left out."""
    import cv2

    fiber = piece > 0
    distance, nearest = cv2.distanceTransformWithLabels(
        (~fiber).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # fiber pixels are numbered from 1 in the order of rows
    owner = np.concatenate([np.zeros(1, piece.dtype), piece[fiber]])[nearest.ravel()]
    distance = distance.ravel()
    owner[distance > radius] = 0
    height, width = piece.shape
    found = []
    for step, length in (
        (1, _AXIS),
        (width, _AXIS),
        (width + 1, _DIAGONAL),
        (width - 1, _DIAGONAL),
    ):
        at = np.flatnonzero(owner[:-step] != owner[step:])
        y, x = np.divmod(at, width)
        at = at[(y >= margin) & (y < height - margin) & (x >= margin) & (x < width - margin)]
        one, other = owner[at].astype(np.int64), owner[at + step].astype(np.int64)
        pair = np.minimum(one, other) << 32 | np.maximum(one, other)
        gap = distance[at] + distance[at + step]
        steps = np.rint(gap * 2**8).astype(np.int64) * length
        close = (gap <= near) & (one > 0) & (other > 0)
        met = np.full(len(at), length)
        found.append(np.stack([pair, met, steps, met * close, steps * close]))
    return _summed(np.concatenate(found, axis=1))


def _summed(lines: Lines) -> Lines:
    """One column per key, the first row, with the sums of the others."""
    lines = lines[:, np.argsort(lines[0], kind="stable")]
    first = np.flatnonzero(np.diff(lines[0], prepend=-1))
    if not len(first):
        return lines
    return np.concatenate([lines[:1, first], np.add.reduceat(lines[1:], first, axis=1)])
