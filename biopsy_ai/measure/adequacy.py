"""Whether a section holds enough to say something: fibers, types, fascicles, and how it was cut."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from biopsy_ai.measure.brooke_engel import share_of
from biopsy_ai.measure.exclusion import is_excluded
from biopsy_ai.measure.reference import DEFAULTS, Limits, Reference
from biopsy_ai.measure.small_fibers import summarize_obliquity
from biopsy_ai.yaml_text import load_yaml

MIN_FASCICLE_FIBERS = 20
"""A fascicle with fewer fibers does not count as a complete one. [default]"""

FASCICLE_COLUMNS = (
    "fascicle",
    "n_fibers",
    "n_measured",
    "complete",
    "median_feret_aspect_ratio",
    "alignment",
    "oblique",
)
"""Columns of the table of fascicles, in order; see `describe_fascicles`."""


@lru_cache(maxsize=1)
def _requirements() -> dict[str, dict[str, Any]]:
    text = files("biopsy_ai.measure").joinpath("adequacy.yaml").read_text(encoding="utf-8")
    return dict(load_yaml(text))


_OF_FASCICLES = (
    "fascicle",
    "touches_border",
    "excluded",
    "max_feret_um",
    "min_feret_um",
    "orientation_deg",
)
"""What `describe_fascicles` looks at."""


def requirement(
    statistic: str, kind: str = "minimum", limits: Limits = DEFAULTS
) -> Reference | None:
    """How many of what is counted a statistic needs, with source and mark.

    Parameters
    ----------
    statistic : str
        An entry of ``adequacy.yaml``.
    kind : {"minimum", "recommended"}
    limits : Limits, optional

    Returns
    -------
    Reference or None
        None where nothing is recommended beyond the minimum.

    Raises
    ------
    KeyError
        If there is no such entry.
    """
    entry = _requirements()[statistic].get(kind)
    if entry is None or isinstance(entry, str):
        return None if entry is None else limits.reference(entry)
    return Reference(float(entry["value"]), str(entry["source"]), str(entry["mark"]))


def summarize_exclusions(fibers: pd.DataFrame) -> dict[str, Any]:
    """Say how many fibers are left out, and why.

    Parameters
    ----------
    fibers : DataFrame
        Column ``excluded``: the reason, empty where there is none.

    Returns
    -------
    dict
        JSON-ready: ``excluded`` and, in ``by_reason``, each reason: count, share of all fibers and
        its 95 % Wilson interval.
    """
    total = len(fibers)
    counts = fibers.loc[is_excluded(fibers), "excluded"].value_counts()
    return {
        "excluded": share_of(int(counts.sum()), total),
        "by_reason": {
            str(reason): share_of(int(count), total) for reason, count in sorted(counts.items())
        },
    }


def describe_fascicles(
    fibers: pd.DataFrame, borders: pd.DataFrame | None = None, limits: Limits = DEFAULTS
) -> pd.DataFrame:
    """Size, completeness and obliquity of each fascicle.

    Parameters
    ----------
    fibers : DataFrame
        Columns ``fascicle`` (0 or missing for none), ``touches_border``, ``excluded``,
        ``max_feret_um``, ``min_feret_um`` and ``orientation_deg``.
    borders : DataFrame, optional
        Columns ``fascicle`` and ``complete``: whether the border of a fascicle was seen whole, as
        ``biopsy_ai.patterns.find_fascicles`` gives it.
    limits : Limits, optional

    Returns
    -------
    DataFrame
        One row per fascicle, columns `FASCICLE_COLUMNS`, no rows without a column ``fascicle``.
        ``n_measured`` fibers enter the statistics. Complete: at least 20 fibers, and a border that
        was seen whole, or where borders are not given, no fiber that the image border cuts.
        Oblique: median of max Feret over min Feret above 1.5 and mean resultant length of the
        doubled orientation above 0.6 [E], missing below 20 measured fibers; areas and equivalent
        diameters are too large then, min Feret is still good.

    Notes
    -----
    The resultant of n random directions exceeds 0.6 with probability exp(-0.36 n) (Rayleigh):
    below 0.1 % from 20 fibers on.
    """
    seen = None
    if borders is not None:
        seen = set(borders.loc[borders["complete"].astype(bool), "fascicle"].astype(int))
    rows = []
    if "fascicle" in fibers:
        # the other columns would be copied for each fascicle
        fibers = fibers[[name for name in _OF_FASCICLES if name in fibers]]
        number = fibers["fascicle"].fillna(0).astype(int)
        measured = pd.Series(~is_excluded(fibers), index=fibers.index)
        for fascicle, members in fibers[number > 0].groupby(number[number > 0]):
            inside = members[measured[members.index]]
            if seen is not None:
                whole = int(str(fascicle)) in seen
            else:
                whole = not members["touches_border"].astype(bool).any()
            # as many as `biopsy_ai.measure.condition` asks for, lest the two disagree
            enough = len(inside) >= limits["size_normal_min_fibers"]
            tilt = (summarize_obliquity(inside, limits) if enough else None) or {}
            rows.append(
                {
                    "fascicle": int(str(fascicle)),
                    "n_fibers": len(members),
                    "n_measured": len(inside),
                    "complete": whole and len(members) >= MIN_FASCICLE_FIBERS,
                    "median_feret_aspect_ratio": tilt.get("median_feret_aspect_ratio", np.nan),
                    "alignment": tilt.get("alignment", np.nan),
                    "oblique": tilt.get("oblique", pd.NA),
                }
            )
    table = pd.DataFrame(rows, columns=list(FASCICLE_COLUMNS))
    return table.astype({"complete": bool, "oblique": "boolean"})


def count_fibers(
    fibers: pd.DataFrame,
    borders: pd.DataFrame | None = None,
    *,
    type_column: str = "type",
    limits: Limits = DEFAULTS,
) -> dict[str, Any]:
    """Count what the requirements of ``adequacy.yaml`` are about.

    Parameters
    ----------
    fibers : DataFrame
        Column ``excluded``, and where they are known ``shape_assessable``, ``fascicle`` and the
        fiber type.
    borders : DataFrame, optional
        See `describe_fascicles`.
    type_column : str
        Column of the type; missing, empty and ``undetermined`` are no type.
    limits : Limits, optional

    Returns
    -------
    dict
        Numbers by what is counted, None where the section does not tell; ``by type`` holds the
        number of each type.
    """
    measured = fibers[~is_excluded(fibers)]
    counts: dict[str, Any] = {
        "fibers": len(measured),
        "fibers with a shape": None,
        "typed fibers": None,
        "fibers of the rarer type": None,
        "complete fascicles": None,
        "by type": None,
    }
    if "shape_assessable" in measured:
        counts["fibers with a shape"] = int(measured["shape_assessable"].astype(bool).sum())
    if type_column in measured:
        types = measured[type_column].dropna().astype(str)
        by_type = types[~types.isin(("", "undetermined"))].value_counts()
        counts["by type"] = {str(name): int(n) for name, n in sorted(by_type.items())}
        counts["typed fibers"] = int(by_type.sum())
        # with one type only there is no second one to compare it with
        counts["fibers of the rarer type"] = int(by_type.min()) if len(by_type) > 1 else 0
    if "fascicle" in fibers:
        fascicles = describe_fascicles(fibers, borders, limits)
        counts["complete fascicles"] = int(fascicles["complete"].sum())
    return counts


def summarize_adequacy(
    fibers: pd.DataFrame,
    borders: pd.DataFrame | None = None,
    *,
    type_column: str = "type",
    limits: Limits = DEFAULTS,
) -> dict[str, Any]:
    """Say for which statistics a section holds enough.

    Parameters
    ----------
    fibers : DataFrame
        The fiber table, see `count_fibers` and `describe_fascicles`.
    borders : DataFrame, optional
        See `describe_fascicles`.
    type_column : str
        Column of the fiber type.
    limits : Limits, optional

    Returns
    -------
    dict
        JSON-ready. ``counts`` from `count_fibers`; ``statistics`` by name: ``title``, ``counted``,
        ``n``, ``minimum`` and ``recommended`` with source and mark, ``enough`` (None where the
        section does not tell) and a ``text``, which says so in a sentence; ``exclusions``;
        ``fascicles``: how many there are, are complete and are oblique, and the numbers of these,
        None where fascicles are unknown; ``notes``, the sentences on what there is too little of.
    """
    counts = count_fibers(fibers, borders, type_column=type_column, limits=limits)
    statistics = {
        name: _judge(name, entry, counts, limits) for name, entry in _requirements().items()
    }
    fascicles = _summarize_fascicles(fibers, borders, limits)
    notes = [entry["text"] for entry in statistics.values() if _is_short(entry)]
    if fascicles and fascicles["n_oblique"]:
        notes.append(
            f"{fascicles['n_oblique']} of {fascicles['n']} fascicles seem to be cut obliquely: "
            "areas and equivalent diameters are too large there, min Feret is still good."
        )
    return {
        "counts": counts,
        "statistics": statistics,
        "exclusions": summarize_exclusions(fibers),
        "fascicles": fascicles,
        "notes": notes,
    }


def _judge(
    name: str, entry: Mapping[str, Any], counts: Mapping[str, Any], limits: Limits
) -> dict[str, Any]:
    minimum = requirement(name, "minimum", limits)
    recommended = requirement(name, "recommended", limits)
    assert minimum is not None
    n = counts[entry["counted"]]
    enough = None if n is None else n >= minimum.value
    judged = {
        "title": entry["title"],
        "counted": entry["counted"],
        "n": n,
        "minimum": minimum.as_dict(),
        "recommended": None if recommended is None else recommended.as_dict(),
        "enough": enough,
    }
    return {**judged, "text": _put_in_words(judged)}


def _is_short(entry: Mapping[str, Any]) -> bool:
    """Whether a section holds less than a statistic needs, or than is recommended."""
    best = entry["recommended"] or entry["minimum"]
    return entry["n"] is not None and entry["n"] < best["value"]


def _put_in_words(entry: Mapping[str, Any]) -> str:
    title, counted, n = entry["title"], entry["counted"], entry["n"]
    title = title[0].upper() + title[1:]
    if n is None:
        return f"{title}: not known, since this section does not tell how many {counted} it holds."
    needed = f"at least {entry['minimum']['value']:.0f} are needed"
    if entry["recommended"] is not None:
        needed += f" and {entry['recommended']['value']:.0f} recommended"
    if not entry["enough"]:
        verdict = "too few"
    else:
        verdict = "enough, but few" if _is_short(entry) else "enough"
    return f"{title}: {verdict}, {n} {counted}; {needed}."


def _summarize_fascicles(
    fibers: pd.DataFrame, borders: pd.DataFrame | None, limits: Limits
) -> dict[str, Any] | None:
    if "fascicle" not in fibers:
        return None
    table = describe_fascicles(fibers, borders, limits)
    oblique = table["oblique"].fillna(False).astype(bool)
    return {
        "n": len(table),
        "n_complete": int(table["complete"].sum()),
        "n_assessed_for_obliquity": int(table["oblique"].notna().sum()),
        "n_oblique": int(oblique.sum()),
        "oblique": [int(number) for number in table.loc[oblique, "fascicle"]],
        "limits": {
            limit: limits.reference(limit).as_dict()
            for limit in ("oblique_aspect_above", "oblique_alignment_above")
        },
    }
