"""Turning what files store (palettes, transparency, CMYK, inverted gray) into plain channels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def white_level(dtype: DTypeLike) -> float:
    """The value of white: the largest of an integer type, 1 for floating point."""
    dtype = np.dtype(dtype)
    return float(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0


_BAND_PX = 1 << 20


def composite_on_white(image: NDArray[Any], *, premultiplied: bool = False) -> NDArray[Any]:
    """Put an image whose last channel is its opacity on a white ground.

    Worked off by bands of rows: real numbers for the whole image would need ten times its memory.

    Parameters
    ----------
    image
        (rows, columns, n + 1), opacity last, in units of the type.
    premultiplied
        Colors are already multiplied by opacity ("associated alpha").

    Returns
    -------
    NDArray
        (rows, columns, n) of the same type.
    """
    white = white_level(image.dtype)
    out = np.empty((*image.shape[:-1], image.shape[-1] - 1), image.dtype)
    rows = max(1, _BAND_PX // max(image.shape[1], 1))
    for top in range(0, len(image), rows):
        band = image[top : top + rows]
        color, alpha = band[..., :-1], band[..., -1:]
        target = out[top : top + rows]
        if (alpha == white).all():
            target[...] = color
            continue
        opacity = alpha.astype(np.float32) / white
        value = color.astype(np.result_type(color, np.float32))
        if not premultiplied:
            value *= opacity
        value += (1 - opacity) * np.float32(white)
        if image.dtype.kind in "iu":
            np.clip(np.rint(value, out=value), 0, white, out=value)
        target[...] = value.astype(image.dtype)
    return out


def cmyk_to_rgb(image: NDArray[Any]) -> NDArray[Any]:
    """Convert (rows, columns, 4) inks to RGB without a color profile: (1 − ink)(1 − black)."""
    white = white_level(image.dtype)
    left = (white - image.astype(np.float32)) / white
    rgb = left[..., :3] * left[..., 3:] * white
    return (np.rint(rgb) if image.dtype.kind in "iu" else rgb).astype(image.dtype)


def palette_table(colormap: NDArray[Any]) -> NDArray[np.uint8]:
    """Lookup table (entries, channels) of a TIFF color map of shape (3, entries).

    One channel where all entries are gray, three otherwise. TIFF stores 16 bits a color;
    some writers fill the lower 8 only.
    """
    table = np.asarray(colormap).T
    table = (table >> 8 if table.max(initial=0) > 255 else table).astype(np.uint8)
    is_gray = (table == table[:, :1]).all()
    return np.ascontiguousarray(table[:, :1] if is_gray else table)


def invert(image: NDArray[Any]) -> NDArray[Any]:
    """Swap black and white."""
    return (white_level(image.dtype) - image).astype(image.dtype)
