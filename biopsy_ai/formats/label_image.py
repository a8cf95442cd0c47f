"""Label images: written as tiled OME-TIFF, read from TIFF and PNG."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import OutlineReadError
from biopsy_ai.formats.tiled_tiff import BAND_PX, write_tiled_tiff
from biopsy_ai.labels import allocate_labels, fits_memory

if TYPE_CHECKING:
    import tifffile

    from biopsy_ai.slides.pixel_size import PixelSize

LABELS_FILE = "fibers.tif"
"""Name of the label image among the results of one section."""

MAX_PX = 1 << 34
"""Images of more pixels are refused."""

MASK_VALUES = (1, 255, 65535)
"""An image with one of these as its only value besides 0 is a mask and no label image."""

PHOTOGRAPH_CHANGES = 0.3
"""Inside fibers, neighbors carry the same label. An image where more than this share of
neighboring pixels differ is a photograph; those have 0.7 and more. [default]"""

HOW_TO_EXPORT = (
    "Give a label image: one gray channel, 0 for background and one number per fiber, "
    "as 16-bit or 32-bit TIFF or 16-bit PNG."
)


@dataclass(frozen=True)
class LabelFile:
    """What a file with labels holds.

    Attributes
    ----------
    labels
        (H, W) int32, a numpy array or, if large, `PackedLabels`.
    stated
        What the file says about its pixel size.
    from_mask
        Whether the file is a two-valued mask whose connected parts were numbered.
    """

    labels: Any
    stated: PixelSize
    from_mask: bool


def write_label_image(
    path: str | Path, labels: Any, mpp: tuple[float, float], name: str = "fiber labels"
) -> None:
    """Write labels as tiled, compressed int32 OME-TIFF with their pixel size.

    Parameters
    ----------
    path
        File to write or replace.
    labels : (H, W) array of int
        Read as ``labels[y0:y1, x0:x1]``, never whole.
    mpp
        Pixel size (y, x) in µm.
    name
        What the labels number.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    write_tiled_tiff(path, labels, mpp, dtype=np.int32, name=name)


def read_label_image(path: str | Path) -> tuple[Any, tuple[float, float] | None]:
    """Read a label image and its pixel size.

    Parameters
    ----------
    path
        TIFF of any integer type, or of real type with whole numbers; PNG with 8 or 16 bit.
        A two-valued mask is taken apart into its 4-connected parts.

    Returns
    -------
    labels : (H, W) array of int32
        As numbered in the file. `PackedLabels` where it is large.
    mpp : tuple of float or None
        Pixel size (y, x) in µm, None if the file states no plausible one.

    Raises
    ------
    OutlineReadError
        The file is missing, damaged, or is no label image.
    """
    from biopsy_ai.slides.pixel_size import is_plausible

    file = load_label_image(path)
    stated = file.stated.mpp
    return file.labels, stated if stated is not None and is_plausible(stated) else None


