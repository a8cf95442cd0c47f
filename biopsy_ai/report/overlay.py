"""The overlay: fiber outlines over the section, with scale bar and legend."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai import __version__
from biopsy_ai.errors import OutputError
from biopsy_ai.formats.contours import Polygon, fiber_polygons
from biopsy_ai.formats.files import replacing
from biopsy_ai.formats.qupath import EXCLUDED_CLASS, FIBER_CLASS
from biopsy_ai.slides.color import white_level

if TYPE_CHECKING:
    from biopsy_ai.segmentation import Segmentation
    from biopsy_ai.slides import Slide

LONG_SIDE_PX = 2400
"""Longer side of the section in the overlay, at most. [default]"""

SMALL_SIDE_PX = 1200
"""Sections of fewer pixels are enlarged to this, so that lines and text stay fine. [default]"""

AREA_PX = 4_000_000
"""Pixels of the section in the overlay, at most. [default]"""

PERCENTILES = (1.0, 99.5)
"""Fluorescence is shown from black to white between these percentiles. [default]"""

FOOTER = f"biopsy-ai {__version__} – for research use only, not for diagnostic procedures"

_SHIFT = 4  # polygons are drawn with 1/16 px


def write_overlay(
    path: str | Path,
    slide: Slide | None,
    segmentation: Segmentation,
    *,
    polygons: Mapping[int, Polygon] | None = None,
    excluded: Collection[int] = (),
    title: str = "",
) -> None:
    """Draw the outlines over the section and write them as PNG.

    Parameters
    ----------
    path
        File to write or replace; its name should end in ``.png``.
    slide
        The section; fluorescence is shown by its border channel. None draws on white.
    segmentation
        The fibers, from the same top-left corner as the section.
    polygons
        Outlines by label, (row, column) in label pixels, if they are known already.
    excluded
        Labels of fibers that are left out of the statistics, drawn in another color.
    title
        What the legend calls the section.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    import cv2

    if polygons is None:
        polygons = dict(fiber_polygons(segmentation.labels, segmentation.ids, segmentation.boxes))
    if slide is None:
        extent_um = np.multiply(segmentation.labels.shape, segmentation.mpp)
        native_mpp = min(segmentation.mpp)
    else:
        extent_um = np.multiply(slide.shape, slide.mpp)
        native_mpp = min(slide.mpp)
    mpp = _overlay_mpp(extent_um, native_mpp)
    canvas = _white(extent_um, mpp) if slide is None else _section(slide, mpp)
    _draw_outlines(canvas, polygons, np.divide(segmentation.mpp, mpp), frozenset(excluded))
    page = _with_legend(
        canvas,
        mpp,
        title,
        n_fibers=len(polygons),
        n_excluded=len(frozenset(excluded) & polygons.keys()),
    )
    done, png = cv2.imencode(".png", page[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 4])
    if not done:
        raise OutputError(f"{path}: the overlay cannot be encoded as PNG.")
    with replacing(path) as temporary:
        temporary.write_bytes(png.tobytes())


def scale_bar_um(width_um: float) -> float:
    """Choose a round length (1, 2 or 5 times a power of ten) of 8 to 20 % of a width, µm."""
    largest = 0.2 * width_um
    power = 10.0 ** np.floor(np.log10(largest))
    return float(max(step * power for step in (1, 2, 5) if step * power <= largest * 1.0001))


def _overlay_mpp(extent_um: NDArray[np.float64], native_mpp: float) -> float:
    longest, area = float(extent_um.max()), float(extent_um.prod())
    coarsest = longest / SMALL_SIDE_PX
    finest = max(longest / LONG_SIDE_PX, (area / AREA_PX) ** 0.5)
    return max(finest, min(native_mpp, coarsest))


def _white(extent_um: NDArray[np.float64], mpp: float) -> NDArray[np.uint8]:
    height, width = (max(1, round(float(side) / mpp)) for side in extent_um)
    return np.full((height, width, 3), 255, dtype=np.uint8)


def _section(slide: Slide, mpp: float) -> NDArray[np.uint8]:
    """Whole slide as it is shown, 8-bit RGB."""
    shape = slide.grid_shape(mpp)
    if slide.is_rgb:
        image = slide.read(0, 0, *shape, mpp)
        shown = image * (255.0 / white_level(slide.dtype))
    else:
        border = slide.read(0, 0, *shape, mpp, channels=[slide.channels.get("border", 0)])
        low, high = np.percentile(border, PERCENTILES)
        shown = np.repeat((border - low) * (255.0 / max(high - low, 1e-6)), 3, axis=2)
    return np.clip(np.rint(shown), 0, 255).astype(np.uint8)


