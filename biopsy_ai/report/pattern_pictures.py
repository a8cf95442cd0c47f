"""Maps of the pattern: fiber types, groups of one type, atrophic fibers and their clusters.

Colors are those of Okabe and Ito, which people of any color vision tell apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from biopsy_ai.formats.qupath import TYPE_COLORS
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.report.legend import Color, Entry
from biopsy_ai.report.overlay import Layer, Numbers, Picture, Shapes
from biopsy_ai.report.pictures import (
    BLACK,
    BLUE,
    GRAY,
    PURPLE,
    VERMILLION,
    YELLOW,
    Fibers,
    outline_fascicles,
)
from biopsy_ai.report.regions import Region, join_neighbors

if TYPE_CHECKING:
    from biopsy_ai.patterns.fascicles import Fascicles

UNDETERMINED = "undetermined"

ATROPHY_COLORS: dict[str, Color] = {
    "atrophic": YELLOW,
    "angular atrophic": VERMILLION,
    "hypertrophic": BLUE,
}
"""By size of a fiber."""

PALE = 0.45
"""How much of the color of its type a fiber has that is not enclosed; the rest is white.
[default]"""

NAMED = 6
"""Fascicles that the legend names, at most. [default]"""


def has_types(table: pd.DataFrame) -> bool:
    """Tell whether the type of any fiber was looked at; column ``type``."""
    return "type" in table and bool((_texts(table, "type") != "").any())


def has_groups(table: pd.DataFrame) -> bool:
    """Tell whether groups were looked for, even if there are none; columns as `show_groups`."""
    return has_types(table) and _known(table, "is_enclosed")


def has_atrophy(table: pd.DataFrame) -> bool:
    """Tell whether atrophic fibers were looked for; column ``is_atrophic``."""
    return _known(table, "is_atrophic")


def show_types(fibers: Fibers, table: pd.DataFrame) -> Picture:
    """Fibers tinted by type.

    Parameters
    ----------
    fibers
        Those that are left out of the statistics are hatched, and do not count in the legend.
    table
        One row per fiber: ``label``, ``type`` (empty or missing where it was not looked at).

    Returns
    -------
    Picture
        Percentages are shares of the fibers whose type was told, by number.
    """
    types = _types_of(fibers, table)
    kept = set(fibers.kept())
    layers = [
        fibers.shapes([label for label in kept if not types[label]], GRAY, width=1),
        *_tinted_by_type(fibers, types),
        fibers.shapes(fibers.left_out(), GRAY, width=1, hatched=True),
    ]
    legend = _legend_of_types({label: types[label] for label in kept}, TYPE_COLORS)
    return Picture(layers, legend + _hatched(fibers))


def show_groups(
    fibers: Fibers,
    table: pd.DataFrame,
    *,
    fascicles: Fascicles | None = None,
    tested: pd.DataFrame | None = None,
    limits: Limits = DEFAULTS,
) -> Picture:
    """Groups of one type around enclosed fibers, outlined and numbered over the types.

    Parameters
    ----------
    fibers
        All are tinted, also those left out of the statistics: they may belong to a group.
    table
        One row per fiber: ``label``, ``type``, ``group`` (missing for none), ``is_enclosed``.
    fascicles
        Those in which types are grouped are outlined.
    tested
        One row per fascicle: ``fascicle``, ``grouped`` and ``p_adjusted``, see
        `biopsy_ai.patterns.fascicle_map`.
    limits
        For the gap across which fibers of a group are drawn as one region.

    Returns
    -------
    Picture
    """
    types = _types_of(fibers, table)
    enclosed = _labels_where(table, "is_enclosed")
    around = {label: kind for label, kind in types.items() if label not in enclosed}
    pale = {name: _pale(color) for name, color in TYPE_COLORS.items()}
    untyped = [label for label, kind in types.items() if not kind]
    layers = [
        fibers.shapes(untyped, GRAY, width=1),
        *_tinted_by_type(fibers, around, pale),
        *_tinted_by_type(fibers, {label: types.get(label, "") for label in enclosed}),
    ]
    legend = _legend_of_types(around, pale, shares=False)
    for name, color in TYPE_COLORS.items():
        n = sum(types.get(label) == name for label in enclosed)
        if n:
            legend.append(Entry(f"{name}, enclosed ({n:,})", color, "area"))
    legend.append(Entry("enclosed: all neighbors are of its own type, I or II", sign="text"))
    groups = _members(fibers, table, "group")
    layers += _regions(fibers, table, groups, limits)
    legend.append(_count_of("groups around enclosed fibers", groups))
    if tested is not None and fascicles is not None and not fascicles.whole_section:
        grouped = tested[tested["grouped"].fillna(False).astype(bool)]
        if len(grouped):
            outlines = outline_fascicles(fascicles)
            chosen = [outlines[number] for number in grouped["fascicle"] if number in outlines]
            layers.insert(0, Shapes(chosen, fascicles.mpp, PURPLE, width=5))
            legend.append(Entry(_p_values(grouped), PURPLE))
    return Picture(layers, legend)


def show_atrophy(fibers: Fibers, table: pd.DataFrame, *, limits: Limits = DEFAULTS) -> Picture:
    """Atrophic fibers tinted, angular ones apart, and their clusters outlined and numbered.

    Parameters
    ----------
    fibers
        Those that are left out of the statistics are hatched.
    table
        One row per fiber: ``label``, ``is_atrophic``, ``is_angular_atrophic``,
        ``atrophy_cluster`` (missing for none) and, where known, ``is_hypertrophic``.
    limits
        For the gap across which fibers of a cluster are drawn as one region.

    Returns
    -------
    Picture
    """
    angular = _labels_where(table, "is_angular_atrophic")
    found = {
        "atrophic": _labels_where(table, "is_atrophic") - angular,
        "angular atrophic": angular,
        "hypertrophic": _labels_where(table, "is_hypertrophic"),
    }
    kept = set(fibers.kept())
    unknown = kept & set(table.loc[table["is_atrophic"].isna(), "label"].tolist())
    others = kept.difference(unknown, *found.values())
    layers: list[Layer] = [
        fibers.shapes(others | unknown, GRAY, width=1),
        fibers.shapes(fibers.left_out(), GRAY, width=1, hatched=True),
    ]
    legend = []
    for name, labels in found.items():
        if name == "hypertrophic" and not _known(table, "is_hypertrophic"):
            continue
        members = labels & kept
        layers.append(fibers.shapes(members, ATROPHY_COLORS[name], width=1, tinted=True))
        legend.append(Entry(f"{name} ({len(members):,})", ATROPHY_COLORS[name], "area"))
    clusters = _members(fibers, table, "atrophy_cluster")
    layers += _regions(fibers, table, clusters, limits)
    legend.append(_count_of("clusters of atrophic fibers", clusters))
    legend.append(Entry(f"others ({len(others):,})", GRAY))
    if unknown:
        legend.append(Entry(f"not judged ({len(unknown):,})", sign="text"))
    return Picture(layers, legend + _hatched(fibers))


def _texts(table: pd.DataFrame, column: str) -> pd.Series:
    return table[column].astype(object).where(table[column].notna(), "").astype(str)


def _known(table: pd.DataFrame, column: str) -> bool:
    return column in table and bool(table[column].notna().any())


def _types_of(fibers: Fibers, table: pd.DataFrame) -> dict[int, str]:
    """Type of every outlined fiber, empty where it was not looked at."""
    found = dict(zip(table["label"].tolist(), _texts(table, "type").tolist(), strict=True))
    return {label: found.get(label, "") for label in fibers.polygons}


def _labels_where(table: pd.DataFrame, column: str) -> set[int]:
    if column not in table:
        return set()
    return set(table.loc[table[column].astype("boolean").fillna(False), "label"].tolist())


def _members(fibers: Fibers, table: pd.DataFrame, column: str) -> dict[int, list[int]]:
    """Labels of the outlined fibers by the number of their group."""
    if column not in table:
        return {}
    rows = table[table[column].notna() & table["label"].isin(list(fibers.polygons))]
    return {
        int(number): labels.tolist()
        for number, labels in rows["label"].groupby(rows[column].astype(np.int64))
    }


def _tinted_by_type(
    fibers: Fibers, types: Mapping[int, str], colors: Mapping[str, Color] = TYPE_COLORS
) -> list[Layer]:
    layers: list[Layer] = []
    for name, color in colors.items():
        members = [label for label, kind in types.items() if kind == name]
        if members:
            style = {"tinted": True, "hatched": "/" in name}
            layers.append(fibers.shapes(members, color, width=1, **style))
    return layers


def _legend_of_types(
    types: Mapping[int, str], colors: Mapping[str, Color], *, shares: bool = True
) -> list[Entry]:
    number = Counter(types.values())
    told = sum(n for name, n in number.items() if name not in ("", UNDETERMINED))
    legend = []
    for name, color in colors.items():
        n = number[name]
        if not n:
            continue
        share = f", {100 * n / told:.1f} %" if shares and name != UNDETERMINED else ""
        legend.append(Entry(f"{name} ({n:,}{share})", color, "hatched" if "/" in name else "area"))
    if shares and told:
        legend.append(Entry("% of the fibers with a type, by number", sign="text"))
    if number[""]:
        legend.append(Entry(f"not typed ({number['']:,})", GRAY))
    return legend


def _hatched(fibers: Fibers) -> list[Entry]:
    return [Entry(fibers.why_left_out(), GRAY, "hatched")] if fibers.left_out() else []


def _pale(color: Color) -> Color:
    red, green, blue = (round(255 - PALE * (255 - part)) for part in color)
    return red, green, blue


def _count_of(what: str, groups: Mapping[int, list[int]]) -> Entry:
    n = sum(len(members) for members in groups.values())
    return Entry(f"{what} ({len(groups):,}, with {n:,} fibers)" if n else f"{what} (0)", BLACK)


def _p_values(grouped: pd.DataFrame) -> str:
    """The fascicles in which types are grouped, those with the lowest p first."""
    rows = grouped.sort_values("p_adjusted")
    named = [
        f"{number} ({'< 0.001' if p < 0.001 else f'{p:.3f}'})"
        for number, p in zip(rows["fascicle"], rows["p_adjusted"], strict=True)
    ]
    more = f" and {len(named) - NAMED:,} more" if len(named) > NAMED else ""
    return "fascicles with grouped types (p, adjusted): " + ", ".join(named[:NAMED]) + more


def _regions(
    fibers: Fibers, table: pd.DataFrame, groups: Mapping[int, list[int]], limits: Limits
) -> list[Layer]:
    """Each group as one outline with its number."""
    gap_um = limits["contact_gap_um"]
    if _known(table, "min_feret_um"):
        gap_um = max(gap_um, limits["contact_gap_share"] * float(table["min_feret_um"].median()))
    number_of = {label: number for number, members in groups.items() for label in members}
    group = np.array([number_of.get(label, 0) for label in fibers.polygons], dtype=np.int64)
    middles = [polygon.mean(axis=0) * fibers.mpp for polygon in fibers.polygons.values()]
    centers = np.array(middles).reshape(-1, 2)
    regions: dict[int, Region] = {}
    for number, members in groups.items():
        outlines = [fibers.polygons[label] * fibers.mpp for label in members]
        region = join_neighbors(outlines, centers[group != number], gap_um)
        if region is not None:
            regions[number] = region
    if not regions:
        return []
    rings = [ring for region in regions.values() for ring in region.outlines]
    return [
        Shapes(rings, (1.0, 1.0), BLACK, halo=True),
        Numbers(
            np.array([region.center_um for region in regions.values()]),
            [str(number) for number in regions],
            np.array([region.room_um for region in regions.values()]),
        ),
    ]
