"""Tiled OME-TIFF of one plane with its pixel size, written piece by piece."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from biopsy_ai import __version__
from biopsy_ai.errors import OutlineReadError
from biopsy_ai.formats.files import replacing
from biopsy_ai.labels import LabelArray, WritableLabelArray, allocate_labels

if TYPE_CHECKING:
    import tifffile

TILE_PX = 512
_LEVEL = 2
"""Of the compression: 1 is no faster, and its files are twice as large. [default]"""

BAND_PX = 1024
"""Rows that are read at a time."""

BIGTIFF_BYTES = 2 << 30
"""Images larger than this, before compression, are written as BigTIFF."""

MAX_PX = 1 << 34
"""Images of more pixels are refused."""

OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"
"""What the names of all elements of the metadata begin with."""


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

    The plane is read and written by rows of tiles, never whole. Deflate without predictor is the
    fastest of the compressions that ImageJ, QuPath and napari all read, and packs labels a
    hundredfold; by zlib-ng it takes a fifth of the time that zlib needs.

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


def _tiles(pixels: LabelArray, dtype: np.dtype[Any]) -> Iterator[bytes]:
    """Compressed tiles, row by row, those at the end filled up with 0."""
    import imagecodecs

    height, width = pixels.shape
    for top in range(0, height, BAND_PX):
        band = np.asarray(pixels[top : top + BAND_PX, 0:width], dtype=dtype)
        for y in range(0, len(band), TILE_PX):
            for x in range(0, width, TILE_PX):
                tile = band[y : y + TILE_PX, x : x + TILE_PX]
                lacking = [(0, TILE_PX - side) for side in tile.shape]
                whole = np.pad(tile, lacking) if np.any(lacking) else np.ascontiguousarray(tile)
                yield bytes(imagecodecs.zlibng_encode(whole.tobytes(), _LEVEL))


Look = Callable[[NDArray[Any], tuple[int, int]], None]
"""Called with a piece of an image and the row and column of its first pixel."""


def read_tiled_tiff(
    path: str | Path, dtype: type[np.integer], look: Look | None = None
) -> tuple[WritableLabelArray, tuple[float, float]]:
    """Read what `write_tiled_tiff` wrote, as it is: nothing is numbered anew.

    Parameters
    ----------
    path
        The file; read by rows of tiles where it is large.
    dtype
        That it was written with.
    look
        Is shown every piece on its way.

    Returns
    -------
    pixels : (H, W) array of dtype
        A numpy array, or `PackedLabels` where it is large.
    mpp : tuple of float
        Pixel size (y, x) in µm.

    Raises
    ------
    OutlineReadError
        The file is missing, damaged, or of another kind.
    """
    path = Path(path)
    with opened_tiff(path) as file:
        root = ome_metadata(file)
        mpp = None if root is None else stated_mpp(root)
        if mpp is None:
            raise OutlineReadError(f"{path}: states no pixel size, as those of biopsy-ai do.")
        return read_plane(path, file, dtype, look), mpp


@contextmanager
def opened_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a file, and say in words what is wrong with it while it is read.

    Raises
    ------
    OutlineReadError
        It is missing or damaged.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            yield file
    except OutlineReadError:
        raise
    except OSError as error:
        raise OutlineReadError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except Exception as error:
        # damaged files make the decoders raise errors of many kinds
        raise OutlineReadError(f"{path}: is damaged or incomplete ({error}).") from error


def read_plane(
    path: Path, file: tifffile.TiffFile, dtype: type[np.integer], look: Look | None = None
) -> WritableLabelArray:
    """Copy the one plane of an open file, and show every piece of it on its way.

    Raises
    ------
    OutlineReadError
        It is no plane of that type.
    """
    import zarr

    level = file.series[0].levels[0]
    if level.dtype != dtype or level.ndim != 2 or level.size > MAX_PX:
        bits = 8 * np.dtype(dtype).itemsize
        raise OutlineReadError(f"{path}: is no flat image of whole numbers with {bits} bit.")
    plane = allocate_labels((level.shape[0], level.shape[1]), dtype)
    with level.aszarr() as store:
        stored: Any = zarr.open_array(store, mode="r")
        for top in range(0, level.shape[0], BAND_PX):
            rows = slice(top, min(top + BAND_PX, level.shape[0]))
            band = np.asarray(stored[rows])
            plane[rows, 0 : level.shape[1]] = band
            if look is not None:
                look(band, (top, 0))
    return plane


def ome_metadata(file: tifffile.TiffFile) -> ElementTree.Element | None:
    """Metadata of an open file; None where it has none that biopsy-ai would write."""
    text = file.ome_metadata or ""
    # metadata of biopsy-ai define no entities, with which a file could grow without bound
    if not text or re.search("<!(DOCTYPE|ENTITY)", text):
        return None
    return ElementTree.fromstring(text)


def stated_mpp(root: ElementTree.Element) -> tuple[float, float] | None:
    """Pixel size (y, x) in µm by the metadata of a file; None where they tell of no image."""
    pixels = root.find(f".//{OME}Pixels")
    if pixels is None:
        return None
    y, x = (float(pixels.get(f"PhysicalSize{axis}", "nan")) for axis in "YX")
    return y, x
