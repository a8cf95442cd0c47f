"""A slide: pixels of any region at any scale, and what one pixel measures."""

from __future__ import annotations

import math
import operator
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import ChannelError, SlideReadError
from biopsy_ai.slides.color import white_level
from biopsy_ai.slides.formats import (
    WHOLE_SLIDE_SUFFIXES,
    not_an_image,
    slide_name,
    slide_sha256,
    sniff,
)
from biopsy_ai.slides.pixel_size import resolve_pixel_size
from biopsy_ai.slides.resample import apply_weights, axis_weights
from biopsy_ai.slides.source import Source

_SOURCE_PX = 8_000_000  # source pixels held at a time while resampling
_THUMBNAIL_PX = 4_000_000
_LEVEL_TOLERANCE = 1.01  # a level may be this much coarser than wanted


class Slide:
    """An open slide. Made by `open_slide`; close it, or use it in a ``with`` statement.

    Reads may come from several threads.

    Attributes
    ----------
    path, name
        The file, and its name without suffixes.
    shape
        (rows, columns) at full resolution.
    mpp, mpp_source
        µm per pixel (y, x), and where it comes from.
    warnings
        Sentences for the user.
    n_channels, channel_names, dtype, is_rgb
        Channels as read; ``is_rgb`` is False for grayscale and immunofluorescence.
    channels
        Channel number by the user's name for it.
    level_shapes, level_downsamples
        (rows, columns) of each pyramid level, finest first, and the width of its pixels in pixels
        of full resolution (y, x).
    """

    def __init__(
        self,
        path: Path,
        source: Source,
        mpp: float | Sequence[float] | None = None,
        channels: Mapping[str, int] | None = None,
        warnings: Sequence[str] = (),
    ) -> None:
        info = source.info
        self.path = path
        self.name = slide_name(path)
        self.mpp, self.mpp_source, contradictions = resolve_pixel_size(path, info.pixel_size, mpp)
        self.warnings = [*warnings, *info.warnings, *contradictions]
        self.level_shapes = info.level_shapes
        self.shape = info.level_shapes[0]
        self.level_downsamples = tuple(_downsample(self.shape, s) for s in info.level_shapes)
        self.n_channels, self.channel_names = info.n_channels, info.channel_names
        self.dtype, self.is_rgb = info.dtype, info.is_rgb
        self.channels = _check_channels(path, channels or {}, info.channel_names)
        self._source = source
        self._lock = threading.Lock()
        self._thumbnail: tuple[float, NDArray[np.float32]] | None = None
        self._sha256: str | None = None
        self._closed = False

    def __repr__(self) -> str:
        rows, columns = self.shape
        y, x = self.mpp
        return (
            f"<Slide {self.path.name!r}: {columns} × {rows} px of {x:.4g} × {y:.4g} µm, "
            f"{self.n_channels} channel(s) {self.dtype}, {self.level_count} level(s)>"
        )

    def __enter__(self) -> Slide:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back. Reading afterwards is an error."""
        self._closed = True
        self._source.close()

    @property
    def level_count(self) -> int:
        return len(self.level_shapes)

    def grid_shape(self, mpp: float) -> tuple[int, int]:
        """(rows, columns) of the whole slide in pixels of ``mpp`` µm; at least 1."""
        rows, columns = (
            max(1, round(side * size / mpp))
            for side, size in zip(self.shape, self.mpp, strict=True)
        )
        return rows, columns

    def read_region(self, y: int, x: int, level: int, height: int, width: int) -> NDArray[Any]:
        """Pixels of a pyramid level, as stored.

        Parameters
        ----------
        y, x
            Top-left corner in pixels of full resolution (OpenSlide's convention).
        level
            Pyramid level.
        height, width
            Size in pixels of that level.

        Returns
        -------
        NDArray
            (height, width, channels) of the slide's type; beyond the slide white for RGB, else 0.

        Raises
        ------
        SlideReadError
            The file is damaged there.
        """
        self._check_open()
        scale_y, scale_x = self.level_downsamples[level]
        top, left = round(y / scale_y), round(x / scale_x)
        out = np.full((height, width, self.n_channels), self._background, self.dtype)
        rows, cols = self.level_shapes[level]
        r0, r1 = max(top, 0), min(top + height, rows)
        c0, c1 = max(left, 0), min(left + width, cols)
        if r1 > r0 and c1 > c0:
            pixels = self._source.read(level, (r0, r1), (c0, c1), range(self.n_channels))
            out[r0 - top : r1 - top, c0 - left : c1 - left] = pixels
        return out

    def read(
        self,
        y: int,
        x: int,
        height: int,
        width: int,
        mpp: float,
        *,
        channels: Sequence[int] | None = None,
    ) -> NDArray[np.float32]:
        """Read a window of the grid with a pixel size of ``mpp``.

        The grid starts at the top-left corner of the slide. Where its pixels are coarser than the
        slide's they are the mean over their area, where they are finer they are interpolated
        linearly. A pixel has the same value in whatever window it is read. It is made from the
        coarsest pyramid level that is at least as fine as wanted (within 1 %).

        Parameters
        ----------
        y, x, height, width
            Window in pixels of the grid; may reach beyond the slide.
        mpp
            µm per pixel of the grid, the same along both axes.
        channels
            Channel numbers to read, all by default.

        Returns
        -------
        NDArray
            (height, width, channels) float32 in units of the file (0..255, 0..65535, or as
            stored); beyond the slide white for RGB, else 0.

        Raises
        ------
        SlideReadError
            The file is damaged there, or pixels are NaN or infinite.
        """
        self._check_open()
        wanted = list(range(self.n_channels)) if channels is None else list(channels)
        out = np.full((height, width, len(wanted)), self._background, np.float32)
        grid = self.grid_shape(mpp)
        r0, r1 = max(y, 0), min(y + height, grid[0])
        c0, c1 = max(x, 0), min(x + width, grid[1])
        if r1 <= r0 or c1 <= c0:
            return out
        level = self._level_for(mpp)
        size = self.level_shapes[level]
        factor = [
            mpp / (side * scale)
            for side, scale in zip(self.mpp, self.level_downsamples[level], strict=True)
        ]
        cols = axis_weights(c0, c1, factor[1], size[1])
        step = max(1, int(_SOURCE_PX / (cols.stop - cols.start) / max(factor[0], 1e-9)))
        for top in range(r0, r1, step):
            bottom = min(top + step, r1)
            rows = axis_weights(top, bottom, factor[0], size[0])
            pixels = self._source.read(
                level, (rows.start, rows.stop), (cols.start, cols.stop), wanted
            )
            out[top - y : bottom - y, c0 - x : c1 - x] = apply_weights(pixels, rows, cols)
        if self.dtype.kind == "f" and not np.isfinite(out).all():
            raise SlideReadError(
                f"{self.path}: pixels near row {y}, column {x} (of {mpp:g} µm) are NaN or "
                "infinite. Replace them, for instance by 0, and save the image again."
            )
        return out

    def thumbnail(self, mpp: float = 8.0) -> tuple[NDArray[np.float32], float]:
        """Read the whole slide at a coarse scale.

        Parameters
        ----------
        mpp
            Wanted µm per pixel; made coarser where the image would exceed 4 million pixels.

        Returns
        -------
        image, mpp
            (rows, columns, channels) float32, read-only, and its true pixel size in µm.
        """
        pixels = math.prod(self.grid_shape(mpp))
        if pixels > _THUMBNAIL_PX:
            mpp *= math.sqrt(pixels / _THUMBNAIL_PX) * 1.001
        with self._lock:
            if self._thumbnail is None or self._thumbnail[0] != mpp:
                image = self.read(0, 0, *self.grid_shape(mpp), mpp)
                image.setflags(write=False)
                self._thumbnail = (mpp, image)
            return self._thumbnail[1], mpp

    def sha256(self) -> str:
        """SHA-256 of the file, in hexadecimal; of all its files where a slide has several."""
        with self._lock:
            if self._sha256 is None:
                path = self.path
                try:
                    self._sha256 = slide_sha256(path)
                except OSError as error:
                    raise SlideReadError(
                        f"{error.filename or path}: the file cannot be read ({error.strerror})."
                    ) from error
            return self._sha256

    @property
    def _background(self) -> float:
        return white_level(self.dtype) if self.is_rgb else 0

    def _check_open(self) -> None:
        if self._closed:
            raise SlideReadError(f"{self.path}: the slide is closed. Open it again.")

    def _level_for(self, mpp: float) -> int:
        best = 0
        for level, scales in enumerate(self.level_downsamples):
            sides = (side * scale for side, scale in zip(self.mpp, scales, strict=True))
            if max(sides) <= mpp * _LEVEL_TOLERANCE:
                best = level
        return best


def open_slide(
    path: str | Path,
    *,
    mpp: float | Sequence[float] | None = None,
    channels: Mapping[str, int] | None = None,
) -> Slide:
    """Open a slide for reading. Its kind is told from its content, not from its name.

    Parameters
    ----------
    path
        PNG, JPEG, TIFF, OME-TIFF, OME-Zarr or a whole-slide format.
    mpp
        Pixel size in µm, one number or (y, x). ``None`` takes it from the file.
    channels
        Names for channel numbers, such as ``{"border": 3, "nuclei": 0}``.

    Raises
    ------
    SlideReadError
        The file is missing, damaged, too large or of an unsupported kind.
    PixelSizeError
        There is no plausible pixel size.
    ChannelError
        A named channel does not exist.
    """
    path = Path(path)
    warnings: list[str] = []
    source = _open_source(path, warnings)
    try:
        return Slide(path, source, mpp, channels, warnings)
    except BaseException:
        source.close()
        raise


def _open_source(path: Path, warnings: list[str]) -> Source:
    kind = sniff(path)
    suffix = path.suffix.lower()
    if kind == "zarr":
        from biopsy_ai.slides.zarr import ZarrSource

        return ZarrSource(path)
    from biopsy_ai.slides.openslide import OpenSlideSource, scanner_of

    scanner = scanner_of(path) if kind == "tiff" else None
    if suffix in WHOLE_SLIDE_SUFFIXES or kind in ("dicom", "czi") or scanner:
        try:
            return OpenSlideSource(path)
        except SlideReadError as error:
            if kind not in ("tiff", "png", "jpeg") or suffix == ".mrxs":
                raise
            if kind == "tiff":
                reason = error.__cause__ or error
                warnings.append(f"{path}: read as plain TIFF, since OpenSlide failed ({reason}).")
    if kind == "tiff":
        from biopsy_ai.slides.tiff import TiffSource

        return TiffSource(path)
    if kind in ("png", "jpeg"):
        from biopsy_ai.slides.raster import RasterSource

        return RasterSource(path, kind)
    raise not_an_image(path)


def _downsample(full: tuple[int, int], level: tuple[int, int]) -> tuple[float, float]:
    """Width of the pixels of a level in pixels of full resolution, (y, x).

    Pyramids are made by whole factors, and what does not fill a last pixel is dropped or padded.
    The ratio of the sizes is then a little off, which would shift the far end by a pixel.
    """
    scales = []
    for n_full, n_level in zip(full, level, strict=True):
        ratio = n_full / n_level
        whole = round(ratio)
        scales.append(float(whole) if abs(n_full / whole - n_level) < 1 else ratio)
    return scales[0], scales[1]


def _check_channels(
    path: Path, channels: Mapping[str, int], names: Sequence[str]
) -> dict[str, int]:
    for name, number in channels.items():
        try:
            number = operator.index(number)
        except TypeError:
            raise ChannelError(f"{path}: channel {name}={number!r} is no whole number.") from None
        if not 0 <= number < len(names):
            present = ", ".join(f"{i} ({label})" for i, label in enumerate(names))
            raise ChannelError(
                f"{path}: there is no channel {name}={number}. The image has {present}."
            )
    return {str(name): int(number) for name, number in channels.items()}
