"""PNG and JPEG: decoded as a whole, at the first read."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import SlideReadError
from biopsy_ai.slides import color
from biopsy_ai.slides.pixel_size import PixelSize, from_resolution
from biopsy_ai.slides.source import (
    MAX_WHOLE_BYTES,
    ImageInfo,
    default_channel_names,
    pick_channels,
    reading,
    too_large,
)

if TYPE_CHECKING:
    from PIL import ImageFile

_PNG_COLOR, _PNG_OPACITY = 2, 4


class RasterSource:
    """An image without pyramid, up to `MAX_WHOLE_BYTES`, kept decoded once it is read."""

    def __init__(self, path: Path, kind: str) -> None:
        """Read the header of a file; ``kind`` is "png" or "jpeg"."""
        self.path = path
        self._kind = kind
        self._lock = threading.Lock()
        self._image: NDArray[Any] | None = None
        with reading(path), path.open("rb") as stream:
            header = _header(stream, kind)
            width, height = header.size
            dpi = header.info.get("dpi")
            bits, n_channels, n_samples = _form(header, stream, kind)
            n_bytes = width * height * n_samples * (2 if bits == 16 else 1)
            if n_bytes > MAX_WHOLE_BYTES:
                raise too_large(path, (height, width), n_bytes)
        stated = PixelSize()
        if dpi is not None:
            name = "PNG resolution" if kind == "png" else "JPEG resolution"
            stated = from_resolution(float(dpi[1]), float(dpi[0]), 25400.0, name)
        self.info = ImageInfo(
            level_shapes=((height, width),),
            n_channels=n_channels,
            dtype=np.dtype(np.uint16 if bits == 16 else np.uint8),
            is_rgb=n_channels == 3,
            channel_names=default_channel_names(n_channels, n_channels == 3),
            pixel_size=stated,
        )

    def read(
        self, level: int, rows: tuple[int, int], cols: tuple[int, int], channels: Sequence[int]
    ) -> NDArray[Any]:
        with self._lock, reading(self.path):
            if self._image is None:
                self._image = self._decode()
            image = self._image
        part = image[rows[0] : rows[1], cols[0] : cols[1]]
        return pick_channels(part, channels)

    def _decode(self) -> NDArray[Any]:
        if self._kind == "png":
            image = _decode_png(self.path)
        else:
            with self.path.open("rb") as stream:
                header = _header(stream, self._kind)
                image = np.asarray(header if header.mode in ("L", "RGB") else header.convert("RGB"))
        image = image.reshape(*image.shape[:2], -1)
        if image.shape != (*self.info.level_shapes[0], self.info.n_channels):
            raise SlideReadError(f"{self.path}: the image does not fit its header.")
        return image

    def close(self) -> None:
        with self._lock:
            self._image = None


def _header(stream: Any, kind: str) -> ImageFile.ImageFile:
    # Image.open would apply Pillow's own limit, which is lower and global.
    from PIL import JpegImagePlugin, PngImagePlugin

    if kind == "png":
        return PngImagePlugin.PngImageFile(stream)
    return JpegImagePlugin.JpegImageFile(stream)


def _form(header: ImageFile.ImageFile, stream: Any, kind: str) -> tuple[int, int, int]:
    """Bits of a sample, channels of the image, and samples of a decoded pixel.

    Palettes are expanded; opacity comes last and is no channel.
    """
    if kind == "jpeg":
        return 8, 1 if header.mode == "L" else 3, len(header.getbands())
    # Not from the mode: to Pillow 16-bit gray with opacity is color.
    stream.seek(24)  # signature 8, chunk length and type 8, width 4, height 4
    bits, color_type = stream.read(2)
    n_channels = 3 if color_type & _PNG_COLOR else 1
    opaque = not color_type & _PNG_OPACITY and "transparency" not in header.info
    return bits, n_channels, n_channels + (not opaque)


def _decode_png(path: Path) -> NDArray[Any]:
    import imagecodecs  # Pillow reduces 16-bit color to 8 bits

    image = np.asarray(imagecodecs.png_decode(path.read_bytes()))
    if image.ndim == 3 and image.shape[2] in (2, 4):
        image = color.composite_on_white(image)
    return image
