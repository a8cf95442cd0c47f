"""Where in a TIFF file the pixels of each pyramid level and channel lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from biopsy_ai.errors import SlideReadError
from biopsy_ai.slides.source import MAX_WHOLE_BYTES, too_large

if TYPE_CHECKING:
    import tifffile

_MAX_CHANNELS = 32
_MAX_EXPANSION = 4000
"""No codec of TIFF packs real tissue this tightly; deflate cannot exceed 1032. [default]"""
_CHECKED_BYTES = 16 * 2**20


@dataclass(frozen=True)
class TiffLevel:
    """One pyramid level.

    Attributes
    ----------
    keyframe
        A page that stands for all pages of the level.
    planes
        Per separately stored channel: page (``None`` where the file lacks it) and position
        inside the page.
    contig
        Samples stored interleaved in each plane.
    raw_offsets
        Where each plane starts, if it lies in the file uncompressed and in one piece.
    """

    keyframe: tifffile.TiffPage
    planes: tuple[tuple[Any, int], ...]
    contig: int
    raw_offsets: tuple[int, ...] | None

    @cached_property
    def shape(self) -> tuple[int, int]:
        return int(self.keyframe.imagelength), int(self.keyframe.imagewidth)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.keyframe.dtype).newbyteorder("=")

    @property
    def n_samples(self) -> int:
        return len(self.planes) * self.contig

    @cached_property
    def segment_shape(self) -> tuple[int, int]:
        """(rows, columns) of a tile or strip."""
        page = self.keyframe
        if page.is_tiled:
            return int(page.tilelength), int(page.tilewidth)
        return min(int(page.rowsperstrip), self.shape[0]), self.shape[1]

    @property
    def segment_bytes(self) -> int:
        """Size of a decoded tile or strip."""
        depth = self.keyframe.tiledepth if self.keyframe.is_tiled else 1
        return math.prod(self.segment_shape) * depth * self.contig * self.dtype.itemsize

    @property
    def chunk_rows(self) -> int:
        return math.ceil(self.shape[0] / self.segment_shape[0])

    @property
    def chunk_columns(self) -> int:
        return math.ceil(self.shape[1] / self.segment_shape[1])

    def segment(self, plane: int, block_row: int, block_column: int) -> tuple[Any, int]:
        """Page and number of a segment."""
        page, position = self.planes[plane]
        return page, (position * self.chunk_rows + block_row) * self.chunk_columns + block_column


def find_levels(tif: tifffile.TiffFile, path: Path) -> tuple[list[TiffLevel], list[str]]:
    """Pyramid levels of the first image, finest first, and warnings about what is left aside."""
    series = tif.series
    if not series:
        raise SlideReadError(f"{path}: the TIFF file holds no image.")
    warnings: list[str] = []
    first = find_level(series[0], path, warnings)
    levels = [first]
    candidates = list(series[0].levels[1:])
    for other in series[1:]:
        candidates.extend(other.levels)
    for candidate in sorted(candidates, key=lambda item: -_columns(item)):
        if _is_reduced(candidate, levels[-1], first):
            levels.append(find_level(candidate, path, []))
    return levels, warnings


def _columns(series: tifffile.TiffPageSeries) -> int:
    return int(series.keyframe.imagewidth)


def _is_reduced(series: tifffile.TiffPageSeries, above: TiffLevel, first: TiffLevel) -> bool:
    """Whether a series is a smaller copy of the image (not a label, a macro or another image)."""
    page, full = series.keyframe, first.keyframe
    same_kind = (
        page.photometric == full.photometric
        and page.samplesperpixel == full.samplesperpixel
        and page.dtype == full.dtype
        and len(series) == len(full.parent.series[0])
        and (page.is_reduced or page.is_subifd or page.is_tiled)
    )
    rows, columns = int(page.imagelength), int(page.imagewidth)
    if not same_kind or rows < 1 or columns < 1 or columns >= above.shape[1]:
        return False
    ratio = first.shape[1] / columns
    # Sizes are whole pixels, so the ratio is only known to 1 / columns.
    return ratio >= 1.5 and abs(first.shape[0] / ratio - rows) <= 1 + rows / columns


def find_level(series: tifffile.TiffPageSeries, path: Path, warnings: list[str]) -> TiffLevel:
    """Where the pixels of one series lie; adds to the warnings what is left aside of it."""
    axes, shape = series.get_axes(False), series.get_shape(False)
    page = series.keyframe
    y = axes.find("YX")
    if y < 0 or page.dtype is None or 0 in page.shaped:
        raise SlideReadError(f"{path}: the TIFF file holds no two-dimensional image (axes {axes}).")
    separate, depth, _, _, contig = page.shaped
    axis = _channel_axis(axes[:y], shape[:y], contig)
    n_planes = 1 if axis is None else shape[axis]
    for i, (name, size) in enumerate(zip(axes[:y], shape[:y], strict=True)):
        if size > 1 and i != axis:
            warnings.append(f"{path}: of {size} images along axis {name} only the first is used.")
    step = 1 if axis is None else math.prod(shape[axis + 1 : y])
    per_page = separate * depth
    numbers = [channel * step for channel in range(n_planes)]
    offsets = _raw_offsets(series, numbers, per_page)
    planes = []
    for number in numbers:
        virtual = offsets is not None and number // per_page >= len(series)
        found = page if virtual else series[number // per_page]
        position = number % per_page
        if page.is_tiled and page.tiledepth > 1:
            position = position // depth * math.ceil(depth / page.tiledepth)
        planes.append((found, position))
    return TiffLevel(page, tuple(planes), int(contig), offsets)


def _channel_axis(axes: str, shape: Sequence[int], contig: int) -> int | None:
    """Which of the axes before the rows counts channels.

    Files without metadata do not say whether their pages are channels or focal planes; a few
    pages are taken for channels.
    """
    if contig > 1:
        return None
    for name in "CS":
        if name in axes and shape[axes.index(name)] > 1:
            return axes.index(name)
    unnamed = [i for i, name in enumerate(axes) if name in "QI" and 1 < shape[i] <= _MAX_CHANNELS]
    return unnamed[0] if unnamed else None


def _raw_offsets(
    series: tifffile.TiffPageSeries, numbers: Sequence[int], per_page: int
) -> tuple[int, ...] | None:
    """Start of each plane in the file, or ``None`` unless all lie there ready for use."""
    page = series.keyframe
    bits = np.dtype(page.dtype).itemsize * 8
    if page.is_tiled or not page.is_memmappable or page.bitspersample != bits:
        return None
    plane_bytes = page.nbytes // per_page
    if len(series) * per_page <= max(numbers) or series.is_truncated:
        start = series.dataoffset
        return None if start is None else tuple(start + n * plane_bytes for n in numbers)
    offsets = []
    for number in numbers:
        found = series[number // per_page]
        if found is None or found.parent is not page.parent or not found.dataoffsets:
            return None
        offsets.append(found.dataoffsets[0] + number % per_page * plane_bytes)
    return tuple(offsets)


def check_level(level: TiffLevel, path: Path) -> None:
    """Refuse a level whose header does not fit the file, before anything is allocated.

    Raises
    ------
    SlideReadError
        The file ends before its image data, lists too few tiles, or claims tiles or strips that
        are too large to decode or cannot come from the bytes it holds.
    """
    truncated = SlideReadError(
        f"{path}: the file is truncated or damaged (image data are missing). Copy it again."
    )
    if level.raw_offsets is not None:
        handle = level.keyframe.parent.filehandle
        plane_bytes = math.prod(level.shape) * level.contig * level.dtype.itemsize
        if max(level.raw_offsets) + plane_bytes > handle.size:
            raise truncated
        return
    per_plane = level.chunk_rows * level.chunk_columns
    for page, position in level.planes:
        if page is None:
            continue
        offsets = np.asarray(page.dataoffsets, dtype=np.float64)
        counts = np.asarray(page.databytecounts, dtype=np.float64)
        if len(offsets) < (position + 1) * per_plane or len(counts) != len(offsets):
            raise truncated
        handle = page.parent.filehandle
        if not handle.closed and (offsets + counts).max() > handle.size:
            raise truncated
        if level.segment_bytes > MAX_WHOLE_BYTES:
            raise too_large(path, level.shape, level.segment_bytes)
        stored = counts[position * per_plane : (position + 1) * per_plane]
        stored = stored[stored > 0]
        if level.segment_bytes > _CHECKED_BYTES and len(stored):
            # The last strip may be shorter than the others.
            if level.segment_bytes > _MAX_EXPANSION * stored.max():
                raise SlideReadError(
                    f"{path}: the header claims {level.shape[1]} × {level.shape[0]} pixels, far "
                    "more than the file can hold. The file is damaged."
                )
