"""Whole-slide formats of scanner makers, read through OpenSlide."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import SlideReadError
from biopsy_ai.slides import color
from biopsy_ai.slides.pixel_size import PixelSize, from_lengths
from biopsy_ai.slides.source import (
    BlockCache,
    ImageInfo,
    default_channel_names,
    fill_from_blocks,
    pick_channels,
    reading,
)

if TYPE_CHECKING:
    import openslide

_BLOCK = 1024
"""Side of the squares that are read. Their grid is fixed, so that a pixel is always rendered by
the same call, also where the levels of a file do not divide evenly."""


def load_library(path: Path) -> Any:
    """Import openslide-python, or say how to install it.

    Raises
    ------
    SlideReadError
        The package or its library is missing; the message names ``path``.
    """
    try:
        import openslide
    except (ImportError, OSError) as error:
        raise SlideReadError(
            f"{path}: reading this format needs OpenSlide, which is not installed. Run "
            "'pip install openslide-python openslide-bin'."
        ) from error
    return openslide


def scanner_of(path: Path) -> str | None:
    """Maker of the scanner that wrote a TIFF file, or ``None`` where OpenSlide knows none."""
    try:
        vendor = load_library(path).OpenSlide.detect_format(path)
    except Exception:  # missing library, or a damaged file that the TIFF reader reports
        return None
    return None if vendor in (None, "generic-tiff") else str(vendor)


def dicom_series(path: Path) -> str | None:
    """Identifier of the slide that a DICOM file is a part of, or ``None`` where it has none."""
    try:
        library = load_library(path)
        with library.OpenSlide(path) as handle:
            series = handle.properties.get("dicom.SeriesInstanceUID")
    except Exception:  # a file that cannot be opened is reported when its turn comes
        return None
    return str(series) if series else None


class OpenSlideSource:
    """A slide opened through OpenSlide: 8-bit RGB, unscanned areas white."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._library = load_library(path)
        self._lock = threading.RLock()
        self._handle: openslide.OpenSlide | None = None
        self._cache = BlockCache()
        self._closed = False
        with reading(path):
            handle = self._open()
            self._shapes = tuple((int(h), int(w)) for w, h in handle.level_dimensions)
            self._downsamples = tuple(float(value) for value in handle.level_downsamples)
            stated = _stated_pixel_size(dict(handle.properties))
        self.info = ImageInfo(
            level_shapes=self._shapes,
            n_channels=3,
            dtype=np.dtype(np.uint8),
            is_rgb=True,
            channel_names=default_channel_names(3, True),
            pixel_size=stated,
        )

    def _open(self) -> openslide.OpenSlide:
        if self._closed:
            raise SlideReadError(f"{self.path}: the slide is closed. Open it again.")
        if self._handle is None:
            self._handle = self._library.OpenSlide(self.path)
        return self._handle

    def read(
        self, level: int, rows: tuple[int, int], cols: tuple[int, int], channels: Sequence[int]
    ) -> NDArray[Any]:
        out = np.full((rows[1] - rows[0], cols[1] - cols[0], 3), 255, np.uint8)
        with reading(self.path):
            fill_from_blocks(
                out,
                (rows[0], cols[0]),
                (_BLOCK, _BLOCK),
                lambda by, bx: self._cache.get(
                    (level, by, bx), lambda: self._render(level, by, bx)
                ),
            )
        return pick_channels(out, channels)

    def _render(self, level: int, block_row: int, block_column: int) -> NDArray[np.uint8]:
        y, x = block_row * _BLOCK, block_column * _BLOCK
        rows, columns = self._shapes[level]
        # OpenSlide divides the location by its own downsample, which need not be a whole number.
        scale = self._downsamples[level]
        location = (round(x * scale), round(y * scale))
        size = (min(_BLOCK, columns - x), min(_BLOCK, rows - y))
        with self._lock:
            try:
                image = self._open().read_region(location, level, size)
            except self._library.OpenSlideError:
                # After an error all further reads of a handle fail, those of intact areas too.
                if self._handle is not None:
                    self._handle.close()
                    self._handle = None
                raise
        return np.asarray(color.composite_on_white(np.asarray(image)), dtype=np.uint8)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._cache.clear()
            if self._handle is not None:
                self._handle.close()
                self._handle = None


def _stated_pixel_size(properties: dict[str, str]) -> PixelSize:
    vendor = properties.get("openslide.vendor", "unknown")
    sides: list[float | None] = []
    for key in ("openslide.mpp-y", "openslide.mpp-x"):
        try:
            sides.append(float(properties[key]))
        except KeyError:
            sides.append(None)
        except ValueError:
            sides.append(math.nan)
    found = from_lengths(sides[0], sides[1], "um", "um", f"slide metadata, {vendor}")
    if found is not None:
        return found
    power = properties.get("openslide.objective-power")
    return PixelSize(hint=f"only an objective of {power}×" if power else "")
