"""TIFF, OME-TIFF, BigTIFF and pyramidal TIFF, read tile by tile through tifffile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import SlideReadError
from biopsy_ai.slides import color
from biopsy_ai.slides.source import (
    CACHE_BYTES,
    BlockCache,
    ImageInfo,
    default_channel_names,
    fill_from_blocks,
    pick_channels,
    reading,
)
from biopsy_ai.slides.tiff_layout import TiffLevel, check_level, find_levels
from biopsy_ai.slides.tiff_metadata import tiff_channel_names, tiff_pixel_size

if TYPE_CHECKING:
    import tifffile

STRIP_CACHE_BYTES = 512 * 2**20
"""Decoded strips kept per slide, bytes. [default]"""
_JPEG = {6, 7, 34892, 33007}

# tifffile reports oddities of a file to its logger, which prints where nobody has set it up.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class TiffSource:
    """The first image of a TIFF file.

    Uncompressed images in one piece are mapped into memory; of all others only the tiles or
    strips that a read touches are decoded.
    """

    def __init__(self, path: Path) -> None:
        import tifffile

        self.path = path
        with reading(path):
            self._tif = tifffile.TiffFile(path)
        try:
            with reading(path):
                self._open()
        except BaseException:
            self._tif.close()
            raise

    def _open(self) -> None:
        self._lock = threading.RLock()
        self._levels, warnings = find_levels(self._tif, self.path)
        for level in self._levels:
            check_level(level, self.path)
        first = self._levels[0]
        self._convert = _Conversion(first, self.path)
        self._maps = [_memory_map(level) for level in self._levels]
        # Strips run across the whole slide: each window needs all that its neighbors needed.
        self._cache = BlockCache(CACHE_BYTES if first.keyframe.is_tiled else STRIP_CACHE_BYTES)
        n_channels, is_rgb = self._convert.n_channels, self._convert.is_rgb
        names = None if is_rgb else tiff_channel_names(self._tif, n_channels)
        self.info = ImageInfo(
            level_shapes=tuple(level.shape for level in self._levels),
            n_channels=n_channels,
            dtype=self._convert.dtype,
            is_rgb=is_rgb,
            channel_names=names or default_channel_names(n_channels, is_rgb),
            pixel_size=tiff_pixel_size(self._tif),
            warnings=(*warnings, *self._convert.warnings),
        )

    def read(
        self, level: int, rows: tuple[int, int], cols: tuple[int, int], channels: Sequence[int]
    ) -> NDArray[Any]:
        with reading(self.path):
            place = self._levels[level]
            separate = self._convert.keeps_channels and place.contig == 1
            planes = list(channels) if separate else range(len(place.planes))
            raw = self._read_raw(level, rows, cols, planes)
            image = self._convert(raw)
            return image if separate else pick_channels(image, channels)

    def _read_raw(
        self, level: int, rows: tuple[int, int], cols: tuple[int, int], planes: Sequence[int]
    ) -> NDArray[Any]:
        place, mapped = self._levels[level], self._maps[level]
        height, width = rows[1] - rows[0], cols[1] - cols[0]
        out = np.empty((height, width, len(planes) * place.contig), place.dtype)
        for i, plane in enumerate(planes):
            target = out[..., i * place.contig : (i + 1) * place.contig]
            if mapped is not None:
                target[...] = mapped[plane][rows[0] : rows[1], cols[0] : cols[1]]
                continue
            target[...] = self._convert.background
            fill_from_blocks(
                target,
                (rows[0], cols[0]),
                place.segment_shape,
                lambda by, bx, plane=plane: self._cache.get(  # type: ignore[misc]
                    (level, plane, by, bx), lambda: self._decode(place, plane, by, bx)
                ),
            )
        return out

    def _decode(
        self, level: TiffLevel, plane: int, block_row: int, block_column: int
    ) -> NDArray[Any] | None:
        page, index = level.segment(plane, block_row, block_column)
        if page is None:
            return None
        count = page.databytecounts[index]
        if count == 0:  # left out by the writer: nothing there
            return None
        handle = page.parent.filehandle
        with self._lock:
            if handle.closed:
                handle.open()
            handle.seek(page.dataoffsets[index])
            data = handle.read(count)
            decode = page.keyframe.decode
        if len(data) < count:
            raise SlideReadError(
                f"{self.path}: the file is truncated (image data are missing). Copy it again."
            )
        options: dict[str, Any] = {}
        if page.keyframe.compression in _JPEG:
            options = {"jpegtables": page.jpegtables, "jpegheader": page.keyframe.jpegheader}
        block = decode(data, index, **options)[0]
        if block is None:
            return None
        pixels: NDArray[Any] = np.asarray(block).reshape(-1, *block.shape[-3:])[0]
        return pixels

    def close(self) -> None:
        with self._lock:
            self._maps = []
            self._cache.clear()
            self._tif.close()


class _Conversion:
    """From the samples of a TIFF to plain channels, decided once by its photometric tag."""

    def __init__(self, level: TiffLevel, path: Path) -> None:
        import tifffile

        photometric = tifffile.PHOTOMETRIC
        page, samples = level.keyframe, level.n_samples
        kind = page.photometric
        self._table: NDArray[np.uint8] | None = None
        self._kind = "plain"
        self.dtype, self.n_channels, self.is_rgb = level.dtype, samples, False
        extra = int(page.extrasamples[0]) if page.extrasamples else 0
        self._premultiplied = extra == int(tifffile.EXTRASAMPLE.ASSOCALPHA)
        self.warnings: list[str] = []
        if level.dtype.kind not in "uifb":
            raise SlideReadError(
                f"{path}: pixels of type {level.dtype} are not supported. Save the image with 8 or "
                "16 bits or as floating-point numbers."
            )
        if level.dtype.kind == "b":
            self._kind, self.dtype = "bilevel", np.dtype(np.uint8)
        elif kind == photometric.PALETTE and samples == 1 and page.colormap is not None:
            self._table = color.palette_table(page.colormap)
            self._kind, self.dtype = "palette", np.dtype(np.uint8)
            self.n_channels, self.is_rgb = self._table.shape[1], self._table.shape[1] == 3
        elif samples in (3, 4) and (
            # JPEG is decoded to RGB, other codecs leave YCbCr as it is.
            kind == photometric.RGB or kind == photometric.YCBCR and page.compression in _JPEG
        ):
            self._kind = "alpha" if samples == 4 and extra in (1, 2) else "rgb"
            self.n_channels, self.is_rgb = 3, True
            if samples == 4 and self._kind == "rgb":
                self.warnings.append(
                    f"{path}: the fourth channel is left out, since the file does not say that it "
                    "is opacity."
                )
        elif kind == photometric.SEPARATED and samples == 4:
            self._kind, self.n_channels, self.is_rgb = "cmyk", 3, True
        elif kind == photometric.MINISWHITE:
            self._kind = "inverted"
        elif kind == photometric.MINISBLACK and samples == 2 and extra in (1, 2):
            self._kind, self.n_channels = "alpha", 1
        elif kind not in (photometric.MINISBLACK, photometric.RGB, photometric.PALETTE):
            name = getattr(kind, "name", kind)
            raise SlideReadError(
                f"{path}: the color space {name} with {samples} samples is not supported. Save the "
                "image as RGB."
            )
        self._min_is_white = kind == photometric.MINISWHITE
        self.background = color.white_level(level.dtype) if self._kind in ("rgb", "alpha") else 0

    @property
    def keeps_channels(self) -> bool:
        """Whether channel i of the result is made from sample i alone."""
        return self._kind in ("plain", "rgb", "inverted")

    def __call__(self, raw: NDArray[Any]) -> NDArray[Any]:
        if self._kind == "alpha":
            return color.composite_on_white(raw, premultiplied=self._premultiplied)
        if self._kind == "rgb":
            return raw[..., :3]
        if self._kind == "palette":
            assert self._table is not None
            return np.take(self._table, np.minimum(raw[..., 0], len(self._table) - 1), axis=0)
        if self._kind == "cmyk":
            return color.cmyk_to_rgb(raw)
        if self._kind == "inverted":
            return color.invert(raw)
        if self._kind == "bilevel":
            return np.where(raw ^ self._min_is_white, np.uint8(255), np.uint8(0))
        return raw


def _memory_map(level: TiffLevel) -> list[NDArray[Any]] | None:
    """One (rows, columns, samples) view of the file per plane, where the layout allows it."""
    offsets = level.raw_offsets
    if offsets is None:
        return None
    handle: tifffile.FileHandle = level.keyframe.parent.filehandle
    dtype = np.dtype(level.keyframe.parent.byteorder + level.dtype.str[1:])
    shape = (*level.shape, level.contig)
    return [
        np.memmap(handle.path, dtype, mode="r", offset=offset, shape=shape) for offset in offsets
    ]
