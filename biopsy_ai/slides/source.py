"""What every file format gives to a slide: image facts, and pixels of a rectangle of a level."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import BiopsyError, SlideReadError
from biopsy_ai.slides.pixel_size import PixelSize

MAX_WHOLE_BYTES = 1_200_000_000
"""Largest image that is decoded in one piece (PNG, JPEG, single-strip TIFF), bytes: 400 million
pixels of 8-bit color. [default]"""

CACHE_BYTES = 128 * 2**20
"""Decoded tiles kept per slide, bytes. [default]"""


@dataclass(frozen=True)
class ImageInfo:
    """Facts about an image that are known before a pixel is read.

    Attributes
    ----------
    level_shapes
        (rows, columns) of each pyramid level, finest first.
    n_channels, dtype, is_rgb
        As read: palettes are expanded, transparency is composited on white.
    channel_names
        Names in the file, or made-up ones; one per channel.
    pixel_size
        What the file states.
    warnings
        Sentences for the user, about what was left aside.
    """

    level_shapes: tuple[tuple[int, int], ...]
    n_channels: int
    dtype: np.dtype[Any]
    is_rgb: bool
    channel_names: tuple[str, ...]
    pixel_size: PixelSize
    warnings: tuple[str, ...] = field(default=())


class Source(Protocol):
    """An open image file. Reads may come from several threads."""

    @property
    def info(self) -> ImageInfo: ...

    def read(
        self, level: int, rows: tuple[int, int], cols: tuple[int, int], channels: Sequence[int]
    ) -> NDArray[Any]:
        """Pixels (rows, columns, channels) of a half-open rectangle that lies inside a level."""
        ...

    def close(self) -> None: ...


class BlockCache:
    """The most recently used blocks of a file, bounded in bytes. Safe for threads."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self.max_bytes = max_bytes
        self._blocks: OrderedDict[Hashable, NDArray[Any] | None] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, load: Callable[[], NDArray[Any] | None]) -> NDArray[Any] | None:
        """Return a block, loading it where it is not kept.

        Loading runs outside the lock: two threads may both load a block, and neither waits.
        """
        with self._lock:
            if key in self._blocks:
                self._blocks.move_to_end(key)
                return self._blocks[key]
        block = load()
        with self._lock:
            if key not in self._blocks:
                self._blocks[key] = block
                self._bytes += 0 if block is None else block.nbytes
            while self._bytes > self.max_bytes and len(self._blocks) > 1:
                _, old = self._blocks.popitem(last=False)
                self._bytes -= 0 if old is None else old.nbytes
        return block

    def clear(self) -> None:
        with self._lock:
            self._blocks.clear()
            self._bytes = 0


def fill_from_blocks(
    out: NDArray[Any],
    origin: tuple[int, int],
    block_shape: tuple[int, int],
    load: Callable[[int, int], NDArray[Any] | None],
) -> None:
    """Fill a rectangle from the blocks of a regular grid.

    Parameters
    ----------
    out
        (rows, columns, channels) to fill; where a block is missing it keeps its value.
    origin
        Position of ``out`` in the image, (row, column).
    block_shape
        (rows, columns) of a block; blocks at the edge of the image may be smaller.
    load
        Returns the block at (block row, block column), or ``None`` where it is missing.
    """
    (y0, x0), (height, width) = origin, out.shape[:2]
    block_h, block_w = block_shape
    for by in range(y0 // block_h, -(-(y0 + height) // block_h)):
        for bx in range(x0 // block_w, -(-(x0 + width) // block_w)):
            block = load(by, bx)
            if block is None:
                continue
            top, left = by * block_h, bx * block_w
            r0, r1 = max(y0, top), min(y0 + height, top + block.shape[0])
            c0, c1 = max(x0, left), min(x0 + width, left + block.shape[1])
            out[r0 - y0 : r1 - y0, c0 - x0 : c1 - x0] = block[
                r0 - top : r1 - top, c0 - left : c1 - left
            ]


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into a `SlideReadError` that names the file."""
    try:
        yield
    except (BiopsyError, KeyboardInterrupt):
        raise
    except MemoryError as error:
        raise SlideReadError(f"{path}: the image does not fit in memory.") from error
    except Exception as error:  # decoders raise dozens of unrelated types on damaged data
        detail = " ".join(str(error).split())[:200] or type(error).__name__
        raise SlideReadError(
            f"{path}: the image cannot be read, the file is damaged, incomplete or of an "
            f"unsupported kind ({detail}). Open it in the program that wrote it and save it "
            "again, for instance as TIFF."
        ) from error


def too_large(path: Path, shape: Sequence[int], n_bytes: int) -> SlideReadError:
    """Error for an image that would have to be decoded in one piece and is too large for it."""
    return SlideReadError(
        f"{path}: {shape[1]} × {shape[0]} pixels in one piece are too many to decode "
        f"({n_bytes / 1e9:.1f} GB, at most {MAX_WHOLE_BYTES / 1e9:.1f} GB). Convert the image to a "
        "tiled pyramidal TIFF, for instance with QuPath or with 'vips tiffsave --tile --pyramid'."
    )


def pick_channels(image: NDArray[Any], channels: Sequence[int]) -> NDArray[Any]:
    """The wanted channels of (rows, columns, channels) pixels, without a copy where all are."""
    if list(channels) == list(range(image.shape[2])):
        return image
    return np.ascontiguousarray(image[..., list(channels)])


def default_channel_names(n_channels: int, is_rgb: bool) -> tuple[str, ...]:
    """Names for channels that the file leaves unnamed."""
    if is_rgb:
        return ("red", "green", "blue")
    return ("gray",) if n_channels == 1 else tuple(f"channel {i}" for i in range(n_channels))
