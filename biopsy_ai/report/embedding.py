"""Pictures in the size in which a report holds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import OutputError
from biopsy_ai.report.document import Image

MAP_PX = 1300
"""Longer side of a map in a report, pixels; 180 mm on A4 have 180 of them per inch. [default]"""

THUMBNAIL_PX = 160
"""Longer side of a thumbnail, pixels. [default]"""

QUALITY = 82
"""Of JPEG, 0 to 100: thin lines stay clean. [default]"""


def as_jpeg(pixels: NDArray[np.uint8], longest_px: int = MAP_PX, quality: int = QUALITY) -> Image:
    """Make a picture no larger than wanted and compress it.

    Parameters
    ----------
    pixels
        (H, W, 3) RGB.
    longest_px
        Longer side, at most.
    quality
        Of JPEG, 0 to 100.

    Raises
    ------
    OutputError
        The picture cannot be compressed.
    """
    import cv2

    height, width = pixels.shape[:2]
    scale = longest_px / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    how = [cv2.IMWRITE_JPEG_QUALITY, quality]
    done, content = cv2.imencode(".jpg", np.ascontiguousarray(pixels[:, :, ::-1]), how)
    if not done:
        raise OutputError("a picture of the report cannot be compressed as JPEG.")
    return Image(content.tobytes(), pixels.shape[1], pixels.shape[0])


def read_picture(path: str | Path, longest_px: int = MAP_PX) -> Image | None:
    """Read a picture that stands among the results; None where there is none that can be read.

    Parameters
    ----------
    path
        PNG or JPEG.
    longest_px
        Longer side of what is given back, at most.
    """
    import cv2

    try:
        content = Path(path).read_bytes()
    except OSError:
        return None
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if found is None:
        return None
    return as_jpeg(np.asarray(found, np.uint8)[:, :, ::-1], longest_px)


def read_png(path: str | Path) -> Image | None:
    """Read a small PNG as it is, such as a figure; None where there is none."""
    try:
        content = Path(path).read_bytes()
    except OSError:
        return None
    # width and height stand behind the signature and the head of the first chunk
    if content[:8] != b"\x89PNG\r\n\x1a\n" or len(content) < 24:
        return None
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    return Image(content, width, height, "png")
