"""Figure of fiber sizes: a histogram for each fiber type, with the range of normal sizes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.formats.files import replacing
from biopsy_ai.formats.qupath import FIBER_CLASS, TYPE_COLORS
from biopsy_ai.measure.adequacy import requirement
from biopsy_ai.measure.brooke_engel import (
    Sex,
    atrophy_factor,
    hypertrophy_factor,
    size_limits,
    variability_coefficient,
)
from biopsy_ai.measure.exclusion import is_excluded
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.report.legend import FOOTER, drawing, plain

BIN_UM = 5.0
"""Width of a bin, µm; classes of 10 µm, as the factors have them, hide a second peak. [default]"""

ALL = "all"
"""Name of the histogram of all fibers."""

_WIDTH, _PANEL, _TOP, _BOTTOM = 10.0, 1.9, 0.45, 1.15  # inches
_LEFT = 0.075  # of the width
_TITLE = 90  # letters


def sizes_by_type(table: pd.DataFrame, limits: Limits = DEFAULTS) -> dict[str, NDArray[np.float64]]:
    """Sizes that are enough for a histogram.

    Parameters
    ----------
    table : DataFrame
        One row per fiber: ``min_feret_um``, ``excluded`` and, where known, ``type``.
    limits : Limits, optional
        For the least number of fibers of a histogram.

    Returns
    -------
    dict
        Min Feret of the fibers that enter the statistics by type, in the order of `TYPE_COLORS`.
        Of all fibers together, as `ALL`, where no type has enough; empty where all have not.
    """
    least = requirement("size_distribution", limits=limits)
    needed = least.value if least else 0
    kept = table[~is_excluded(table) & table["min_feret_um"].notna()]
    sizes = kept["min_feret_um"].to_numpy(float)
    found = {ALL: sizes}
    if "type" in kept:
        types = kept["type"].fillna("").astype(str).to_numpy()
        by_type = {name: sizes[types == name] for name in TYPE_COLORS if name != "undetermined"}
        if any(len(of_type) >= needed for of_type in by_type.values()):
            found = by_type
    return {name: of_type for name, of_type in found.items() if len(of_type) >= max(needed, 1)}


def write_sizes(
    path: str | Path,
    sizes: Mapping[str, NDArray[np.float64]],
    *,
    sex: Sex | None = None,
    age: float | None = None,
    title: str = "",
    limits: Limits = DEFAULTS,
) -> None:
    """Draw histograms of min Feret below each other on one axis, and write them as PNG.

    Parameters
    ----------
    path
        File to write or replace; its name should end in ``.png``.
    sizes
        From `sizes_by_type`, at least one.
    sex
        Whose range of normal sizes is shown; without it there is none, and no factors.
    age
        Years. Neither is shown for children, for whom limits of adults say nothing.
    title
        What the figure calls the section.
    limits
        For this range, and for the variability coefficient that is normal.

    Raises
    ------
    OutputError
        The file cannot be written.

    Notes
    -----
    Bins of 5 µm, each type as a share of its own fibers. Variability coefficient, atrophy and
    hypertrophy factor after Dubowitz & Brooke 1973, see `biopsy_ai.measure.brooke_engel`.
    """
    child = age is not None and age < limits["adult_age_from"]
    if sex is None:
        why_not = "Normal sizes differ between men and women: with the sex they would be shown."
    else:
        why_not = "Normal sizes are known for adults only, and not shown."
    with drawing():
        png = _figure(sizes, None if child else sex, why_not, title, limits)
    with replacing(path) as temporary:
        temporary.write_bytes(png)


def _figure(
    sizes: Mapping[str, NDArray[np.float64]],
    sex: Sex | None,
    why_not: str,
    title: str,
    limits: Limits,
) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = _TOP + _PANEL * len(sizes) + _BOTTOM
    figure = Figure(figsize=(_WIDTH, height), dpi=120, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(len(sizes), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    figure.subplots_adjust(
        left=_LEFT, right=0.7, top=1 - _TOP / height, bottom=_BOTTOM / height, hspace=0.12
    )
    edges = _bins(sizes)
    for axes, (name, of_type) in zip(panels, sizes.items(), strict=True):
        _histogram(axes, name, of_type, edges, sex, limits)
    panels[-1].set_xlim(edges[0], edges[-1])
    panels[-1].set_xlabel("min Feret diameter, µm")
    figure.supylabel("% of these fibers", x=0.012, fontsize="medium")
    shown = title if len(title) <= _TITLE else title[: _TITLE - 1] + "…"
    figure.text(_LEFT, 1 - 0.3 / height, plain(shown), fontsize=11)
    for line, text in enumerate(_notes(sizes, sex, why_not, limits)):
        figure.text(_LEFT, (0.46 - 0.17 * line) / height, plain(text), fontsize=8, color="0.2")
    figure.text(0.985, 0.08 / height, FOOTER, fontsize=7.5, color="0.35", ha="right")
    file = io.BytesIO()
    canvas.print_png(file)
    return file.getvalue()


def _bins(sizes: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Edges of the bins that hold all but a few far larger fibers."""
    together = np.concatenate(list(sizes.values()))
    largest = float(together.max())
    end = min(largest, 2.5 * float(np.percentile(together, 95)))
    return np.arange(np.floor(end / BIN_UM) + 2) * BIN_UM