def _draw_outlines(
    canvas: NDArray[np.uint8],
    polygons: Mapping[int, Polygon],
    scale: NDArray[np.float64],
    excluded: frozenset[int],
) -> None:
    import cv2

    # pixel centers have whole coordinates in OpenCV
    fixed = {
        label: np.rint((polygon * scale - 0.5)[:, ::-1] * 2**_SHIFT).astype(np.int32)
        for label, polygon in polygons.items()
    }
    sizes = [np.ptp(points, axis=0).min() / 2**_SHIFT for points in fixed.values()]
    thickness = 2 if sizes and float(np.median(sizes)) > 30 else 1
    # where neighbors share a line, the rarer color is on top
    for shown, (_, color) in ((False, FIBER_CLASS), (True, EXCLUDED_CLASS)):
        members = [points for label, points in fixed.items() if (label in excluded) is shown]
        if members:
            cv2.polylines(canvas, members, True, color, thickness, cv2.LINE_AA, _SHIFT)


def _with_legend(
    canvas: NDArray[np.uint8], mpp: float, title: str, *, n_fibers: int, n_excluded: int
) -> NDArray[np.uint8]:
    """Put a white strip with scale bar, legend and footer below the section."""
    font = int(np.clip(max(canvas.shape[:2]) / 90, 15, 26))
    width = max(canvas.shape[1], 50 * font)
    strip = _strip(width, font, mpp, canvas.shape[1] * mpp, title, n_fibers, n_excluded)
    page = np.full((len(canvas) + len(strip), width, 3), 255, dtype=np.uint8)
    page[: len(canvas), : canvas.shape[1]] = canvas
    page[len(canvas) :] = strip
    return page


def _strip(
    width: int, font: int, mpp: float, width_um: float, title: str, n_fibers: int, n_excluded: int
) -> NDArray[np.uint8]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = int(4.6 * font)
    figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="white")
    drawing = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    points = font * 72 / 100
    first, second = 1.3 * font, 3.4 * font

    length_um = scale_bar_um(width_um)
    bar_px = length_um / mpp
    axes.plot(
        [font, font + bar_px], [first, first], color="black", lw=font / 5, solid_capstyle="butt"
    )
    unit = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    x = font + bar_px + 0.6 * font
    bar_text = axes.text(x, first, unit, fontsize=points, va="center")

    entries = [(FIBER_CLASS[1], f"fiber outlines ({n_fibers - n_excluded:,})")]
    if n_excluded:
        entries.append((EXCLUDED_CLASS[1], f"left out of statistics ({n_excluded:,})"))
    x = bar_text.get_window_extent(drawing.get_renderer()).x1 + 2.5 * font
    for color, name in entries:
        axes.plot([x, x + 2 * font], [first, first], color=np.divide(color, 255), lw=font / 6)
        text = axes.text(x + 2.5 * font, first, name, fontsize=points, va="center")
        x = text.get_window_extent(drawing.get_renderer()).x1 + 2.5 * font

    gray = "0.35"
    small = 0.8 * points
    footer = axes.text(
        width - font, second, FOOTER, fontsize=small, va="center", ha="right", color=gray
    )
    room = footer.get_window_extent(drawing.get_renderer()).x0 - 2 * font
    _fitted_text(axes, drawing, title, room, x=font, y=second, fontsize=small, va="center")
    with warnings.catch_warnings():
        # names in scripts that the font lacks show as boxes
        warnings.filterwarnings("ignore", message="Glyph")
        drawing.draw()
    pixels: NDArray[np.uint8] = np.asarray(drawing.buffer_rgba())[:, :, :3]
    return np.ascontiguousarray(pixels)


def _fitted_text(
    axes: Any, drawing: Any, title: str, room: float, *, x: float, y: float, **style: Any
) -> None:
    """Write a title, shortened until it ends before `room`."""
    shown = title
    while shown:
        # a dollar sign would start a formula
        text = axes.text(x, y, shown.replace("$", r"\$"), **style)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph")
            end = text.get_window_extent(drawing.get_renderer()).x1
        if end <= room:
            return
        text.remove()
        shown = title[: int(len(shown) * min(0.95, room / end))].rstrip("…") + "…"
        if len(shown) < 6:
            return
