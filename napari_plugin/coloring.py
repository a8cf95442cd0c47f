"""What the colors of fibers say: by type, size, shape, nuclei, pattern, certainty or exclusion.

Classes have the colors of the report, which are those of Okabe and Ito; numbers run through viridis
or, where they say how sure something is, cividis. Both are told apart by any color vision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.formats.qupath import EXCLUDED_CLASS, FIBER_CLASS, TYPE_COLORS
from biopsy_ai.measure.exclusion import BETWEEN_REASONS
from biopsy_ai.report.pattern_pictures import ATROPHY_COLORS
from biopsy_ai.report.pictures import (
    BLACK,
    BLUE,
    CONDITION_COLORS,
    GRAY,
    GREEN,
    LAYER_COLORS,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    YELLOW,
)
from napari_plugin.column_names import column_title

Color = tuple[int, int, int]

UNKNOWN: Color = GRAY
"""Fibers of which the measure is not known."""

MANY: tuple[Color, ...] = (BLUE, ORANGE, GREEN, PURPLE, VERMILLION, SKY, YELLOW)
"""Taken in turn for groups, clusters and fascicles."""

STEPS = 96
"""Shades of a scale of numbers; few, so that colors are changed fast."""

SPAN = (1.0, 99.0)
"""Percentiles at which a scale of numbers begins and ends. [default]"""

NAMED = 7
"""Groups that the legend names, at most."""

SEVERAL_REASONS = "A fiber with several reasons has the color of the first."


@dataclass(frozen=True)
class Swatch:
    """One color of a legend, and what it stands for."""

    text: str
    color: Color


@dataclass(frozen=True)
class Scale:
    """A legend of numbers.

    Attributes
    ----------
    colors
        From low to high.
    low, high
        Values of the first and the last color.
    whole
        Whether the values are counts.
    open_low, open_high
        Whether fibers lie beyond the ends of the scale, and have the color of its end.
    """

    colors: tuple[Color, ...]
    low: float
    high: float
    whole: bool = False
    open_low: bool = False
    open_high: bool = False


@dataclass(frozen=True, eq=False)
class Coloring:
    """Colors of the fibers of a table, and what they mean.

    Attributes
    ----------
    key, title
        Name among `COLORINGS`, and in words with the unit.
    palette
        (k, 3) uint8 RGB.
    index
        (n,) intp: the place in the palette of each row of the table.
    swatches
        Legend of classes, with the number of fibers.
    scale
        Legend of numbers; None for classes.
    note
        What else the legend says.
    """

    key: str
    title: str
    palette: NDArray[np.uint8]
    index: NDArray[np.intp]
    swatches: tuple[Swatch, ...] = ()
    scale: Scale | None = None
    note: str = ""


def color_by(key: str, table: pd.DataFrame) -> Coloring:
    """Color fibers by what a table says of them.

    Parameters
    ----------
    key
        One of `COLORINGS`.
    table
        One row per fiber.

    Raises
    ------
    KeyError
        There is no such coloring.
    """
    title, make, _ = COLORINGS[key]
    return make(key, title, table)


def known_colorings(table: pd.DataFrame) -> list[str]:
    """Keys of the colorings that a table has values for."""
    # that no fiber is left out is worth knowing too
    return [
        key
        for key, (_, _, column) in COLORINGS.items()
        if column is None
        or (column in table and (column == "excluded" or _any_known(table[column])))
    ]


def first_coloring(table: pd.DataFrame) -> str:
    """The coloring that a section opens with: its types, else what is left out."""
    known = known_colorings(table)
    return "type" if "type" in known else "excluded" if "excluded" in known else "outline"


def _any_known(column: pd.Series) -> bool:
    known = column.notna()
    if not pd.api.types.is_numeric_dtype(column):
        known &= column.astype(str) != ""
    return bool(known.any())


def texts(column: pd.Series) -> NDArray[np.object_]:
    """A column as text; empty where it is missing."""
    return column.astype(object).where(column.notna(), "").astype(str).to_numpy(object)


def _by_class(
    key: str,
    title: str,
    names: NDArray[np.object_],
    colors: Mapping[str, Color],
    unknown: str,
    said: Callable[[str], str] = str,
    note: str = "",
) -> Coloring:
    """Color by names; what is not among the colors is unknown."""
    listed = list(colors)
    place = {name: i + 1 for i, name in enumerate(listed)}
    index = np.fromiter((place.get(name, 0) for name in names), np.intp, len(names))
    number = np.bincount(index, minlength=len(listed) + 1)
    swatches = [
        Swatch(f"{said(name)} ({number[i + 1]:,})", colors[name])
        for i, name in enumerate(listed)
        if number[i + 1]
    ]
    if number[0]:
        swatches.append(Swatch(f"{unknown} ({number[0]:,})", UNKNOWN))
    palette = np.array([UNKNOWN, *colors.values()], np.uint8)
    return Coloring(key, title, palette, index, tuple(swatches), note=note)


def _by_type(key: str, title: str, table: pd.DataFrame) -> Coloring:
    return _by_class(key, title, texts(table["type"]), TYPE_COLORS, "not typed")


def _by_condition(key: str, title: str, table: pd.DataFrame) -> Coloring:
    # of several conditions the most probable one stands first
    first = [text.split(";")[0].strip() for text in texts(table["condition"])]
    colors = {"normal": GREEN, **CONDITION_COLORS}
    return _by_class(key, title, np.array(first, object), colors, "not judged")


def _by_exclusion(key: str, title: str, table: pd.DataFrame) -> Coloring:
    reasons = texts(table["excluded"])
    first = [text.split(BETWEEN_REASONS)[0].strip() for text in reasons]
    often = [name for name, _ in Counter(name for name in first if name).most_common(5)]
    colors = dict(zip(often, (EXCLUDED_CLASS[1], VERMILLION, PURPLE, YELLOW, SKY), strict=False))
    names = np.array(["other" if n and n not in colors else n for n in first], object)
    return _by_class(
        key,
        title,
        names,
        {"": FIBER_CLASS[1], **colors, "other": BLACK},
        "",
        lambda name: {"": "in the statistics", "other": "other reasons"}.get(name, name),
        note=SEVERAL_REASONS if any(BETWEEN_REASONS in text for text in reasons) else "",
    )


def _by_atrophy(key: str, title: str, table: pd.DataFrame) -> Coloring:
    names = np.full(len(table), "", object)
    names[table["is_atrophic"].notna().to_numpy(bool)] = "others"
    for column, name in (
        ("is_hypertrophic", "hypertrophic"),
        ("is_atrophic", "atrophic"),
        ("is_angular_atrophic", "angular atrophic"),
    ):
        if column in table:
            names[table[column].astype("boolean").fillna(False).to_numpy(bool)] = name
    return _by_class(key, title, names, {**ATROPHY_COLORS, "others": GREEN}, "not judged")


def _by_layer(key: str, title: str, table: pd.DataFrame) -> Coloring:
    from biopsy_ai.patterns.fascicles import LAYERS

    depth = _numbers(table["layer"])
    names = np.full(len(table), "", object)
    for layer, name in enumerate(LAYERS, 1):
        names[depth == layer] = name
    return _by_class(
        key, title, names, dict(zip(LAYERS, LAYER_COLORS, strict=True)), "in no fascicle"
    )


def _by_correction(key: str, title: str, table: pd.DataFrame) -> Coloring:
    names = [
        "" if not text else "accepted" if text == "accepted" else "changed"
        for text in texts(table[key])
    ]
    colors = {"changed": VERMILLION, "accepted": BLUE}
    return _by_class(key, title, np.array(names, object), colors, "as the program found it")


def _by_member(key: str, title: str, table: pd.DataFrame) -> Coloring:
    """Color by the number of a group; groups take turns in the colors."""
    numbers = _numbers(table[key])
    member = np.nan_to_num(numbers, nan=0).astype(np.int64)
    index = np.where(member > 0, (member - 1) % len(MANY) + 1, 0).astype(np.intp)
    size = Counter(member[member > 0].tolist())
    what = title.split(" (")[0]
    largest = sorted(size, key=lambda number: (-size[number], number))[:NAMED]
    swatches = [
        Swatch(f"{what} {number} ({size[number]:,})", MANY[(number - 1) % len(MANY)])
        for number in sorted(largest)
    ]
    n_out = int(np.count_nonzero(member <= 0))
    if n_out:
        swatches.append(Swatch(f"in none ({n_out:,})", UNKNOWN))
    more = len(size) - len(largest)
    note = f"The largest of {len(size):,}; colors come again." if more > 0 else ""
    return Coloring(
        key, title, np.array([UNKNOWN, *MANY], np.uint8), index, tuple(swatches), note=note
    )


def _plain(key: str, title: str, table: pd.DataFrame) -> Coloring:
    index = np.zeros(len(table), np.intp)
    swatch = Swatch(f"fibers ({len(table):,})", FIBER_CLASS[1])
    return Coloring(key, title, np.array([FIBER_CLASS[1]], np.uint8), index, (swatch,))


def _by_number(
    colormap: str, whole: bool = False, ends: tuple[float, float] | None = None
) -> Callable[[str, str, pd.DataFrame], Coloring]:
    def make(key: str, title: str, table: pd.DataFrame) -> Coloring:
        return _scaled(key, title, _numbers(table[key]), colormap, whole, ends)

    return make


def _scaled(
    key: str,
    title: str,
    values: NDArray[np.float64],
    colormap: str,
    whole: bool,
    ends: tuple[float, float] | None,
) -> Coloring:
    known = values[np.isfinite(values)]
    low, high = ends if ends is not None else _span(known, whole)
    steps = min(int(high - low) + 1, STEPS) if whole else STEPS
    place = np.clip((values - low) / max(high - low, 1e-9) * (steps - 1), 0, steps - 1)
    index = np.where(np.isfinite(values), np.rint(np.nan_to_num(place)) + 1, 0).astype(np.intp)
    colors = shades(colormap, steps)
    n_unknown = len(values) - len(known)
    swatches = (Swatch(f"not known ({n_unknown:,})", UNKNOWN),) if n_unknown else ()
    scale = Scale(
        tuple((int(r), int(g), int(b)) for r, g, b in colors),
        float(low),
        float(high),
        whole,
        bool((known < low).any()),
        bool((known > high).any()),
    )
    palette = np.vstack([np.array([UNKNOWN], np.uint8), colors])
    return Coloring(key, title, palette, index, swatches, scale)


def _span(known: NDArray[np.float64], whole: bool) -> tuple[float, float]:
    if not len(known):
        return 0.0, 1.0
    if whole:
        return 0.0, max(1.0, float(np.ceil(np.percentile(known, SPAN[1]))))
    low, high = (float(value) for value in np.percentile(known, SPAN))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def shades(colormap: str, steps: int) -> NDArray[np.uint8]:
    """(steps, 3) colors of a colormap of matplotlib, from low to high."""
    import matplotlib

    colors = matplotlib.colormaps[colormap](np.linspace(0, 1, max(steps, 1)))
    return np.asarray(np.rint(colors[:, :3] * 255), np.uint8)


def _numbers(column: pd.Series) -> NDArray[np.float64]:
    return pd.to_numeric(column, errors="coerce").to_numpy(float, na_value=np.nan)


Make = Callable[[str, str, pd.DataFrame], Coloring]

_SIZES: Sequence[str] = ("min_feret_um", "area_um2")
_SHAPES: Sequence[str] = ("angularity", "circularity")

COLORINGS: dict[str, tuple[str, Make, str | None]] = {
    "outline": ("nothing: one color", _plain, None),
    "type": ("type", _by_type, "type"),
    **{key: (column_title(key), _by_number("viridis"), key) for key in _SIZES},
    "size_class": ("atrophy", _by_atrophy, "is_atrophic"),
    **{key: (column_title(key), _by_number("viridis"), key) for key in _SHAPES},
    "n_nuclei": ("nuclei per fiber", _by_number("viridis", whole=True), "n_nuclei"),
    "n_internal_nuclei": (
        "internal nuclei per fiber",
        _by_number("viridis", whole=True),
        "n_internal_nuclei",
    ),
    "condition": ("condition", _by_condition, "condition"),
    "group": (column_title("group"), _by_member, "group"),
    "atrophy_cluster": (column_title("atrophy_cluster"), _by_member, "atrophy_cluster"),
    "fascicle": ("fascicle", _by_member, "fascicle"),
    "layer": ("layer in the fascicle", _by_layer, "layer"),
    "confidence": (column_title("confidence"), _by_number("cividis"), "confidence"),
    "type_posterior": (
        column_title("type_posterior"),
        _by_number("cividis", ends=(0.5, 1.0)),
        "type_posterior",
    ),
    "excluded": ("left out of statistics", _by_exclusion, "excluded"),
    "corrected": ("review", _by_correction, "corrected"),
}
"""By key: the title, what makes the coloring, and the column that must be known for it."""
