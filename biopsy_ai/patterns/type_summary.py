"""What the fiber types of a section add up to, ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from biopsy_ai.measure.adequacy import requirement
from biopsy_ai.measure.brooke_engel import Sex, summarize_factors, variability_coefficient
from biopsy_ai.measure.exclusion import is_excluded
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.measure.summary import describe
from biopsy_ai.measure.type_class import TYPE_II_KINDS, type_classes
from biopsy_ai.patterns.stain_polarity import HYBRIDS, TYPES
from biopsy_ai.patterns.type_involvement import (
    find_disproportion,
    find_predominance,
    find_selective_atrophy,
)
from biopsy_ai.patterns.type_shares import Clusters, describe_share, draw_clusters

_SIZES = ("area_um2", "min_feret_um", "equivalent_diameter_um")
_SHAPES = ("circularity", "solidity", "feret_aspect_ratio", "angularity")
_GROUPS = {"I": ("I",), "II": TYPE_II_KINDS, "IIA": ("IIA",), "IIX": ("IIX",)}


def summarize_types(
    table: pd.DataFrame,
    *,
    typing: Mapping[str, Any] | None = None,
    borders: pd.DataFrame | None = None,
    sex: Sex | None = None,
    age: float | None = None,
    muscle: str | None = None,
    seed: int = 0,
    limits: Limits = DEFAULTS,
) -> dict[str, Any]:
    """Summarize the fiber types of one section.

    Parameters
    ----------
    table : DataFrame
        The fiber table with ``type`` and ``type_i_posterior``, sizes, shapes, ``excluded``, and
        ``fascicle`` where it is known. Excluded fibers do not count.
    typing : mapping, optional
        Summary of `biopsy_ai.patterns.fiber_types.type_fibers`: how the types were told.
    borders : DataFrame, optional
        Table of the fascicles (`biopsy_ai.patterns.Fascicles.table`), which says which are
        complete.
    sex : {"male", "female"}, optional
    age : float, optional
        Years.
    muscle : str, optional
        Name of the muscle.
    seed : int
        Of the fascicles that are drawn anew.
    limits : Limits, optional

    Returns
    -------
    dict
        JSON-ready. ``assessable`` and ``why_not``; ``typing``; ``counts``; ``n_typed``,
        ``n_undetermined`` and ``enough`` fibers for shares, with ``minimum``; ``shares`` by type,
        of all typed fibers; ``type_1_share``, of those of type 1 or 2, with ``expected``, the mean
        probability of type 1; ``hybrids``; ``by_type`` with sizes, shapes, variability coefficient
        and factors; ``selective_atrophy``; ``disproportion``; ``predominance``; ``notes``. What
        rests on too few fibers says so.

    Notes
    -----
    Criteria §1.4, §3.2 and §3.3. Intervals by number are those of Wilson; fascicles are drawn anew
    where five or more are complete, for fibers of one fascicle resemble each other.
    """
    how = None if typing is None else dict(typing)
    told = (
        table["type"].isin(TYPES).to_numpy(bool) if "type" in table else np.zeros(len(table), bool)
    )
    if not told.any():
        why_not = "the fibers were not typed"
        if how is not None and how.get("why_not"):
            why_not = str(how["why_not"])
        return {"assessable": False, "why_not": why_not, "typing": how}
    if how is not None and how.get("why_no_shares"):
        return {"assessable": False, "why_not": str(how["why_no_shares"]), "typing": how}
    kept = ~is_excluded(table)
    if not (told & kept).any():
        return {
            "assessable": False,
            "why_not": f"all {np.count_nonzero(told)} typed fibers are excluded",
            "typing": how,
        }
    kinds = table["type"].fillna("").astype(str).to_numpy()
    classes = type_classes(table["type"])
    typed = kept & told
    area = table["area_um2"].to_numpy(float)
    clusters = draw_clusters(table, borders, seed, limits)
    least, best = (requirement("type_proportions", k, limits) for k in ("minimum", "recommended"))
    assert least is not None
    assert best is not None
    two = typed & (classes != "")
    share = describe_share(classes == "I", two, area, clusters)
    if "type_i_posterior" in table and two.any():
        posterior = table["type_i_posterior"].to_numpy(float)[kept]
        share["expected"] = float(np.nanmean(posterior)) if np.isfinite(posterior).any() else None
    diameters = table["min_feret_um"].to_numpy(float)
    sized = np.where(typed & np.isfinite(diameters), classes, "")
    groups = {
        name: typed & np.isin(kinds, members)
        for name, members in _GROUPS.items()
        if (typed & np.isin(kinds, members)).any()
    }
    n_typed = int(typed.sum())
    return {
        "assessable": True,
        "why_not": None,
        "typing": how,
        "counts": {kind: int((typed & (kinds == kind)).sum()) for kind in TYPES},
        "n_typed": n_typed,
        "n_undetermined": int((kept & (kinds == "undetermined")).sum()),
        "enough": bool(n_typed >= least.value),
        "minimum": least.as_dict(),
        "recommended": best.as_dict(),
        "shares": {
            name: describe_share(members, typed, area, clusters) for name, members in groups.items()
        },
        "type_1_share": share,
        "hybrids": _hybrids(kinds, typed, area, clusters, how, limits),
        "by_type": {
            name: _describe_type(table[members], name, sex, limits)
            for name, members in groups.items()
        },
        "selective_atrophy": find_selective_atrophy(diameters, sized, sex, age, limits),
        "disproportion": find_disproportion(diameters, sized, share["share"], clusters, limits),
        "predominance": find_predominance(share, muscle, sex, age, limits),
        "notes": _notes(n_typed, least.value, groups, typed, kinds, how),
    }


def _describe_type(
    fibers: pd.DataFrame, name: str, sex: Sex | None, limits: Limits
) -> dict[str, Any]:
    """Size and shape of the fibers of one type."""
    least = requirement("size_by_type", limits=limits)
    assert least is not None
    quantities = {q: describe(fibers[q].to_numpy(float)) for q in _SIZES if q in fibers}
    if "shape_assessable" in fibers:
        shaped = fibers[fibers["shape_assessable"].astype(bool)]
        quantities |= {q: describe(shaped[q].to_numpy(float)) for q in _SHAPES if q in fibers}
    diameters = fibers["min_feret_um"].to_numpy(float)
    diameters = diameters[np.isfinite(diameters)]
    normal = limits.reference("variability_coefficient_normal")
    coefficient = variability_coefficient(diameters)
    known = bool(np.isfinite(coefficient))
    kind = "I" if name == "I" else "II"
    return {
        "n": len(fibers),
        "enough": bool(len(fibers) >= least.value),
        "minimum": least.as_dict(),
        "quantities": quantities,
        "variability_coefficient": {
            "value": coefficient if known else None,
            "normal_below": normal.as_dict(),
            "normal": bool(coefficient < normal.value) if known else None,
        },
        "atrophy_hypertrophy": summarize_factors(diameters, sex, limits, type_class=kind),
    }


def _hybrids(
    kinds: np.ndarray,
    typed: np.ndarray,
    area: np.ndarray,
    clusters: Clusters | None,
    how: Mapping[str, Any] | None,
    limits: Limits,
) -> dict[str, Any]:
    """Share of hybrid fibers, where the stain can show them."""
    if how is not None and not how.get("tells_hybrids", False):
        return {"assessable": False, "why_not": "this stain does not tell hybrid fibers"}
    normal = limits.reference("hybrid_normal_share")
    share = describe_share(np.isin(kinds, HYBRIDS), typed, area, clusters)
    return {
        "assessable": True,
        "why_not": None,
        **share,
        "normal_up_to": normal.as_dict(),
        "above_normal": bool(share["wilson_95"][0] > normal.value),
    }


def _notes(
    n_typed: int,
    least: float,
    groups: Mapping[str, np.ndarray],
    typed: np.ndarray,
    kinds: np.ndarray,
    how: Mapping[str, Any] | None,
) -> list[str]:
    notes = list(how.get("notes", [])) if how is not None else []
    if n_typed < least:
        notes.append(
            f"Only {n_typed} fibers have a type: below {least:.0f} the shares of types are not "
            "reliable."
        )
    unnamed = int((typed & (kinds == "II")).sum())
    if unnamed and ("IIA" in groups or "IIX" in groups):
        notes.append(
            f"The subtype of {unnamed} fibers of type II is not known: the shares of IIA and IIX "
            "are too low by these."
        )
    return notes
