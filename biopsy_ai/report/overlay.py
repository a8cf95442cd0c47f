"""Overlays: what was found, drawn in layers over the section, with scale bar and legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import OutputError
from biopsy_ai.formats.contours import Polygon
from biopsy_ai.formats.files import replacing
from biopsy_ai.labels import WINDOW_PX, LabelArray, view_on_grid
from biopsy_ai.report.backdrop import Backdrop
from biopsy_ai.report.legend import Color, Entry, with_legend

TINT = 0.5
"""How much of the section a tint covers. The rest is gray: on a stain it would change its hue.
[default]"""

DARKEST = 80
"""Gray that black of the section has below a tint, so that colors stay visible on fluorescence.
[default]"""

HATCH_PX = 9
"""From one line of a hatching to the next. [default]"""

SMALLEST_LETTERS = 0.5
"""Of numbers where there is little room, in units of OpenCV's font; about 11 pixels high.
[default]"""

_SHIFT = 4  # polygons are drawn with 1/16 px


@dataclass(frozen=True, eq=False)
class Shapes:
    """Shapes that are drawn alike.

    Attributes
    ----------
    polygons
        (N, 2) arrays of (row, column) in pixels of `mpp`, open.
    mpp
        Pixel size (y, x) of these, µm.
    color
        RGB.
    width
        Of the outlines, pixels; 0 draws none, None draws them so that small shapes stay visible,
        and with a halo so that they stand out.
    tinted, hatched
        Whether the inside is tinted, or hatched.
    halo
        Whether the outlines have a white rim.
    """

    polygons: Sequence[Polygon]
    mpp: tuple[float, float]
    color: Color
    width: int | None = None
    tinted: bool = False
    hatched: bool = False
    halo: bool = False


@dataclass(frozen=True, eq=False)
class Dots:
    """Places that are too small to be outlined.

    Attributes
    ----------
    centers_um
        (n, 2) row, column from the corner of the section, µm.
    color
        RGB.
    diameter
        Pixels.
    """

    centers_um: NDArray[np.float64]
    color: Color
    diameter: float


@dataclass(frozen=True, eq=False)
class Classes:
    """A class map, of which each class is tinted in its color.

    Attributes
    ----------
    classes
        (H, W) class of every pixel; read by parts.
    mpp
        Pixel size (y, x), µm.
    colors
        RGB of each class that is tinted, by its number.
    """

    classes: LabelArray
    mpp: tuple[float, float]
    colors: dict[int, Color]


@dataclass(frozen=True, eq=False)
class Numbers:
    """Numbers written on the section.

    Attributes
    ----------
    centers_um
        (n, 2) row, column of their middles, µm.
    texts
        One for each.
    room_um
        (n,) diameters of circles around these middles in which there is room, µm. Numbers are
        smaller where there is little, and beside the circle where there is hardly any.
    """

    centers_um: NDArray[np.float64]
    texts: Sequence[str]
    room_um: NDArray[np.float64] | None = None


Layer = Shapes | Dots | Classes | Numbers


@dataclass(frozen=True, eq=False)
class Picture:
    """An overlay to draw.

    Attributes
    ----------
    layers
        From below to above.
    legend
        Its entries, in order.
    """

    layers: Sequence[Layer]
    legend: Sequence[Entry] = field(default_factory=tuple)


def write_overlay(
    path: str | Path, backdrop: Backdrop, picture: Picture, *, title: str = ""
) -> NDArray[np.uint8]:
    """Draw layers over the section and write them as PNG.

    Parameters
    ----------
    path
        File to write or replace; its name should end in ``.png``.
    backdrop
        The section, which stays as it is.
    picture
        What to draw: all tints below all lines, else in the order given.
    title
        What the legend calls the section.

    Returns
    -------
    (H, W, 3) uint8 ndarray
        What was written, RGB: the section, and the legend below it.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    import cv2

    canvas = backdrop.pixels.copy()
    _tint(canvas, picture.layers, backdrop.mpp)
    for layer in picture.layers:
        if isinstance(layer, Shapes):
            _outline(canvas, layer, backdrop.mpp)
        elif isinstance(layer, Dots):
            _dot(canvas, layer, backdrop.mpp)
        elif isinstance(layer, Numbers):
            _write(canvas, layer, backdrop.mpp)
    page = with_legend(canvas, backdrop.mpp, title, picture.legend)
    # hardly larger than by default, for pictures of tissue, in less than half of the time
    how = [
        *(cv2.IMWRITE_PNG_COMPRESSION, 1),
        *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG),
        *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    ]
    done, png = cv2.imencode(".png", page[:, :, ::-1], how)
    if not done:
        raise OutputError(f"{path}: the overlay cannot be encoded as PNG.")
    with replacing(path) as temporary:
        temporary.write_bytes(png.tobytes())
    return page


