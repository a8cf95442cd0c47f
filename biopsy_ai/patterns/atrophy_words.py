"""What the tests of grouped atrophy say together, in words."""

from __future__ import annotations

from typing import Any

from biopsy_ai.measure.reference import DEFAULTS, Limits

NULLS = {
    "section": "atrophic fibers at random places of the section",
    "fascicle": "atrophic fibers at random places within their fascicle",
    "fascicle_layer": "atrophic fibers at random places within their fascicle and layer",
    "fascicle_type": "atrophic fibers random among those of their fascicle and type class",
    "fascicle_layer_type": (
        "atrophic fibers random among those of their fascicle, layer and type class"
    ),
}
"""What each null deals out at random."""


def put_in_words(summary: dict[str, Any], limits: Limits = DEFAULTS) -> dict[str, Any]:
    """Draw a verdict from the tests of `find_grouped_atrophy`.

    Parameters
    ----------
    summary : dict
        Its summary, of a section that can be assessed.
    limits : Limits, optional

    Returns
    -------
    dict
        ``pattern`` (``grouped``, ``side by side``, ``scattered``, ``along borders``, ``cannot
        tell``), ``verdict`` and ``notes``.

    Notes
    -----
    Grouped takes a primary p below 0.05 and at least one group, and must hold without wide
    contacts. Where atrophic fibers touch perimysium more often than by chance it must also hold
    among inner fibers: atrophy along a part of the edge of a fascicle is clustered in its layer.
    """
    level = limits["pattern_p_below"]
    p = summary["p"]
    told = f"assortativity {summary['assortativity']:.3f}" + ("" if p is None else f", p = {p:.3g}")
    if p is None or p >= level:
        pattern, verdict = _not_grouped(summary, told, level)
    else:
        pattern, verdict = _clustered(summary, told, level)
    return {"pattern": pattern, "verdict": verdict, "notes": _notes(summary, level)}


def _not_grouped(summary: dict[str, Any], told: str, level: float) -> tuple[str, str]:
    inside = summary["mostly_atrophic_fascicles"]["atrophic_inside"]["share"]
    if inside > 0.5:
        return "cannot tell", (
            "cannot tell: most atrophic fibers lie in fascicles that are atrophic for the most "
            f"part, within which no arrangement can be tested ({told}); compatible with atrophy of "
            "whole fascicles"
        )
    if summary["p"] is None or summary["in_mostly_atrophic_types"]["share"] > 0.5:
        return "cannot tell", (
            "cannot tell: where fibers are atrophic, most others of the same fascicle and type are "
            f"so too, which leaves little to test ({told})"
        )
    return "scattered", (
        f"compatible with scattered atrophy: atrophic fibers lie together no more than by chance "
        f"({told})"
    )


def _clustered(summary: dict[str, Any], told: str, level: float) -> tuple[str, str]:
    short, inner, outer = (
        summary[name] for name in ("without_wide_contacts", "among_inner", "outer")
    )
    if summary["n_wide_contacts"] and (short is None or short["p"] >= level):
        return "cannot tell", (
            f"cannot tell: atrophic fibers lie together ({told}), but not where contacts as wide "
            "as those between pieces of one fiber are left out"
        )
    at_border = outer is not None and outer["p"] < level
    if at_border and (inner is None or inner["p"] >= level):
        return "along borders", (
            f"compatible with atrophy along the borders of fascicles: atrophic fibers lie together "
            f"({told}), but not among inner fibers"
        )
    if not summary["groups"]["n"]:
        return "side by side", (
            f"atrophic fibers lie side by side more often than by chance ({told}), but form no "
            "group"
        )
    return "grouped", f"compatible with grouped atrophy ({told})"


def _notes(summary: dict[str, Any], level: float) -> list[str]:
    notes = []
    finer = summary["p"]
    coarse = summary["nulls"].get("fascicle")
    if coarse is not None and coarse["p"] < level and (finer is None or finer >= level):
        notes.append(
            "Within fascicles alone atrophic fibers lie together (p = "
            f"{coarse['p']:.3g}); where fibers of one type, or the outer ones, lie explains it."
        )
    outer = summary["outer"]
    if outer is not None and outer["p"] < level:
        notes.append(
            f"{outer['observed']:.0f} atrophic fibers touch perimysium, {outer['expected']:.0f} "
            "expected: see perifascicular atrophy before anything else."
        )
    by_type = summary["atrophic_by_type"] or {}
    total = sum(entry["n"] for entry in by_type.values())
    for name, entry in by_type.items():
        if name not in ("not typed", "undetermined") and entry["n"] > 0.9 * total:
            notes.append(
                f"{entry['n']} of {total} atrophic fibers are of type {name}: groups are of one "
                "type for that reason alone."
            )
    if not summary["groups"]["n"]:
        return notes
    notes.append(
        f"Groups hold {100 * summary['groups']['grouped']['share']:.0f} % of the atrophic fibers, "
        f"{100 * summary['groups']['grouped_expected']:.0f} % expected by chance."
    )
    return notes
