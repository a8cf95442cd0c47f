"""Label images of any size: where they are kept, what lies where, reading them in few pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from biopsy_ai.packed_labels import PackedLabels

WINDOW_PX = 2048
"""Side of the pieces in which a label image is read."""

IN_MEMORY_PX = 64_000_000
"""What has up to so many pixels is held whole, what is larger by parts or on disk."""


class LabelArray(Protocol):
    """A label image that can be sliced: a numpy array, `PackedLabels`, or a zarr array."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, key: Any, /) -> Any: ...


class WritableLabelArray(LabelArray, Protocol):
    """A label image that can be drawn into."""

    def __setitem__(self, key: Any, value: Any, /) -> None: ...


@dataclass(frozen=True, eq=False)
class GridView:
    """A label image as seen on another grid that begins at the same top left corner.

    Each pixel shows the pixel of the source under its center, so that labels are never mixed.
    Sliced like the source, of which only what a slice needs is read.

    Attributes
    ----------
    source
        (H, W) label image.
    shape
        Rows and columns of the view.
    scale
        Source pixels per pixel of the view (y, x): above 1 the view is coarser.
    """

    source: LabelArray
    shape: tuple[int, int]
    scale: tuple[float, float]

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(getattr(self.source, "dtype", np.int64))

    def __getitem__(self, key: tuple[slice, slice], /) -> np.ndarray:
        at = [self._under(part, axis) for axis, part in enumerate(key)]
        if not all(len(indices) for indices in at):
            return np.empty([len(indices) for indices in at], self.dtype)
        rows, columns = at
        part = self.source[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        # the axis that grows comes last, whole rows first: twice as fast as both at once
        part = np.asarray(part)
        if self.scale[0] >= 1:
            return part[rows - rows[0]].take(columns - columns[0], axis=1)
        return part.take(columns - columns[0], axis=1)[rows - rows[0]]

    def _under(self, part: slice, axis: int) -> np.ndarray:
        """Source rows or columns under the centers of a slice of the view."""
        positions = np.arange(*part.indices(self.shape[axis]))
        under = ((positions + 0.5) * self.scale[axis]).astype(np.intp)
        return np.minimum(under, self.source.shape[axis] - 1)


def view_on_grid(
    source: LabelArray,
    mpp: tuple[float, float],
    shape: tuple[int, ...],
    view_mpp: tuple[float, float],
) -> LabelArray:
    """See a label image on another grid that begins at the same top left corner.

    Parameters
    ----------
    source
        (H, W) label image.
    mpp
        Its pixel size (y, x), µm.
    shape, view_mpp
        Rows and columns, and pixel size (y, x) in µm, of the grid wanted.

    Returns
    -------
    LabelArray
        The source itself where the grids are the same, else a `GridView`.
    """
    height, width = int(shape[0]), int(shape[1])
    scale = view_mpp[0] / mpp[0], view_mpp[1] / mpp[1]
    if tuple(source.shape[:2]) == (height, width) and np.allclose(scale, 1.0, rtol=1e-6):
        return source
    return GridView(source, (height, width), scale)


def read_sampled(source: LabelArray, scale: float) -> np.ndarray:
    """Read one pixel out of every ``scale`` x ``scale``, the one in the middle.

    Parameters
    ----------
    source
        (H, W) label image; read in windows, never held whole.
    scale
        Pixels per pixel wanted, 1 or more.

    Returns
    -------
    (h, w) ndarray
        With ``h = ceil(H / scale)``.
    """
    shape = (int(np.ceil(source.shape[0] / scale)), int(np.ceil(source.shape[1] / scale)))
    view = GridView(source, shape, (scale, scale))
    sampled = np.empty(shape, view.dtype)
    side = max(int(WINDOW_PX / scale), 1)
    for y in range(0, shape[0], side):
        for x in range(0, shape[1], side):
            window = (slice(y, y + side), slice(x, x + side))
            sampled[window] = view[window]
    return sampled


def coarse_shape(shape: tuple[int, ...], step: int) -> tuple[int, int]:
    """Rows and columns of an image whose pixels are ``step`` times as wide."""
    return -(-int(shape[0]) // step), -(-int(shape[1]) // step)


def fits_memory(shape: tuple[int, ...]) -> bool:
    """Say whether an image of so many rows and columns is held whole."""
    return shape[0] * shape[1] <= IN_MEMORY_PX


def allocate_labels(
    shape: tuple[int, int], dtype: type[np.integer] = np.int32
) -> WritableLabelArray:
    """Make an empty label image, in memory; compressed where it is large.

    A compressed label image takes about 0.1 byte per pixel, so the 1.6 gigapixels of the largest
    sections need less memory than one window.

    Parameters
    ----------
    shape
        Rows and columns.
    dtype
        Of its pixels.

    Returns
    -------
    (H, W) array of int32 or whatever was asked for, all 0
    """
    if fits_memory(shape):
        return np.zeros(shape, dtype)
    return PackedLabels(shape, dtype)


def scan_windows(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Cut an image into windows of `WINDOW_PX`, without overlap.

    Parameters
    ----------
    shape
        Rows and columns.

    Yields
    ------
    rows, columns : slice
    """
    height, width = int(shape[0]), int(shape[1])
    for y in range(0, height, WINDOW_PX):
        for x in range(0, width, WINDOW_PX):
            yield slice(y, min(y + WINDOW_PX, height)), slice(x, min(x + WINDOW_PX, width))


def find_boxes(labels: LabelArray) -> tuple[np.ndarray, np.ndarray]:
    """Find the labels of an image and the box around each.

    Parameters
    ----------
    labels : (H, W) array of int
        0 and below is background. Read in windows; never held whole.

    Returns
    -------
    ids : (n,) ndarray of int64
        Labels present, ascending.
    boxes : (n, 4) ndarray of int64
        y0, x0, y1, x1, half-open.
    """
    finder = BoxFinder()
    for rows, columns in scan_windows(labels.shape):
        finder.look(np.asarray(labels[rows, columns]), (rows.start, columns.start))
    return finder.found()


class BoxFinder:
    """Finds labels and their boxes in an image that is seen piece by piece."""

    def __init__(self) -> None:
        self._found: list[np.ndarray] = []

    def look(self, window: np.ndarray, origin: tuple[int, int]) -> None:
        """Look at a piece whose first pixel lies at `origin`."""
        y, x = origin
        runs = _runs(window)
        if len(runs):
            self._found.append(_merge(runs + np.array([0, y, x, y, x])))

    def found(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels and boxes of all that was seen, as `find_boxes` gives them."""
        if not self._found:
            return np.empty(0, dtype=np.int64), np.empty((0, 4), dtype=np.int64)
        merged = _merge(np.concatenate(self._found))
        return merged[:, 0], merged[:, 1:]


def _runs(window: np.ndarray) -> np.ndarray:
    """Horizontal runs of equal label as rows of label, y0, x0, y1, x1."""
    starts = np.ones(window.shape, dtype=bool)
    starts[:, 1:] = window[:, 1:] != window[:, :-1]
    flat = np.flatnonzero(starts)
    label = window.reshape(-1)[flat]
    rows, cols = np.divmod(flat, window.shape[1])
    ends = np.append(flat[1:], window.size) - flat + cols
    runs = np.stack([label.astype(np.int64), rows, cols, rows + 1, ends], axis=1)
    return runs[label > 0]


def _merge(boxes: np.ndarray) -> np.ndarray:
    """One row per label, with the box around all rows of that label."""
    boxes = boxes[np.argsort(boxes[:, 0], kind="stable")]
    first = np.flatnonzero(np.diff(boxes[:, 0], prepend=boxes[0, 0] - 1))
    return np.concatenate(
        [
            boxes[first, :1],
            np.minimum.reduceat(boxes[:, 1:3], first, axis=0),
            np.maximum.reduceat(boxes[:, 3:], first, axis=0),
        ],
        axis=1,
    )


def read_windows(
    labels: LabelArray, boxes: np.ndarray
) -> Iterator[tuple[np.ndarray, tuple[int, int], np.ndarray]]:
    """Read a label image so that every box lies whole in one piece.

    Boxes that begin in the same square of `WINDOW_PX` are read together; a larger one is read
    on its own, lest it widen what is read with it.

    Parameters
    ----------
    labels : (H, W) array of int
    boxes : (n, 4) ndarray of int
        y0, x0, y1, x1, half-open.

    Yields
    ------
    piece : (h, w) ndarray of int
    origin : (y, x) tuple of int
        Where its first pixel lies.
    members : (m,) ndarray of int
        Rows of ``boxes`` that lie in it. Every row comes once.
    """
    if not len(boxes):
        return
    columns = int(boxes[:, 1].max()) // WINDOW_PX + 1
    square = boxes[:, 0] // WINDOW_PX * columns + boxes[:, 1] // WINDOW_PX
    order = np.argsort(square, kind="stable")
    large = (boxes[:, 2:] - boxes[:, :2]).max(axis=1) > WINDOW_PX
    for group in np.split(order, np.flatnonzero(np.diff(square[order])) + 1):
        alone = [row[None] for row in group[large[group]]]
        yield from _read_groups(labels, boxes, [group[~large[group]], *alone])


def _read_groups(
    labels: LabelArray, boxes: np.ndarray, groups: list[np.ndarray]
) -> Iterator[tuple[np.ndarray, tuple[int, int], np.ndarray]]:
    for members in groups:
        if not members.size:
            continue
        y, x = (int(start) for start in boxes[members, :2].min(axis=0))
        y1, x1 = (int(end) for end in boxes[members, 2:].max(axis=0))
        yield np.asarray(labels[y:y1, x:x1]), (y, x), members
