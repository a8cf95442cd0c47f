"""ImageJ's RoiSet.zip: fibers as polygons named by their labels, written and read back."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import OutlineReadError
from biopsy_ai.formats.contours import ring_area
from biopsy_ai.formats.files import remove_result, replacing
from biopsy_ai.formats.outline_files import (
    MAX_BYTES,
    Outline,
    ReadOutlines,
    label_from_name,
    number_outlines,
)

if TYPE_CHECKING:
    from roifile import ImagejRoi

LOWEST, HIGHEST = -5000, 60536
"""Range of coordinates that the ImageJ format can hold."""

NOT_WRITTEN = "was not written"
"""What a warning says of a file that was left out."""

_OVAL_POINTS = 128
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_roiset(
    path: str | Path, outlines: Iterable[tuple[int, NDArray[np.float64]]]
) -> str | None:
    """Write fibers as ImageJ polygons with sub-pixel vertices, replacing what was there.

    Parameters
    ----------
    path
        File to write or replace; ImageJ expects a name that ends in ``.zip``.
    outlines
        Label and polygon of each fiber, (N, 2) as (x, y) in pixels of the original image. A
        polygon is named by its label.

    Returns
    -------
    str or None
        A warning where no file was written because a fiber lies outside the range that the
        ImageJ format can hold; a file of an earlier run is removed then.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    from roifile import ROI_TYPE, ImagejRoi

    try:
        with (
            replacing(path) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        ):
            for label, polygon in outlines:
                if polygon.min() < LOWEST or polygon.max() > HIGHEST:
                    raise _BeyondFormat
                roi = ImagejRoi.frompoints(polygon.astype(np.float32), name=str(label))
                roi.roitype = ROI_TYPE.POLYGON
                # a fixed date makes the same fibers the same file
                entry = zipfile.ZipInfo(f"{label}.roi", _EPOCH)
                archive.writestr(entry, roi.tobytes(), zipfile.ZIP_DEFLATED, 1)
    except _BeyondFormat:
        remove_result(path)
        return (
            f"{Path(path).name} {NOT_WRITTEN}: the image reaches beyond pixel {HIGHEST}, the "
            "last that the ImageJ format can hold. fibers.geojson holds the same outlines."
        )
    return None


def read_roiset(path: str | Path) -> ReadOutlines:
    """Read outlines from a RoiSet.zip or a single .roi file.

    Polygons, freehand and traced selections, ovals, rectangles and their combinations are
    taken; points, lines, angles and text are skipped and counted. A fiber keeps the number
    that is its name ("12", "fiber 12", "0001 - ID 0012"); others are numbered in the order of
    the file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    ReadOutlines
        Outlines in (x, y) pixels of the original image.

    Raises
    ------
    OutlineReadError
        The file is missing, damaged or holds no ImageJ selections.
    """
    names: list[int | None] = []
    found: list[tuple[NDArray[np.float64], ...]] = []
    n_skipped = 0
    try:
        for name, roi in _read_rois(Path(path)):
            rings = _rings(roi)
            if rings:
                found.append(rings)
                names.append(label_from_name(name))
            else:
                n_skipped += 1
    except OSError as error:
        raise OutlineReadError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except Exception as error:
        # damaged bytes make roifile and zipfile raise errors of many kinds
        raise OutlineReadError(
            f"{path}: is not a readable set of ImageJ selections ({error}). Save it again in "
            "the ROI Manager with More > Save."
        ) from error
    numbers = number_outlines(names)
    outlines = tuple(Outline(n, rings) for n, rings in zip(numbers, found, strict=True))
    return ReadOutlines(outlines, n_skipped)


class _BeyondFormat(Exception):
    """A coordinate cannot be stored in the ImageJ format."""


def _read_rois(path: Path) -> Iterator[tuple[str, ImagejRoi]]:
    from roifile import ImagejRoi

    with open(path, "rb") as file:
        magic = file.read(4)
    if magic == b"Iout":
        roi = ImagejRoi.frombytes(path.read_bytes())
        yield roi.name or path.stem, roi
        return
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if _is_roi(entry.filename)]
        if not entries:
            raise ValueError("the archive holds no .roi files")
        if sum(entry.file_size for entry in entries) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES >> 30} GiB of selections")
        for entry in entries:
            # ImageJ takes the name of the entry for the name of the selection, so we do
            yield Path(entry.filename).stem, ImagejRoi.frombytes(archive.read(entry))


def _is_roi(name: str) -> bool:
    # macOS adds shadow files "__MACOSX/._12.roi" to archives
    return name.lower().endswith(".roi") and not Path(name).name.startswith("._")


def _rings(roi: ImagejRoi) -> tuple[NDArray[np.float64], ...]:
    from roifile import ROI_SUBTYPE, ROI_TYPE

    if roi.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.ARROW, ROI_SUBTYPE.IMAGE):
        return ()
    if roi.roitype in (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED) or roi.composite:
        parts = roi.coordinates(multi=True)
    elif roi.roitype in (ROI_TYPE.RECT, ROI_TYPE.OVAL):
        parts = [_box_outline(roi, oval=roi.roitype == ROI_TYPE.OVAL)]
    else:
        return ()
    rings = []
    for part in parts:
        points = np.asarray(part, dtype=np.float64).reshape(-1, 2)
        if not np.isfinite(points).all():
            raise ValueError(f"selection {roi.name!r} has a coordinate that is not finite")
        if len(points) >= 3 and ring_area(points) > 0:
            rings.append(points)
    return tuple(rings)


def _box_outline(roi: ImagejRoi, *, oval: bool) -> NDArray[np.float64]:
    if roi.subpixelrect and roi.widthd > 0:
        left, top, width, height = roi.xd, roi.yd, roi.widthd, roi.heightd
    else:
        left, top = roi.left, roi.top
        width, height = roi.right - roi.left, roi.bottom - roi.top
    if oval:
        angle = np.linspace(0, 2 * np.pi, _OVAL_POINTS, endpoint=False)
        unit = 0.5 + 0.5 * np.column_stack([np.cos(angle), np.sin(angle)])
    else:
        unit = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], dtype=np.float64)
    return unit * (width, height) + (left, top)
