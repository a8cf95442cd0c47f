"""Pyramids as the viewer reads them: of slides, of label images, and of tables by label.

A level is sliced like an array, and only what a slice needs is read. Levels of label images follow
what is drawn into the finest, which is the label image itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.labels import LabelArray, allocate_labels, fits_memory

if TYPE_CHECKING:
    from biopsy_ai.slides import Slide

LEVEL_PX = 1024
"""The coarsest level is at most so wide and high, pixels."""

CHUNK_PX = 512
"""Side of the pieces in which slides are read: one or a few tiles of most files, pixels."""

SHRINK = 4
"""A large label image is sampled anew at every so many times coarser level; the levels between are
read from the finer one."""

MAX_LABEL = 1 << 24
"""Tables by label are not made for higher numbers, since every number below takes a byte."""

MARGIN_PX = 16
"""So many pixels around a window are read with it, for the rims of tables."""

BAND_PX = 2048
"""Rows of a large label image that are sampled at a time."""


class Level:
    """What can be sliced like an array, of which only what a slice needs is read.

    Attributes
    ----------
    shape, dtype
        As of an array.
    """

    def __init__(self, shape: Sequence[int], dtype: Any) -> None:
        self.shape: tuple[int, ...] = tuple(int(side) for side in shape)
        self.dtype = np.dtype(dtype)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        (y0, y1, step_y), (x0, x1, step_x) = (
            part.indices(side) for part, side in zip(key[:2], self.shape[:2], strict=True)
        )
        if (step_y, step_x) != (1, 1):
            raise ValueError("levels are read without steps: ask for a coarser one instead")
        return self.read(y0, x0, max(y1 - y0, 0), max(x1 - x0, 0))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:, :], dtype)

    def read(self, y: int, x: int, height: int, width: int) -> NDArray[Any]:
        """Read a window that lies inside the level."""
        raise NotImplementedError


class SlideLevel(Level):
    """One level of a slide, (rows, columns[, channels]) in the type of the slide."""

    def __init__(self, slide: Slide, level: int, channel: int | None = None) -> None:
        """See one channel, or all of them for RGB, of a level of an open slide."""
        rest = () if channel is not None else (slide.n_channels,)
        super().__init__((*slide.level_shapes[level], *rest), slide.dtype)
        self._slide, self._level, self._channel = slide, level, channel

    def read(self, y: int, x: int, height: int, width: int) -> NDArray[Any]:
        scale_y, scale_x = self._slide.level_downsamples[self._level]
        pixels = self._slide.read_region(
            round(y * scale_y), round(x * scale_x), self._level, height, width
        )
        return pixels if self._channel is None else pixels[..., self._channel]


class ShrunkLevel(Level):
    """A level that the file of a slide lacks: every pixel the mean of those under it."""

    def __init__(self, slide: Slide, mpp: float, channel: int | None = None) -> None:
        """See a slide at a pixel size of ``mpp`` µm."""
        rest = () if channel is not None else (slide.n_channels,)
        super().__init__((*slide.grid_shape(mpp), *rest), slide.dtype)
        self._slide, self._mpp, self._channel = slide, mpp, channel

    def read(self, y: int, x: int, height: int, width: int) -> NDArray[Any]:
        channels = None if self._channel is None else [self._channel]
        pixels = self._slide.read(y, x, height, width, self._mpp, channels=channels)
        if self.dtype.kind in "ui":
            pixels = np.rint(pixels)
        stored = pixels.astype(self.dtype)
        return stored if self._channel is None else stored[..., 0]


def slide_levels(slide: Slide, channel: int | None = None) -> list[Any]:
    """Levels of an open slide, finest first, as arrays of which parts are read when they are seen.

    Parameters
    ----------
    slide
        It must stay open for as long as the levels are used; they keep it alive.
    channel
        The one that is wanted; all, for RGB, where it is not given.

    Returns
    -------
    list of dask arrays
        (rows, columns, 3) for RGB, else (rows, columns).
    """
    levels: list[SlideLevel | ShrunkLevel] = [
        SlideLevel(slide, level, channel) for level in range(slide.level_count)
    ]
    mpp = max(
        size * scale for size, scale in zip(slide.mpp, slide.level_downsamples[-1], strict=True)
    )
    while max(levels[-1].shape[:2]) > 2 * LEVEL_PX:
        mpp *= 2
        levels.append(ShrunkLevel(slide, mpp, channel))
    return [_lazily(level) for level in levels]


def _lazily(level: SlideLevel | ShrunkLevel) -> Any:
    import dask.array as da

    chunks = tuple(min(CHUNK_PX, side) for side in level.shape[:2])
    return da.from_array(
        level,
        chunks=(*chunks, *level.shape[2:]),
        name=False,
        asarray=False,
        inline_array=True,
        meta=np.empty((0,) * level.ndim, level.dtype),
    )


class LabelLevel(Level):
    """A label image of which every ``step``-th pixel is seen, the one in the middle."""

    def __init__(self, source: LabelArray, step: int) -> None:
        dtype = getattr(source, "dtype", np.int32)
        super().__init__([-(-(side - step // 2) // step) for side in source.shape[:2]], dtype)
        self._source, self._step = source, step

    def read(self, y: int, x: int, height: int, width: int) -> NDArray[Any]:
        step, half = self._step, self._step // 2
        rows = slice(y * step, (y + height) * step)
        columns = slice(x * step, (x + width) * step)
        return np.asarray(self._source[rows, columns])[half::step, half::step]


class LastWindow(Level):
    """Labels of which the window read last is kept, since several layers ask for the same."""

    def __init__(self, source: Any) -> None:
        super().__init__(source.shape, source.dtype)
        self._source = source
        self._kept: tuple[int, int, NDArray[Any]] | None = None

    def read(self, y: int, x: int, height: int, width: int) -> NDArray[Any]:
        kept = self._kept  # another thread may read meanwhile
        if kept is not None:
            top, left, pixels = kept
            bottom, right = top + pixels.shape[0], left + pixels.shape[1]
            if top <= y and left <= x and y + height <= bottom and x + width <= right:
                return pixels[y - top : y - top + height, x - left : x - left + width]
        top, left = max(y - MARGIN_PX, 0), max(x - MARGIN_PX, 0)
        bottom = min(y + height + MARGIN_PX, self.shape[0])
        right = min(x + width + MARGIN_PX, self.shape[1])
        pixels = np.asarray(self._source[top:bottom, left:right])
        self._kept = (top, left, pixels)
        return pixels[y - top : y - top + height, x - left : x - left + width]

    def forget(self) -> None:
        """Read anew, as the labels have changed."""
        self._kept = None


class LabelPyramid:
    """A label image and coarser copies of it.

    Attributes
    ----------
    levels
        Finest first; the first is the label image that was given.
    table_levels
        The same pixels, for tables to be seen through.
    """

    def __init__(self, labels: LabelArray) -> None:
        self.levels: list[Any] = [labels]
        self._sampled: list[tuple[int, Any]] = []  # step from the one before, and the samples
        source: Any = labels
        while max(self.levels[-1].shape) > LEVEL_PX and min(self.levels[-1].shape) > 1:
            if isinstance(source, np.ndarray):
                # views, which take no memory and are never out of date
                step = 2 * round(source.shape[0] / self.levels[-1].shape[0])
                self.levels.append(source[step // 2 :: step, step // 2 :: step])
                continue
            self.levels.append(LastWindow(LabelLevel(source, SHRINK // 2)))
            sampled = _sample(source, SHRINK)
            self._sampled.append((SHRINK, sampled))
            self.levels.append(sampled)
            source = sampled
        in_memory = isinstance(labels, np.ndarray)
        self.table_levels = [labels if in_memory else LastWindow(labels), *self.levels[1:]]

    def update(self, box: tuple[int, int, int, int] | None = None) -> None:
        """Bring the coarser levels up to date with what was drawn in a box (y0, x0, y1, x1)."""
        for level in self.table_levels:
            if isinstance(level, LastWindow):
                level.forget()
        source = self.levels[0]
        y0, x0, y1, x1 = box if box is not None else (0, 0, *source.shape)
        for step, sampled in self._sampled:
            y0, x0 = y0 // step, x0 // step
            y1, x1 = min(-(-y1 // step), sampled.shape[0]), min(-(-x1 // step), sampled.shape[1])
            if y1 <= y0 or x1 <= x0:
                return
            rows, columns = slice(y0, y1), slice(x0, x1)
            sampled[rows, columns] = LabelLevel(source, step)[rows, columns]
            source = sampled


def _sample(source: LabelArray, step: int) -> Any:
    view = LabelLevel(source, step)
    sampled: Any
    if fits_memory(view.shape):
        sampled = np.zeros(view.shape, view.dtype)
    else:
        sampled = allocate_labels((view.shape[0], view.shape[1]), view.dtype.type)
    band = max(BAND_PX // step, 1)
    for top in range(0, view.shape[0], band):
        rows = slice(top, min(top + band, view.shape[0]))
        sampled[rows, 0 : view.shape[1]] = view[rows, 0 : view.shape[1]]
    return sampled


class LabelTable:
    """A small number for every label, which can be changed; 0 for all that are not named.

    Attributes
    ----------
    values
        (n,) uint8 or uint16 by label; the last one stands for all higher labels and is 0.
    """

    def __init__(self, dtype: Any = np.uint8) -> None:
        self.values: NDArray[Any] = np.zeros(2, dtype)

    def set(self, labels: NDArray[Any], values: Any) -> None:
        """Forget all, and give values to some labels."""
        labels = np.asarray(labels, np.int64)
        highest = int(labels.max(initial=0))
        if highest >= MAX_LABEL:
            raise ValueError(f"the label {highest} is too high to be looked up")
        table = np.zeros(max(highest + 2, 2), self.values.dtype)
        table[labels] = values
        table[0] = 0
        self.values = table

    def __getitem__(self, labels: NDArray[Any]) -> NDArray[Any]:
        return np.take(self.values, labels, mode="clip")


class TableLevel(Level):
    """A level of a label image seen through a table; optionally only the rims of what it names."""

    def __init__(self, source: Any, table: LabelTable, rim_px: int = 0) -> None:
        """See ``table[label]`` of pixels; of those near the rim of their label if given."""
        super().__init__(source.shape, table.values.dtype)
        self._source, self._table, self._rim = source, table, rim_px

    def read(self, y: int, x: int, height: int, width: int) -> NDArray[Any]:
        top, left = max(y - self._rim, 0), max(x - self._rim, 0)
        bottom, right = y + height + self._rim, x + width + self._rim
        labels = np.asarray(self._source[top:bottom, left:right])
        named = self._table[labels]
        if self._rim and named.any():
            named[~near_rim(labels, self._rim)] = 0
        return named[y - top :, x - left :][:height, :width]


def near_rim(labels: NDArray[Any], distance: int) -> NDArray[np.bool_]:
    """Pixels that lie less than so many pixels, counted along both axes, from another label."""
    import cv2

    rim = np.zeros(labels.shape, np.uint8)
    below = labels[1:] != labels[:-1]
    beside = labels[:, 1:] != labels[:, :-1]
    rim[1:] |= below
    rim[:-1] |= below
    rim[:, 1:] |= beside
    rim[:, :-1] |= beside
    if distance > 1:
        side = 2 * distance - 1
        rim = cv2.dilate(rim, np.ones((side, side), np.uint8))
    return np.asarray(rim, bool)


class TablePyramid:
    """A label pyramid seen through a table, as a labels layer of its own.

    Attributes
    ----------
    table
        Change it with `set`.
    levels
        Finest first.
    """

    def __init__(self, pyramid: LabelPyramid, dtype: Any = np.uint8, rim_px: int = 0) -> None:
        self._pyramid = pyramid
        self.table = LabelTable(dtype)
        self._lazy = [TableLevel(level, self.table, rim_px) for level in pyramid.table_levels]
        # The viewer keeps what it once read of the coarsest level: that is changed in place.
        self._coarsest = np.zeros(self._lazy[-1].shape, dtype)
        self.levels: list[Any] = [*self._lazy[:-1], self._coarsest]

    def set(self, labels: NDArray[Any], values: Any) -> None:
        """Forget all, and give values to some labels."""
        self.table.set(labels, values)
        self.update()

    def update(self) -> None:
        """Follow what was drawn into the labels."""
        self._coarsest[...] = self._lazy[-1][:, :]
