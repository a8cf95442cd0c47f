"""A label image that is drawn into while the one that it came from stays as it is."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.labels import LabelArray, WritableLabelArray, fits_memory
from biopsy_ai.packed_labels import CHUNK_PX, as_window, chunk_shape, pieces, window_ranges

HOT_CHUNKS = 64
"""Pieces that are held as they are, those used last; 1 MB each. Others that were drawn into are
compressed, and those that were not are read from the source again."""

AT_ONCE_PX = 4 * CHUNK_PX**2
"""Windows of more pixels are read from the source at once."""


def editable(labels: LabelArray) -> WritableLabelArray:
    """Give a copy of a label image to draw into, of which a large one holds only what changes."""
    if isinstance(labels, np.ndarray) and fits_memory(labels.shape):
        return np.array(labels, dtype=np.int32)
    return EditedLabels(labels)


def frozen_copy(labels: WritableLabelArray) -> LabelArray:
    """Give a copy of an `editable` label image that later changes do not reach."""
    return labels.copy() if isinstance(labels, EditedLabels) else np.array(labels)


class EditedLabels:
    """A large label image with changes laid over it.

    Reads and writes by slices of step 1, from any thread.

    Parameters
    ----------
    source : (H, W) array of int
        Is never written.
    """

    dtype = np.dtype(np.int32)
    ndim = 2

    def __init__(self, source: LabelArray) -> None:
        self.source = source
        self.shape: tuple[int, int] = (int(source.shape[0]), int(source.shape[1]))
        self._cold: dict[tuple[int, int], bytes] = {}
        self._hot: OrderedDict[tuple[int, int], NDArray[np.int32]] = OrderedDict()
        self._drawn: set[tuple[int, int]] = set()
        self._guard = threading.RLock()

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[0 : self.shape[0], 0 : self.shape[1]], dtype=dtype)

    def __getitem__(self, key: Any) -> Any:
        rows, columns, single = window_ranges(key, self.shape)
        # the source gives a large window faster at once than by pieces, which it also pushes out
        at_once = len(rows) * len(columns) > AT_ONCE_PX
        with self._guard:
            if at_once:
                window = slice(rows.start, rows.stop), slice(columns.start, columns.stop)
                out = np.array(self.source[window], dtype=np.int32)
            else:
                out = np.empty((len(rows), len(columns)), np.int32)
            for chunk, there, here in pieces(rows, columns):
                if not at_once or chunk in self._drawn:
                    out[here] = self._chunk(chunk)[there]
        out = out[:, 0] if single[1] else out
        return out[0] if single[0] else out

    def __setitem__(self, key: Any, value: Any) -> None:
        rows, columns, single = window_ranges(key, self.shape)
        pixels = as_window(np.asarray(value, np.int32), rows, columns, single)
        with self._guard:
            for chunk, there, here in pieces(rows, columns):
                self._chunk(chunk)[there] = pixels[here]
                self._drawn.add(chunk)

    def copy(self) -> EditedLabels:
        """The same pixels, apart from then on."""
        twin = EditedLabels(self.source)
        with self._guard:
            twin._cold = dict(self._cold)
            twin._drawn = set(self._drawn)
            for chunk in self._hot:
                if chunk in self._drawn:
                    twin._hot[chunk] = self._hot[chunk].copy()
        return twin

    def _chunk(self, chunk: tuple[int, int]) -> NDArray[np.int32]:
        import imagecodecs

        found = self._hot.get(chunk)
        if found is None:
            found = self._load(chunk)
            self._hot[chunk] = found
            if len(self._hot) > HOT_CHUNKS:
                old, pixels = self._hot.popitem(last=False)
                if old in self._drawn:
                    self._cold[old] = bytes(imagecodecs.zstd_encode(pixels.tobytes(), level=1))
        self._hot.move_to_end(chunk)
        return found

    def _load(self, chunk: tuple[int, int]) -> NDArray[np.int32]:
        y, x = (number * CHUNK_PX for number in chunk)
        height, width = chunk_shape(chunk, self.shape)
        import imagecodecs

        if chunk in self._cold:
            raw = imagecodecs.zstd_decode(self._cold[chunk])
            return np.frombuffer(bytearray(raw), np.int32).reshape(height, width)
        return np.array(self.source[y : y + height, x : x + width], dtype=np.int32)