def _tint(canvas: NDArray[np.uint8], layers: Sequence[Layer], mpp: float) -> None:
    import cv2

    if not any(isinstance(at, Classes) or (isinstance(at, Shapes) and at.tinted) for at in layers):
        return
    color = np.zeros_like(canvas)
    where = np.zeros(canvas.shape[:2], np.uint8)
    for layer in layers:
        if isinstance(layer, Classes):
            _paint_classes(color, where, layer, mpp)
        elif isinstance(layer, Shapes) and layer.tinted:
            for points in _on_canvas(layer, mpp):
                cv2.fillPoly(color, [points], layer.color, cv2.LINE_8, _SHIFT)
                cv2.fillPoly(where, [points], 1, cv2.LINE_8, _SHIFT)
    gray = cv2.cvtColor(cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    gray = cv2.convertScaleAbs(gray, alpha=1 - DARKEST / 255, beta=DARKEST)
    tinted = cv2.addWeighted(color, TINT, gray, 1 - TINT, 0)
    cv2.copyTo(tinted, where, canvas)


def _paint_classes(
    color: NDArray[np.uint8], where: NDArray[np.uint8], layer: Classes, mpp: float
) -> None:
    shown = view_on_grid(layer.classes, layer.mpp, where.shape, (mpp, mpp))
    palette = np.zeros((256, 3), np.uint8)
    palette[list(layer.colors)] = list(layer.colors.values())
    tinted = np.zeros(256, np.uint8)
    tinted[list(layer.colors)] = 1
    side = max(1, int(WINDOW_PX * min(min(layer.mpp) / mpp, 1.0)))
    for y in range(0, where.shape[0], side):
        for x in range(0, where.shape[1], side):
            window = slice(y, y + side), slice(x, x + side)
            classes = np.asarray(shown[window])
            color[window] = palette[classes]
            where[window] = tinted[classes]


def _on_canvas(layer: Shapes, mpp: float) -> list[NDArray[np.int32]]:
    # pixel centers have whole coordinates in OpenCV
    scale = np.divide(layer.mpp, mpp)
    return [
        np.rint((polygon * scale - 0.5)[:, ::-1] * 2**_SHIFT).astype(np.int32)
        for polygon in layer.polygons
    ]


def _outline(canvas: NDArray[np.uint8], layer: Shapes, mpp: float) -> None:
    import cv2

    shapes = _on_canvas(layer, mpp)
    if not shapes:
        return
    if layer.hatched:
        _hatch(canvas, shapes, layer.color)
    width = _line_width(shapes, layer.halo) if layer.width is None else layer.width
    if layer.halo:
        cv2.polylines(canvas, shapes, True, (255, 255, 255), width + 2, cv2.LINE_AA, _SHIFT)
    if width:
        cv2.polylines(canvas, shapes, True, layer.color, width, cv2.LINE_AA, _SHIFT)


def _line_width(shapes: Sequence[NDArray[np.int32]], strong: bool) -> int:
    sizes = [np.ptp(points, axis=0).min() / 2**_SHIFT for points in shapes]
    size = float(np.median(sizes))
    return (2 if size > 30 else 1) + (strong and size > 100)


def _hatch(canvas: NDArray[np.uint8], shapes: Sequence[NDArray[np.int32]], color: Color) -> None:
    import cv2

    for points in shapes:
        x0, y0 = np.maximum(points.min(axis=0) >> _SHIFT, 0)
        x1, y1 = (points.max(axis=0) >> _SHIFT) + 2
        part = canvas[y0:y1, x0:x1]
        if not part.size:
            continue
        inside = np.zeros(part.shape[:2], np.uint8)
        cv2.fillPoly(inside, [points - (np.array([x0, y0]) << _SHIFT)], 1, cv2.LINE_8, _SHIFT)
        y, x = np.ogrid[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]]
        part[(inside > 0) & ((x + y) % HATCH_PX < 2)] = color


def _dot(canvas: NDArray[np.uint8], layer: Dots, mpp: float) -> None:
    import cv2

    radius = round(layer.diameter / 2 * 2**_SHIFT)
    centers = np.rint((layer.centers_um / mpp - 0.5) * 2**_SHIFT).astype(int)
    for y, x in centers.tolist():
        cv2.circle(canvas, (x, y), radius, layer.color, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def _write(canvas: NDArray[np.uint8], layer: Numbers, mpp: float) -> None:
    import cv2

    largest = float(np.clip(max(canvas.shape[:2]) / 1400, 0.8, 1.6))
    rooms = [np.inf] * len(layer.texts) if layer.room_um is None else (layer.room_um / mpp).tolist()
    for (y, x), text, room in zip(layer.centers_um / mpp, layer.texts, rooms, strict=True):
        (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, largest, 3)
        fitting = largest * min(1.0, room / np.hypot(wide, high))
        size = max(fitting, SMALLEST_LETTERS)
        line = max(1, round(3 * size / largest))
        (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, line)
        left = x - wide / 2 if fitting >= size else x + room / 2 + 4
        at = round(left), round(y + high / 2)
        for color, width in (((255, 255, 255), line + 4), ((0, 0, 0), line)):
            cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, color, width, cv2.LINE_AA)
