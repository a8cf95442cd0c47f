"""A histogram of one measure by fiber type, with limits of normal size, to be brushed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator
from matplotlib.widgets import SpanSelector
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Signal

from biopsy_ai.formats.qupath import FIBER_CLASS, TYPE_COLORS
from biopsy_ai.measure.exclusion import is_excluded
from napari_plugin.coloring import UNKNOWN, texts
from napari_plugin.column_names import column_title
from napari_plugin.plot_canvas import PlotCanvas

MEASURES = (
    "min_feret_um",
    "area_um2",
    "equivalent_diameter_um",
    "max_feret_um",
    "circularity",
    "angularity",
    "solidity",
    "feret_aspect_ratio",
    "n_nuclei",
    "n_internal_nuclei",
    "confidence",
    "type_posterior",
)
"""Columns that a histogram can show."""

BINS = 36
"""About so many bars."""

BEYOND = 99.5
"""Percentile at which the axis ends; the few fibers beyond are in the last bar."""


HEALTHY = "healthy"
SECTION = "section"


@dataclass(frozen=True)
class Band:
    """A range of normal sizes.

    Attributes
    ----------
    low, high
        µm.
    kind
        `HEALTHY` for people of the sex or age of the patient, `SECTION` for this section's own.
    type
        The fiber type that it is for; None for all.
    source
        Where it comes from.
    """

    low: float
    high: float
    kind: str
    type: str | None
    source: str


@dataclass(frozen=True, eq=False)
class Bars:
    """What a histogram shows.

    Attributes
    ----------
    measure
        Column of the fiber table.
    values, labels, types
        Of the fibers that count: those in the statistics whose value is known.
    edges
        Of the bars.
    names
        Types that have bars of their own, the most frequent at the bottom; empty for one kind.
    """

    measure: str
    values: NDArray[np.float64]
    labels: NDArray[np.int64]
    types: NDArray[np.object_]
    edges: NDArray[np.float64]
    names: tuple[str, ...]

    def within(self, low: float, high: float) -> NDArray[np.int64]:
        """Labels of the fibers from one value to another; the last bar holds all beyond it."""
        end = np.inf if high >= self.edges[-1] else high
        return np.sort(self.labels[(self.values >= low) & (self.values <= end)])


def known_measures(table: pd.DataFrame) -> list[str]:
    """Columns of a table that a histogram can show."""
    return [name for name in MEASURES if name in table and bool(table[name].notna().any())]


def count_bars(table: pd.DataFrame, measure: str) -> Bars:
    """Sort the fibers that enter the statistics into bars.

    Parameters
    ----------
    table
        One row per fiber.
    measure
        One of its columns of numbers.
    """
    values = table[measure].to_numpy(float, na_value=np.nan)
    kept = np.isfinite(values) & ~is_excluded(table)
    values, labels = values[kept], table["label"].to_numpy(np.int64)[kept]
    types = texts(table["type"])[kept] if "type" in table else np.full(len(values), "", object)
    listed = [name for name in TYPE_COLORS if np.any(types == name)]
    if listed and np.any(types == ""):
        listed.append("")
    whole = bool(len(values)) and bool(np.all(values == np.rint(values)))
    return Bars(measure, values, labels, types, _edges(values, whole), tuple(listed))


def _edges(values: NDArray[np.float64], whole: bool) -> NDArray[np.float64]:
    if not len(values):
        return np.array([0.0, 1.0])
    low, high = float(values.min()), float(np.percentile(values, BEYOND))
    if whole:
        return np.arange(np.floor(low), np.ceil(high) + 2) - 0.5
    if high <= low:
        return np.array([low - 0.5, low + 0.5])
    rough = (high - low) / BINS
    power = 10.0 ** np.floor(np.log10(rough))
    width = next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough)
    first = np.floor(low / width)
    return np.arange(first, np.ceil(high / width) + 1) * width


def size_bands(summary: Mapping[str, Any]) -> list[Band]:
    """Ranges of normal min Feret diameter that a summary holds the fibers to."""
    small = (summary.get("fibers") or {}).get("small_fibers") or {}
    lows, highs = small.get("size_limits_um") or [], small.get("large_limits_um") or []
    bands = []
    for low in lows:
        high = next((h for h in highs if _same_limit(low, h)), None)
        if high is None or low.get("value") is None or high.get("value") is None:
            continue
        kind = SECTION if low.get("origin") == "section" else HEALTHY
        ends = float(low["value"]), float(high["value"])
        bands.append(Band(*ends, kind, low.get("type"), str(low.get("source") or "")))
    return bands


def _same_limit(low: Mapping[str, Any], high: Mapping[str, Any]) -> bool:
    return all(low.get(key) == high.get(key) for key in ("origin", "type"))


class Histogram(PlotCanvas):
    """The canvas; dragging over it selects the fibers within.

    Attributes
    ----------
    bars
        What is shown.
    """

    brushed = Signal(object)
    """Labels of the fibers that were dragged over."""

    def __init__(self) -> None:
        super().__init__()
        self.bars: Bars | None = None
        self.bands: list[Band] = []
        self._selected: NDArray[np.int64] = np.empty(0, np.int64)
        self._span: SpanSelector | None = None

    def sizeHint(self) -> QSize:
        return QSize(340, 230)

    def minimumSizeHint(self) -> QSize:
        return QSize(200, 180)

    def show_bars(self, bars: Bars | None, bands: list[Band], selected: NDArray[np.int64]) -> None:
        """Draw a histogram; nothing without bars."""
        self.bars, self.bands, self._selected = bars, bands, selected
        self.redraw_soon()

    def show_selected(self, labels: NDArray[np.int64]) -> None:
        """Draw which of the fibers are selected."""
        self._selected = labels
        self.redraw_soon()

    def brush(self, low: float, high: float) -> None:
        """Select the fibers from one value to another."""
        if self.bars is not None and high > low:
            self.brushed.emit(self.bars.within(low, high))

    def _fill(self, text: str) -> None:
        self._span = None
        if self.bars is not None and len(self.bars.values):
            axes = self.figure.add_subplot()
            self._draw(axes, self.bars, text)
            self._span = SpanSelector(
                axes,
                self.brush,
                "horizontal",
                useblit=True,
                props={"facecolor": "#ffff00", "alpha": 0.3},
            )

    def _draw(self, axes: Any, bars: Bars, text: str) -> None:
        inside = np.clip(bars.values, bars.edges[0], np.nextafter(bars.edges[-1], -np.inf))
        axes.set_facecolor("none")
        # without limits of their own, wide ranges would push the bars together
        axes.set_xlim(bars.edges[0], bars.edges[-1])
        for band in self.bands:
            if band.kind == HEALTHY:
                axes.axvspan(band.low, band.high, color=text, alpha=0.14, lw=0, zorder=0)
        names = bars.names or ("",)
        groups = [inside[bars.types == name] if bars.names else inside for name in names]
        axes.hist(
            groups,
            bars.edges,
            stacked=True,
            color=[_color_of(name, bool(bars.names)) for name in names],
            edgecolor="none",
            rwidth=0.94,
        )
        chosen = np.isin(bars.labels, self._selected)
        if chosen.any():
            axes.hist(inside[chosen], bars.edges, histtype="step", color="#ffff00", lw=1.6)
        for band in self.bands:
            if band.kind == SECTION and (band.type is None) == (not bars.names):
                color = text if band.type is None else _color_of(band.type, True)
                for end in (band.low, band.high):
                    axes.axvline(end, color=color, ls="--", lw=1.2)
        axes.set_xlabel(column_title(bars.measure), color=text, fontsize=9)
        axes.set_ylabel("fibers", color=text, fontsize=9)
        axes.tick_params(colors=text, labelsize=8)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        for side, spine in axes.spines.items():
            spine.set_color(text)
            spine.set_visible(side in ("left", "bottom"))


def _color_of(name: str, typed: bool) -> tuple[float, float, float]:
    color = TYPE_COLORS.get(name, UNKNOWN) if typed else FIBER_CLASS[1]
    return color[0] / 255, color[1] / 255, color[2] / 255


def bands_in_words(bands: list[Band], names: tuple[str, ...]) -> str:
    """Say what is shaded and dashed, and what that rests on."""
    said = [
        f"Shaded: healthy, {band.low:.0f}–{band.high:.0f} µm ({band.source})."
        for band in bands
        if band.kind == HEALTHY
    ]
    own = [band for band in bands if band.kind == SECTION and (band.type is None) == (not names)]
    if own:
        whose = [f"{band.type or ''} {band.low:.0f}–{band.high:.0f} µm".strip() for band in own]
        said.append(f"Dashed: this section's own range, {', '.join(whose)}.")
    return " ".join(said)
