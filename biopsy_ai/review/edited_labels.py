"""A label image that is drawn into while the one that it came from stays as it is."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.labels import CHUNK_PX, LabelArray, WritableLabelArray, fits_memory

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

    Reads and writes by slices of step 1, like a zarr array, from any thread.

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
        self.chunks = (CHUNK_PX, CHUNK_PX)
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
        rows, columns, single = self._ranges(key)
        # the source gives a large window faster at once than by pieces, which it also pushes out
        at_once = len(rows) * len(columns) > AT_ONCE_PX
        with self._guard:
            if at_once:
                window = slice(rows.start, rows.stop), slice(columns.start, columns.stop)
                out = np.array(self.source[window], dtype=np.int32)
            else:
                out = np.empty((len(rows), len(columns)), np.int32)
            for chunk, there, here in self._pieces(rows, columns):
                if not at_once or chunk in self._drawn:
                    out[here] = self._chunk(chunk)[there]
        out = out[:, 0] if single[1] else out
        return out[0] if single[0] else out

    def __setitem__(self, key: Any, value: Any) -> None:
        rows, columns, single = self._ranges(key)
        shape = tuple(
            n for n, one in zip((len(rows), len(columns)), single, strict=True) if not one
        )
        pixels = np.broadcast_to(np.asarray(value, np.int32), shape)
        pixels = pixels.reshape(len(rows), len(columns))
        with self._guard:
            for chunk, there, here in self._pieces(rows, columns):
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

    def _ranges(self, key: Any) -> tuple[range, range, tuple[bool, bool]]:
        parts = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in parts:
            at = parts.index(Ellipsis)
            parts[at : at + 1] = [slice(None)] * (3 - len(parts))
        parts += [slice(None)] * (2 - len(parts))
        found, single = [], []
        for part, side in zip(parts, self.shape, strict=True):
            single.append(not isinstance(part, slice))
            if isinstance(part, slice):
                found.append(range(*part.indices(side)))
                if found[-1].step != 1:
                    raise IndexError("pixels are read and written side by side, with step 1")
                continue
            place = int(part) + (side if part < 0 else 0)
            if not 0 <= place < side:
                raise IndexError(f"there is no row or column {part} among {side}")
            found.append(range(place, place + 1))
        return found[0], found[1], (single[0], single[1])

    @staticmethod
    def _pieces(rows: range, columns: range) -> Any:
        """Chunks that a window touches, with the place in the chunk and that in the window."""
        if not len(rows) or not len(columns):
            return
        for cy in range(rows.start // CHUNK_PX, (rows.stop - 1) // CHUNK_PX + 1):
            for cx in range(columns.start // CHUNK_PX, (columns.stop - 1) // CHUNK_PX + 1):
                there, here = [], []
                for number, part in ((cy, rows), (cx, columns)):
                    start = max(part.start, number * CHUNK_PX)
                    stop = min(part.stop, (number + 1) * CHUNK_PX)
                    there.append(slice(start - number * CHUNK_PX, stop - number * CHUNK_PX))
                    here.append(slice(start - part.start, stop - part.start))
                yield (cy, cx), tuple(there), tuple(here)

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
        height, width = min(CHUNK_PX, self.shape[0] - y), min(CHUNK_PX, self.shape[1] - x)
        import imagecodecs

        if chunk in self._cold:
            raw = imagecodecs.zstd_decode(self._cold[chunk])
            return np.frombuffer(bytearray(raw), np.int32).reshape(height, width)
        return np.array(self.source[y : y + height, x : x + width], dtype=np.int32)
