"""Maps of a whole slide, held in memory while small and in a temporary file when large."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import OutputError
from biopsy_ai.labels import fits_memory
from biopsy_ai.segmentation.drawing import PLANES, FiberMaps

BLOCK_PX = 512
"""Side of the squares that maps are stored in, pixels of the working grid."""


class MapStore:
    """Blocks of the maps of a slide; blocks never written read as zero.

    Reads and writes may come from any thread. The temporary file has no name and vanishes with
    the process; its pages do not count as memory of the process.

    Parameters
    ----------
    shape
        (H, W) of the slide on the working grid.
    planes
        Names of the maps that are stored, of those in `PLANES` and in their order.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        planes: Sequence[str] = ("foreground", "border", "distance"),
    ) -> None:
        self.shape = shape
        self._steps = {name: PLANES[name] for name in planes}
        self._block_bytes = sum((BLOCK_PX // step) ** 2 for step in self._steps.values())
        self._lock = threading.Lock()
        self._memory: dict[tuple[int, int], bytes] = {}
        self._slots: dict[tuple[int, int], int] = {}
        self._file: IO[bytes] | None = None
        if not fits_memory(shape):
            try:
                self._file = tempfile.TemporaryFile(prefix="biopsy-ai-", buffering=0)
            except OSError as error:
                raise _scratch_error(error) from error

    def close(self) -> None:
        """Free the memory or remove the file."""
        self._memory.clear()
        if self._file is not None:
            self._file.close()

    def write(self, y0: int, x0: int, maps: FiberMaps) -> None:
        """Store maps at an even position. Every block that they touch is replaced as a whole."""
        height, width = maps.foreground.shape
        for by in range(y0 // BLOCK_PX, -(-(y0 + height) // BLOCK_PX)):
            for bx in range(x0 // BLOCK_PX, -(-(x0 + width) // BLOCK_PX)):
                block = _cut(maps, self._steps, by * BLOCK_PX - y0, bx * BLOCK_PX - x0)
                self._put((by, bx), block)

    def read(self, y0: int, x0: int, y1: int, x1: int) -> FiberMaps:
        """Read the maps of a rectangle, half-open, even numbers, zero beyond what was written."""
        height, width = y1 - y0, x1 - x0
        found = {
            name: np.zeros((height // step, width // step), np.uint8)
            for name, step in self._steps.items()
        }
        for by in range(y0 // BLOCK_PX, -(-y1 // BLOCK_PX)):
            for bx in range(x0 // BLOCK_PX, -(-x1 // BLOCK_PX)):
                block = self._get((by, bx))
                if block is None:
                    continue
                top, left = by * BLOCK_PX, bx * BLOCK_PX
                r0, r1 = max(y0, top), min(y1, top + BLOCK_PX)
                c0, c1 = max(x0, left), min(x1, left + BLOCK_PX)
                for (name, step), source in zip(
                    self._steps.items(), _parts(block, self._steps.values()), strict=True
                ):
                    found[name][
                        (r0 - y0) // step : (r1 - y0) // step, (c0 - x0) // step : (c1 - x0) // step
                    ] = source[
                        (r0 - top) // step : (r1 - top) // step,
                        (c0 - left) // step : (c1 - left) // step,
                    ]
        return FiberMaps(**found)

    def _put(self, key: tuple[int, int], block: bytes) -> None:
        if self._file is None:
            self._memory[key] = block
            return
        try:
            with self._lock:
                slot = self._slots.setdefault(key, len(self._slots))
                self._file.seek(slot * self._block_bytes)
                written = self._file.write(block)
        except OSError as error:
            raise _scratch_error(error) from error
        if written != len(block):
            raise _scratch_error(OSError("the disk is full"))

    def _get(self, key: tuple[int, int]) -> bytes | None:
        if self._file is None:
            return self._memory.get(key)
        with self._lock:
            slot = self._slots.get(key)
            if slot is None:
                return None
            self._file.seek(slot * self._block_bytes)
            return self._file.read(self._block_bytes)


def _cut(maps: FiberMaps, steps: Mapping[str, int], y: int, x: int) -> bytes:
    """Cut one block out of maps; y and x may be negative."""
    parts = []
    for name, step in steps.items():
        array = getattr(maps, name)
        side, top, left = BLOCK_PX // step, y // step, x // step
        part = array[max(top, 0) : top + side, max(left, 0) : left + side]
        if part.shape != (side, side):
            r0, c0 = max(-top, 0), max(-left, 0)
            whole = np.zeros((side, side), np.uint8)
            whole[r0 : r0 + part.shape[0], c0 : c0 + part.shape[1]] = part
            part = whole
        parts.append(part.tobytes())
    return b"".join(parts)


def _parts(block: bytes, steps: Iterable[int]) -> Iterator[NDArray[np.uint8]]:
    flat = np.frombuffer(block, np.uint8)
    start = 0
    for step in steps:
        side = BLOCK_PX // step
        yield flat[start : start + side**2].reshape(side, side)
        start += side**2


def _scratch_error(error: OSError) -> OutputError:
    return OutputError(
        f"{tempfile.gettempdir()}: intermediate results cannot be written "
        f"({error.strerror or error}). Free some space there, or set TMPDIR to a folder on "
        "another disk."
    )