def _histogram(
    axes: Any,
    name: str,
    sizes: NDArray[np.float64],
    edges: NDArray[np.float64],
    sex: Sex | None,
    limits: Limits,
) -> None:
    color = np.divide(TYPE_COLORS.get(name, FIBER_CLASS[1]), 255)
    if sex is not None:
        low, high = (limit.value for limit in size_limits(sex, limits))
        axes.axvspan(low, high, color="0.9", lw=0, zorder=0)
    inside = np.minimum(sizes, edges[-1] - BIN_UM / 2)
    weights = np.full(len(sizes), 100 / len(sizes))
    axes.hist(inside, edges, weights=weights, color=color, edgecolor="0.2", lw=0.5)
    axes.axvline(sizes.mean(), color="black", ls="--", lw=1.2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    head = "all fibers" if name == ALL else f"type {name}"
    axes.text(1.03, 0.97, head, transform=axes.transAxes, va="top", weight="bold", fontsize=11)
    axes.text(
        1.03,
        0.80,
        "\n".join(_figures(sizes, edges, sex, limits)),
        transform=axes.transAxes,
        va="top",
        fontsize=9,
        linespacing=1.35,
    )


def _figures(
    sizes: NDArray[np.float64], edges: NDArray[np.float64], sex: Sex | None, limits: Limits
) -> list[str]:
    """What stands beside a histogram."""
    normal = limits["variability_coefficient_normal"]
    variability = variability_coefficient(sizes)
    lines = [
        f"{len(sizes):,} fibers",
        f"mean {sizes.mean():.1f} µm (dashed)",
        f"VC {variability:.0f} (normal below {normal:g})",
    ]
    if sex is not None:
        low, high = size_limits(sex, limits)
        lines.append(f"atrophy factor {atrophy_factor(sizes, low.value, limits):.0f}")
        lines.append(f"hypertrophy factor {hypertrophy_factor(sizes, high.value, limits):.0f}")
    beyond = int(np.count_nonzero(sizes >= edges[-1]))
    if beyond:
        lines.append(f"last bin: {beyond:,} of {edges[-1]:g} µm and more")
    return lines


def _notes(
    sizes: Mapping[str, NDArray[np.float64]], sex: Sex | None, why_not: str, limits: Limits
) -> list[str]:
    """What stands below the histograms."""
    band = why_not
    if sex is not None:
        low, high = size_limits(sex, limits)
        band = f"Shaded: normal, {low.value:g}–{high.value:g} µm ({low.source})."
    terms = "VC: variability coefficient, 1000 SD / mean."
    least = requirement("size_distribution", limits=limits)
    if least and ALL not in sizes:
        terms += f" Types with fewer than {least.value:g} fibers are not shown."
    return [band, terms]
