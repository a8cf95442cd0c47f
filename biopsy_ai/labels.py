"""Label images of any size: where they are kept, what lies where, reading them in few pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

WINDOW_PX = 2048
"""Side of the pieces in which a label image is read."""

IN_MEMORY_PX = 64_000_000
"""What has up to so many pixels is held whole, what is larger by parts or on disk."""

CHUNK_PX = 512
"""Side of the compressed pieces of a large label image."""


class LabelArray(Protocol):
    """A label image that can be sliced: a numpy array, or a zarr array on disk."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, key: Any, /) -> Any: ...


class WritableLabelArray(LabelArray, Protocol):
    """A label image that can be drawn into."""

    def __setitem__(self, key: Any, value: Any, /) -> None: ...


def fits_memory(shape: tuple[int, ...]) -> bool:
    """Say whether an image of so many rows and columns is held whole."""
    return shape[0] * shape[1] <= IN_MEMORY_PX


def allocate_labels(shape: tuple[int, int]) -> WritableLabelArray:
    """Make an empty label image, in memory; compressed where it is large.

    A compressed label image takes about 0.1 byte per pixel, so the 1.6 gigapixels of the largest
    sections need less memory than one window.

    Parameters
    ----------
    shape
        Rows and columns.

    Returns
    -------
    (H, W) array of int32, all 0
    """
    if fits_memory(shape):
        return np.zeros(shape, np.int32)
    import zarr
    from zarr.storage import MemoryStore

    return zarr.create_array(
        store=MemoryStore(),
        shape=shape,
        chunks=(CHUNK_PX, CHUNK_PX),
        dtype="int32",
        fill_value=0,
    )


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
    height, width = int(labels.shape[0]), int(labels.shape[1])
    found: list[np.ndarray] = []
    for y in range(0, height, WINDOW_PX):
        for x in range(0, width, WINDOW_PX):
            window = np.asarray(labels[y : y + WINDOW_PX, x : x + WINDOW_PX])
            runs = _runs(window)
            if len(runs):
                found.append(_merge(runs + np.array([0, y, x, y, x])))
    if not found:
        return np.empty(0, dtype=np.int64), np.empty((0, 4), dtype=np.int64)
    merged = _merge(np.concatenate(found))
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
