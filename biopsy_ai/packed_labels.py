"""A large label image in memory, in compressed squares."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHUNK_PX = 512
"""Side of the squares."""

Window = tuple[slice, slice]


class PackedLabels:
    """A label image that begins empty and is kept compressed.

    Reads and writes by slices of step 1, from any thread. Steps of an analysis read it many times,
    so its compression is the one that is undone fastest.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    dtype : type
        Of its pixels.
    """

    ndim = 2

    def __init__(self, shape: tuple[int, int], dtype: type[np.integer] = np.int32) -> None:
        self.shape = (int(shape[0]), int(shape[1]))
        self.dtype = np.dtype(dtype)
        self._packed: dict[tuple[int, int], bytes] = {}
        self._writing = threading.Lock()

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:, :], dtype=dtype)

    def __getitem__(self, key: Any) -> Any:
        rows, columns, single = window_ranges(key, self.shape)
        out = np.zeros((len(rows), len(columns)), self.dtype)
        for chunk, there, here in pieces(rows, columns):
            packed = self._packed.get(chunk)
            if packed is not None:
                out[here] = self._unpack(chunk, packed)[there]
        out = out[:, 0] if single[1] else out
        return out[0] if single[0] else out

    def __setitem__(self, key: Any, value: Any) -> None:
        rows, columns, single = window_ranges(key, self.shape)
        pixels = as_window(np.asarray(value, self.dtype), rows, columns, single)
        with self._writing:
            for chunk, there, here in pieces(rows, columns):
                shape = chunk_shape(chunk, self.shape)
                part = pixels[here]
                if part.shape != shape:
                    whole = np.zeros(shape, self.dtype)
                    if chunk in self._packed:
                        whole[...] = self._unpack(chunk, self._packed[chunk])
                    whole[there] = part
                    part = whole
                self._pack(chunk, part)

    def _pack(self, chunk: tuple[int, int], pixels: NDArray[Any]) -> None:
        import imagecodecs

        if pixels.any():
            raw = np.ascontiguousarray(pixels).tobytes()
            self._packed[chunk] = bytes(imagecodecs.lz4_encode(raw, header=True))
        else:
            self._packed.pop(chunk, None)

    def _unpack(self, chunk: tuple[int, int], packed: bytes) -> NDArray[Any]:
        import imagecodecs

        raw = imagecodecs.lz4_decode(packed, header=True)
        return np.frombuffer(raw, self.dtype).reshape(chunk_shape(chunk, self.shape))


def window_ranges(key: Any, shape: tuple[int, int]) -> tuple[range, range, tuple[bool, bool]]:
    """Rows and columns that an index means, and which of the two it names by a single number.

    Raises
    ------
    IndexError
        If it names a place outside of the image, or leaves pixels out.
    """
    parts = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = [slice(None)] * (3 - len(parts))
    parts += [slice(None)] * (2 - len(parts))
    found, single = [], []
    for part, side in zip(parts, shape, strict=True):
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


def as_window(
    value: NDArray[Any], rows: range, columns: range, single: tuple[bool, bool]
) -> NDArray[Any]:
    """See what is assigned to a window as (rows, columns) pixels."""
    shape = tuple(n for n, one in zip((len(rows), len(columns)), single, strict=True) if not one)
    return np.broadcast_to(value, shape).reshape(len(rows), len(columns))


def pieces(rows: range, columns: range) -> Iterator[tuple[tuple[int, int], Window, Window]]:
    """Squares that a window touches, with the place in the square and that in the window."""
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
            yield (cy, cx), (there[0], there[1]), (here[0], here[1])


def chunk_shape(chunk: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of a square, which the end of the image may cut."""
    height, width = (
        min(CHUNK_PX, side - CHUNK_PX * number) for side, number in zip(shape, chunk, strict=True)
    )
    return height, width
