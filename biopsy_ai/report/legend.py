"""The strip below an overlay: scale bar, legend, name of the section and footer."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from biopsy_ai import __version__

FOOTER = f"biopsy-ai {__version__} – for research use only, not for diagnostic procedures"

Color = tuple[int, int, int]

_drawing = threading.Lock()


@contextmanager
def drawing() -> Iterator[None]:
    """Draw text, one thread at a time, without warnings about missing glyphs.

    Names in scripts that the font lacks show as boxes; to silence warnings is no business of one
    thread alone.
    """
    with _drawing, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        yield


@dataclass(frozen=True)
class Entry:
    """One entry of a legend.

    Attributes
    ----------
    text
        What it says.
    color
        RGB of the sign before it.
    sign
        A line for outlines, an area for what is tinted, "hatched", a dot, or nothing but text.
    """

    text: str
    color: Color = (0, 0, 0)
    sign: Literal["line", "area", "hatched", "dot", "text"] = "line"


def scale_bar_um(width_um: float) -> float:
    """Choose a round length (1, 2 or 5 times a power of ten) of 8 to 20 % of a width, µm."""
    largest = 0.2 * width_um
    power = 10.0 ** np.floor(np.log10(largest))
    return float(max(step * power for step in (1, 2, 5) if step * power <= largest * 1.0001))


def with_legend(
    canvas: NDArray[np.uint8], mpp: float, title: str, entries: Sequence[Entry]
) -> NDArray[np.uint8]:
    """Put a white strip with scale bar, legend, name and footer below a section.

    Parameters
    ----------
    canvas : (h, w, 3) uint8 array
        The section, RGB.
    mpp
        Its pixel size, µm.
    title
        What the legend calls the section; shortened where it is too long.
    entries
        Of the legend, in order; they go on in the next line where one is full.

    Returns
    -------
    (H, W, 3) uint8 ndarray
    """
    font = int(np.clip(max(canvas.shape[:2]) / 90, 15, 26))
    width = max(canvas.shape[1], 50 * font)
    with drawing():
        strip = _strip(width, font, mpp, canvas.shape[1] * mpp, title, entries)
    page = np.full((len(canvas) + len(strip), width, 3), 255, dtype=np.uint8)
    page[: len(canvas), : canvas.shape[1]] = canvas
    page[len(canvas) :] = strip
    return page


def _strip(
    width: int, font: int, mpp: float, width_um: float, title: str, entries: Sequence[Entry]
) -> NDArray[np.uint8]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # more than ever needed; cut to what was used
    height = 2 * font * (len(entries) + 3)
    figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="white")
    drawing = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    points = font * 72 / 100
    y = 1.3 * font

    length_um = scale_bar_um(width_um)
    bar_px = length_um / mpp
    axes.plot([font, font + bar_px], [y, y], color="black", lw=font / 5, solid_capstyle="butt")
    unit = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    x = font + bar_px + 0.6 * font
    bar_text = axes.text(x, y, unit, fontsize=points, va="center")
    start = x = _end(bar_text, drawing) + 2 * font

    for entry in entries:
        indent = 0.0 if entry.sign == "text" else 2.5 * font
        text = axes.text(x + indent, y, plain(entry.text), fontsize=points, va="center")
        if _end(text, drawing) > width - font and x > start:
            x, y = start, y + 1.8 * font
            text.set_position((x + indent, y))
        _sign(axes, entry, x, y, font)
        x = _end(text, drawing) + 2 * font

    y += 2.1 * font
    small = 0.8 * points
    footer = axes.text(
        width - font, y, FOOTER, fontsize=small, va="center", ha="right", color="0.35"
    )
    room = footer.get_window_extent(drawing.get_renderer()).x0 - 2 * font
    _fitted_text(axes, drawing, title, room, x=font, y=y, fontsize=small, va="center")
    drawing.draw()
    pixels: NDArray[np.uint8] = np.asarray(drawing.buffer_rgba())[:, :, :3]
    return np.ascontiguousarray(pixels[: int(y + 1.2 * font)])


def _sign(axes: Any, entry: Entry, x: float, y: float, font: int) -> None:
    from matplotlib.patches import Rectangle

    color = np.divide(entry.color, 255)
    if entry.sign == "line":
        axes.plot([x, x + 2 * font], [y, y], color=color, lw=font / 6)
    elif entry.sign == "dot":
        axes.plot([x + 1.4 * font], [y], color=color, marker="o", ms=0.5 * font, lw=0)
    elif entry.sign in ("area", "hatched"):
        hatched = entry.sign == "hatched"
        axes.add_patch(
            Rectangle(
                (x, y - 0.55 * font),
                2 * font,
                1.1 * font,
                facecolor="white" if hatched else color,
                edgecolor=color,
                hatch="////" if hatched else None,
                lw=font / 14,
            )
        )


def _end(text: Any, drawing: Any) -> float:
    return float(text.get_window_extent(drawing.get_renderer()).x1)


def plain(text: str) -> str:
    """Text in which a dollar sign does not start a formula."""
    return text.replace("$", r"\$")


def _fitted_text(
    axes: Any, drawing: Any, title: str, room: float, *, x: float, y: float, **style: Any
) -> None:
    """Write a title, shortened until it ends before `room`."""
    shown = title
    while shown:
        text = axes.text(x, y, plain(shown), **style)
        end = _end(text, drawing)
        if end <= room:
            return
        text.remove()
        shown = title[: int(len(shown) * min(0.95, room / end))].rstrip("…") + "…"
        if len(shown) < 6:
            return
