"""Pixel size and channel names in the metadata of TIFF files."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from biopsy_ai.slides.pixel_size import PixelSize, from_lengths, from_resolution, unit_um

if TYPE_CHECKING:
    import tifffile

_RESOLUTION_UNIT_UM = {2: 25400.0, 3: 1e4, 4: 1e3, 5: 1.0}
"""TIFF ResolutionUnit in µm: inch, centimeter, and (beyond the standard) mm and µm."""


def tiff_pixel_size(tif: tifffile.TiffFile) -> PixelSize:
    """Pixel size of the first image of an open TIFF file.

    Looked for in this order: OME metadata, Aperio description, ImageJ metadata, resolution tags.
    """
    return (
        _ome_pixel_size(tif)
        or _aperio_pixel_size(tif)
        or _imagej_pixel_size(tif)
        or _tag_pixel_size(tif)
    )


def tiff_channel_names(tif: tifffile.TiffFile, n_channels: int) -> tuple[str, ...] | None:
    """Channel names of the first image, or ``None`` unless there is one for each channel."""
    names: list[str] = []
    pixels = _ome_pixels(tif)
    if pixels is not None:
        channels = [element for element in pixels if _tag(element) == "Channel"]
        names = [element.get("Name", "") for element in channels]
    elif tif.is_imagej and tif.imagej_metadata:
        labels = tif.imagej_metadata.get("Labels")
        names = [str(label) for label in labels] if isinstance(labels, list) else []
        if any(re.match(r"c:\d+/\d+", name) for name in names):
            return None  # Bio-Formats counts the slices, it does not name them
    if len(names) != n_channels or not all(names):
        return None
    return tuple(names)


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _ome_pixels(tif: tifffile.TiffFile) -> ElementTree.Element | None:
    if not tif.is_ome or not tif.ome_metadata:
        return None
    try:
        root = ElementTree.fromstring(tif.ome_metadata)
    except ElementTree.ParseError:
        return None
    return next((element for element in root.iter() if _tag(element) == "Pixels"), None)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return math.nan  # stated but unreadable: reported as implausible, not as missing


def _ome_pixel_size(tif: tifffile.TiffFile) -> PixelSize | None:
    pixels = _ome_pixels(tif)
    if pixels is None:
        return None
    return from_lengths(
        _number(pixels.get("PhysicalSizeY")),
        _number(pixels.get("PhysicalSizeX")),
        pixels.get("PhysicalSizeYUnit", "µm"),
        pixels.get("PhysicalSizeXUnit", "µm"),
        "OME metadata",
    )


def _aperio_pixel_size(tif: tifffile.TiffFile) -> PixelSize | None:
    if not tif.is_svs:
        return None
    match = re.search(r"\bMPP\s*=\s*([\d.]+)", tif.pages.first.description)
    if match is None:
        return None
    mpp = _number(match.group(1))
    return from_lengths(mpp, mpp, "um", "um", "Aperio metadata")


def _imagej_pixel_size(tif: tifffile.TiffFile) -> PixelSize | None:
    metadata = tif.imagej_metadata if tif.is_imagej else None
    unit = unit_um(str(metadata.get("unit", ""))) if metadata else None
    page = tif.pages.first
    if unit is None or 282 not in page.tags or 283 not in page.tags:
        return None
    x, y = (_resolution(page.tags[code].value) for code in (282, 283))
    if unit >= 1e4:  # inch or centimeter: ImageJ keeps the print resolution of other programs
        return from_resolution(y, x, unit, "ImageJ metadata")
    if not (x > 0 and y > 0):
        return PixelSize(hint="the ImageJ calibration is not a positive number")
    return PixelSize((unit / y, unit / x), "ImageJ metadata")


def _tag_pixel_size(tif: tifffile.TiffFile) -> PixelSize:
    page = tif.pages.first
    if 282 not in page.tags or 283 not in page.tags:
        return PixelSize()
    x, y = (_resolution(page.tags[code].value) for code in (282, 283))
    unit = int(page.tags[296].value) if 296 in page.tags else 2  # TIFF 6.0: inch by default
    return from_resolution(y, x, _RESOLUTION_UNIT_UM.get(unit), "TIFF resolution")


def _resolution(value: object) -> float:
    """Value of a rational tag; a broken one gives NaN."""
    try:
        if isinstance(value, tuple):
            return float(value[0]) / float(value[1])
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError, IndexError):
        return math.nan