def load_label_image(path: str | Path) -> LabelFile:
    """Read a label image with all that the file says; see `read_label_image`."""
    from biopsy_ai.slides.pixel_size import PixelSize

    path = Path(path)
    try:
        with open(path, "rb") as file:
            magic = file.read(8)
        if magic[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _load_tiff(path)
        if magic == b"\x89PNG\r\n\x1a\n":
            labels, from_mask = _collect(_png_pixels(path), path)
            return LabelFile(labels, PixelSize(), from_mask)
    except OutlineReadError:
        raise
    except OSError as error:
        raise OutlineReadError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except Exception as error:
        # damaged files make the decoders raise errors of many kinds
        raise OutlineReadError(
            f"{path}: is damaged or incomplete ({error}). Export it again."
        ) from error
    if magic[:3] == b"\xff\xd8\xff":
        raise OutlineReadError(
            f"{path}: JPEG blurs the borders between labels and holds at most 255 of them. "
            + HOW_TO_EXPORT
        )
    raise OutlineReadError(f"{path}: is neither TIFF nor PNG. {HOW_TO_EXPORT}")


@dataclass(frozen=True)
class _Pixels:
    """Pixels of a file, (H, W) or (H, W, channels), read by rows."""

    shape: tuple[int, ...]
    rows: Callable[[int, int], NDArray[Any]]


def _load_tiff(path: Path) -> LabelFile:
    import tifffile

    from biopsy_ai.slides.tiff_metadata import tiff_pixel_size

    with tifffile.TiffFile(path) as file:
        stated = tiff_pixel_size(file)
        series = file.series[0]
        axes, shape = series.axes, series.shape
        kept = [i for i, n in enumerate(shape) if n > 1 or axes[i] in "YX"]
        axes = "".join(axes[i] for i in kept)
        shape = tuple(shape[i] for i in kept)
        color = series.keyframe.samplesperpixel > 1
        if len(shape) != 2 and not (color and axes in ("YXS", "SYX")):
            raise OutlineReadError(
                f"{path}: is a stack of {' × '.join(str(n) for n in shape)} ({axes}), not one "
                "flat label image. Export a single plane."
            )
        height, width = (shape[axes.index(axis)] for axis in "YX")
        _check_size(path, height * width)
        with _tiff_pixels(path, file, axes, shape) as pixels:
            labels, from_mask = _collect(pixels, path)
    return LabelFile(labels, stated, from_mask)


@contextmanager
def _tiff_pixels(
    path: Path, file: tifffile.TiffFile, axes: str, shape: tuple[int, ...]
) -> Iterator[_Pixels]:
    """Give access to the first image, if it is large by parts as far as its layout allows."""
    level = file.series[0].levels[0]
    page = level.keyframe
    lazy = axes[0] == "Y" and not fits_memory(shape)
    by_parts = lazy and (page.is_tiled or page.rowsperstrip <= 4 * BAND_PX)
    if not page.is_memmappable:
        _check_decoded(path, file, by_parts=by_parts)
    if lazy and page.is_memmappable:
        import tifffile

        yield _of_array(tifffile.memmap(file.filehandle.path, mode="r").reshape(shape))
    elif by_parts:
        import zarr

        with level.aszarr() as store:
            stored: Any = zarr.open_array(store, mode="r")
            lead = (0,) * (stored.ndim - len(shape))
            yield _Pixels(shape, lambda y0, y1: np.asarray(stored[(*lead, slice(y0, y1))]))
    else:
        array = level.asarray().reshape(shape)
        yield _of_array(np.moveaxis(array, 0, -1) if axes[0] == "S" else array)


def _check_decoded(path: Path, file: tifffile.TiffFile, *, by_parts: bool) -> None:
    """Refuse an image of which too much would be decoded at once.

    How much a file may expand is no measure as it is for slides: an image without fibers packs as
    well as a file made to fill the memory.
    """
    from biopsy_ai.slides.source import MAX_WHOLE_BYTES
    from biopsy_ai.slides.tiff_layout import find_level

    level = find_level(file.series[0], path, [])
    rows = math.ceil(BAND_PX / level.segment_shape[0]) if by_parts else level.chunk_rows
    segments = min(rows, level.chunk_rows) * level.chunk_columns * len(level.planes)
    n_bytes = level.segment_bytes * segments
    if n_bytes > MAX_WHOLE_BYTES:
        raise OutlineReadError(
            f"{path}: {level.shape[1]} × {level.shape[0]} pixels stored like this take "
            f"{n_bytes / 1e9:.1f} GB at once to decode (at most {MAX_WHOLE_BYTES / 1e9:.1f} GB). "
            "Save the labels in one gray channel as tiled TIFF, for instance with QuPath."
        )


def _png_pixels(path: Path) -> _Pixels:
    import cv2

    data = np.fromfile(path, dtype=np.uint8)
    # width and height stand at bytes 16 to 23 of every PNG
    width, height = (int(n) for n in data[16:24].view(">u4"))
    if not fits_memory((height, width)):
        raise OutlineReadError(
            f"{path}: {width} × {height} px is too large for a PNG. Export it as TIFF."
        )
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("the PNG data cannot be decoded")
    return _of_array(image)


def _of_array(array: NDArray[Any]) -> _Pixels:
    return _Pixels(array.shape, lambda y0, y1: array[y0:y1])


def _check_size(path: Path, n_px: int) -> None:
    if n_px > MAX_PX:
        raise OutlineReadError(
            f"{path}: an image of {n_px / 1e9:.0f} gigapixels is too large. Crop it to the tissue."
        )


def _collect(pixels: _Pixels, path: Path) -> tuple[Any, bool]:
    """Copy pixels into a label image, checking that they are labels."""
    labels = allocate_labels((pixels.shape[0], pixels.shape[1]))
    neighbors = changes = 0
    highest, two_valued = 0, True
    for top in range(0, pixels.shape[0], BAND_PX):
        band = _one_channel(pixels.rows(top, min(top + BAND_PX, pixels.shape[0])), path)
        band = _whole_numbers(band, path)
        inside = (band[:, 1:] > 0) & (band[:, :-1] > 0)
        neighbors += int(np.count_nonzero(inside))
        changes += int(np.count_nonzero(inside & (band[:, 1:] != band[:, :-1])))
        peak = int(band.max(initial=0))
        if peak > 0:
            two_valued &= highest in (0, peak) and bool(((band == 0) | (band == peak)).all())
            highest = max(highest, peak)
        labels[top : top + len(band), 0 : band.shape[1]] = band
    if changes > PHOTOGRAPH_CHANGES * neighbors:
        raise OutlineReadError(
            f"{path}: looks like a photograph rather than a label image, for neighboring pixels "
            f"mostly differ. {HOW_TO_EXPORT} The section itself is given as the slide."
        )
    if not (two_valued and highest in MASK_VALUES):
        return labels, False
    if not isinstance(labels, np.ndarray):
        raise OutlineReadError(
            f"{path}: is a two-valued mask too large to be taken apart into fibers. "
            + HOW_TO_EXPORT
        )
    from scipy import ndimage

    return ndimage.label(labels, output=np.int32)[0], True


def _one_channel(band: NDArray[Any], path: Path) -> NDArray[Any]:
    if band.ndim == 2:
        return band
    # a second or fourth channel is opacity
    colors = band[:, :, : 1 if band.shape[2] <= 2 else 3]
    if (colors != colors[:, :, :1]).any():
        raise OutlineReadError(
            f"{path}: is a color image, so its colors cannot be told for labels. {HOW_TO_EXPORT}"
        )
    return colors[:, :, 0]


def _whole_numbers(band: NDArray[Any], path: Path) -> NDArray[np.int32]:
    if band.dtype.kind not in "biuf":
        raise OutlineReadError(f"{path}: holds {band.dtype} values. {HOW_TO_EXPORT}")
    if band.dtype.kind == "f" and not (np.isfinite(band).all() and (band == np.rint(band)).all()):
        raise OutlineReadError(
            f"{path}: holds numbers with fractions, such as probabilities or distances. "
            + HOW_TO_EXPORT
        )
    if band.dtype.kind in "if" and band.size and band.min() < 0:
        raise OutlineReadError(
            f"{path}: holds negative numbers. Set what is no fiber to 0. {HOW_TO_EXPORT}"
        )
    if band.size and band.max() > np.iinfo(np.int32).max:
        raise OutlineReadError(
            f"{path}: holds a label above {np.iinfo(np.int32).max}. Number the fibers from 1."
        )
    return band.astype(np.int32)
