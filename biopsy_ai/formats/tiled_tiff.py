"""Tiled OME-TIFF of one plane with its pixel size, written piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai import __version__
from biopsy_ai.formats.files import replacing
from biopsy_ai.labels import LabelArray

TILE_PX = 512
BAND_PX = 1024
"""Rows that are read at a time."""

BIGTIFF_BYTES = 2 << 30
"""Images larger than this, before compression, are written as BigTIFF."""


def write_tiled_tiff(
    path: str | Path,
    pixels: LabelArray,
    mpp: tuple[float, float],
    *,
    dtype: type[np.integer],
    name: str,
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Write one plane as tiled, compressed OME-TIFF with its pixel size.

    The plane is read and written by rows of tiles, never whole. Deflate at level 1 without
    predictor is the fastest of the compressions that ImageJ, QuPath and napari all read, and
    packs labels a hundredfold.

    Parameters
    ----------
    path
        File to write or replace.
    pixels : (H, W) array of int
        Read as ``pixels[y0:y1, x0:x1]``.
    mpp
        Pixel size (y, x) in µm.
    dtype
        Of the file.
    name
        What the channel shows.
    notes
        Further OME metadata, as tifffile takes them.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    import tifffile

    height, width = (int(side) for side in pixels.shape)
    n_bytes = height * width * np.dtype(dtype).itemsize
    with replacing(path) as temporary:
        tifffile.imwrite(
            temporary,
            _tiles(pixels, np.dtype(dtype)),
            shape=(height, width),
            dtype=dtype,
            tile=(TILE_PX, TILE_PX),
            compression="zlib",
            compressionargs={"level": 1},
            photometric="minisblack",
            bigtiff=n_bytes > BIGTIFF_BYTES,
            ome=True,
            metadata={
                "axes": "YX",
                "PhysicalSizeX": float(mpp[1]),
                "PhysicalSizeXUnit": "µm",
                "PhysicalSizeY": float(mpp[0]),
                "PhysicalSizeYUnit": "µm",
                "Channel": {"Name": name},
                **(notes or {}),
            },
            resolution=(1e4 / mpp[1], 1e4 / mpp[0]),
            resolutionunit="CENTIMETER",
            software=f"biopsy-ai {__version__}",
        )


def _tiles(pixels: LabelArray, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    height, width = pixels.shape
    for top in range(0, height, BAND_PX):
        band = np.asarray(pixels[top : top + BAND_PX, 0:width], dtype=dtype)
        for y in range(0, len(band), TILE_PX):
            for x in range(0, width, TILE_PX):
                yield np.ascontiguousarray(band[y : y + TILE_PX, x : x + TILE_PX])
