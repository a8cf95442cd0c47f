"""Whether one fiber type is smaller or more frequent than it should be."""

from __future__ import annotations

from typing import Any

import numpy as np

from biopsy_ai.measure.adequacy import requirement
from biopsy_ai.measure.brooke_engel import Sex, atrophy_factor, size_limits
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.patterns.muscles import find_muscle, muscle_names
from biopsy_ai.patterns.type_mixture import Floats
from biopsy_ai.patterns.type_shares import Clusters, interval_of

_Z = 1.959963984540054
_TYPE_2_MEANING = (
    "type-2 atrophy pattern: seen with disuse, corticosteroids, cachexia and age, and also in some "
    "neurogenic disorders"
)


def find_selective_atrophy(
    diameters_um: Floats,
    classes: np.ndarray,
    sex: Sex | None,
    age: float | None,
    limits: Limits = DEFAULTS,
) -> dict[str, Any]:
    """Say whether one type alone is atrophic.

    Parameters
    ----------
    diameters_um : (n,) ndarray of float
        Min Feret of the fibers that enter the statistics.
    classes : (n,) ndarray of str
        ``"I"``, ``"II"`` or empty.
    sex : {"male", "female"}, optional
    age : float, optional
        Years.
    limits : Limits, optional

    Returns
    -------
    dict
        JSON-ready: ``type_1`` and ``type_2``, each with ``selective`` (True, False), the ratio of
        the mean diameters, both atrophy factors and the limits; or ``assessable`` False and
        ``why_not``.

    Notes
    -----
    Criteria §3.3: selective type-2 atrophy is an atrophy factor of type 2 above its limit, one of
    type 1 that is not, and a mean diameter of type 2 below 0.85 of that of type 1 [E]; type 1
    likewise.
    """
    groups = {kind: diameters_um[classes == kind] for kind in ("I", "II")}
    why_not = _too_few(groups, limits)
    if not why_not and sex is None:
        why_not = "the limits of atrophy differ between men and women: give the sex"
    if not why_not and age is not None and age < limits["adult_age_from"]:
        why_not = (
            f"the limits of atrophy are those of adults, from {limits['adult_age_from']:g} years"
        )
    if why_not or sex is None:
        return {"assessable": False, "why_not": why_not}
    low = size_limits(sex, limits)[0].value
    factors = {kind: atrophy_factor(values, low, limits) for kind, values in groups.items()}
    found: dict[str, Any] = {"assessable": True, "why_not": None}
    for name, own, other in (("type_1", "I", "II"), ("type_2", "II", "I")):
        ratio = float(groups[own].mean() / groups[other].mean())
        limit = limits.reference("selective_atrophy_ratio_below")
        most = limits["atrophy_factor_limit"]
        selective = bool(factors[own] > most and factors[other] <= most and ratio < limit.value)
        found[name] = {
            "selective": selective,
            "ratio": ratio,
            "ratio_95": _ratio_interval(groups[own], groups[other]),
            "ratio_below": limit.as_dict(),
            "atrophy_factor": factors[own],
            "atrophy_factor_of_other": factors[other],
            "atrophy_factor_limit": limits.reference("atrophy_factor_limit").as_dict(),
            "meaning": _TYPE_2_MEANING if selective and name == "type_2" else None,
        }
    return found


def find_disproportion(
    diameters_um: Floats,
    classes: np.ndarray,
    type_1_share: float | None,
    clusters: Clusters | None = None,
    limits: Limits = DEFAULTS,
) -> dict[str, Any]:
    """Measure by how much one type is smaller than the other.

    Parameters
    ----------
    diameters_um, classes
        As in `find_selective_atrophy`.
    type_1_share : float, optional
        Share of type 1 by number, which one criterion asks for.
    clusters : Clusters, optional
        For the interval, rows as the fibers.
    limits : Limits, optional

    Returns
    -------
    dict
        JSON-ready: ``percent`` (difference of the mean diameters, in percent of the larger one),
        ``interval_95`` with its ``method``, ``smaller_type``, and ``criteria``, each with its
        limit, source, mark and ``met`` (None where that cannot be told); or ``assessable`` False
        and ``why_not``.

    Notes
    -----
    Criteria §3.3. Those of congenital disproportion are about a small type 1, and say nothing
    where other findings explain it.
    """
    groups = {kind: diameters_um[classes == kind] for kind in ("I", "II")}
    why_not = _too_few(groups, limits)
    if why_not:
        return {"assessable": False, "why_not": why_not}
    smaller, larger = sorted(groups, key=lambda kind: float(groups[kind].mean()))
    percent = 100 * (1 - float(groups[smaller].mean() / groups[larger].mean()))
    interval, method = None, "fascicles drawn anew"
    if clusters is not None:
        means = []
        for kind in (smaller, larger):
            of = (classes == kind).astype(float)
            totals = clusters.totals(of)
            means.append(clusters.totals(of * diameters_um) / np.where(totals > 0, totals, np.nan))
        interval = interval_of(100 * (1 - means[0] / means[1]))
    if interval is None:
        low, high = _ratio_interval(groups[smaller], groups[larger])
        interval, method = [100 * (1 - high), 100 * (1 - low)], "fibers taken as independent"
    small_1 = smaller == "I"
    criteria = [
        {
            "name": name,
            "limit_percent": limits.reference(limit).as_dict(),
            "met": bool(percent >= limits[limit] and (small_1 or not of_type_1)),
            "interval_beyond": bool(interval[0] >= limits[limit] and (small_1 or not of_type_1)),
        }
        for name, limit, of_type_1 in (
            (
                "difference above that of normal children",
                "disproportion_normal_child_percent",
                False,
            ),
            (
                "type 1 smaller, as in congenital fiber-type disproportion",
                "disproportion_cftd_percent",
                True,
            ),
            ("the same, by a stricter limit", "disproportion_strict_percent", True),
        )
    ]
    predominant = limits.reference("disproportion_type_1_share_from")
    criteria.append(
        {
            "name": "type 1 two standard deviations below the mean of the age, and predominant",
            "limit_share": predominant.as_dict(),
            # without a reference by age only the second half can fail
            "met": None if small_1 and (type_1_share or 0) >= predominant.value else False,
            "why_not": "no reference of diameters by age and type is at hand",
        }
    )
    return {
        "assessable": True,
        "why_not": None,
        "percent": percent,
        "interval_95": interval,
        "method": method,
        "smaller_type": smaller,
        "mean_um": {kind: float(values.mean()) for kind, values in groups.items()},
        "criteria": criteria,
    }


def find_predominance(
    share: dict[str, Any],
    muscle: str | None,
    sex: Sex | None,
    age: float | None,
    limits: Limits = DEFAULTS,
) -> dict[str, Any]:
    """Say whether one type is more frequent than is usual for the muscle.

    Parameters
    ----------
    share : dict
        Share of type 1 from `biopsy_ai.patterns.type_shares.describe_share`.
    muscle : str, optional
        Its name.
    sex : {"male", "female"}, optional
    age : float, optional
        Years.
    limits : Limits, optional

    Returns
    -------
    dict
        JSON-ready: ``predominant`` ("I", "II" or None where neither is), ``z``, the reference with
        source and mark, ``interval_beyond`` (whether the whole interval lies beyond the limit) and
        ``thresholds``, the fixed ones of the literature; or ``assessable`` False and ``why_not``.

    Notes
    -----
    Criteria §3.2: outside of the mean of the muscle by more than two standard deviations between
    subjects [E]. The references are of adults.
    """
    value = share["share"]
    least = requirement("type_proportions", limits=limits)
    assert least is not None
    if value is None or share["of"] < least.value:
        why_not = f"only {share['of']} fibers are of type 1 or 2; {least.value:.0f} are needed"
        return {"assessable": False, "why_not": why_not}
    thresholds = [
        {
            "name": "type 1 above 55 %, in the vastus lateralis of children",
            "limit": limits.reference("type_1_predominance_above").as_dict(),
            "met": bool(value > limits["type_1_predominance_above"]),
            "applies": _is_child_vastus(muscle, age, limits),
        },
        {
            "name": "type 2 above 80 %",
            "limit": limits.reference("type_2_predominance_above").as_dict(),
            "met": bool(1 - value > limits["type_2_predominance_above"]),
            "applies": True,
        },
    ]
    known = None if muscle is None else find_muscle(muscle, sex)
    if known is None:
        asked = "give the muscle" if muscle is None else f"no reference for {muscle!r}"
        why_not = f"the share of types differs between muscles: {asked}; known: "
        why_not += ", ".join(muscle_names())
        return {"assessable": False, "why_not": why_not, "thresholds": thresholds}
    if age is not None and age < limits["adult_age_from"]:
        why_not = "the shares of types by muscle are those of adults"
        return {
            "assessable": False,
            "why_not": why_not,
            "reference": known.as_dict(),
            "thresholds": thresholds,
        }
    reach = limits["predominance_sds"] * known.sd.value
    low, high = max(known.share.value - reach, 0.0), min(known.share.value + reach, 1.0)
    interval = share["fascicles_95"] or share["wilson_95"]
    predominant = "I" if value > high else "II" if value < low else None
    return {
        "assessable": True,
        "why_not": None,
        "predominant": predominant,
        "share": value,
        "usual": [low, high],
        "z": (value - known.share.value) / known.sd.value,
        "sds": limits.reference("predominance_sds").as_dict(),
        "interval_beyond": bool(interval[0] > high or interval[1] < low),
        "reference": known.as_dict(),
        "thresholds": thresholds,
    }


def _is_child_vastus(muscle: str | None, age: float | None, limits: Limits) -> bool:
    known = None if muscle is None else find_muscle(muscle)
    child = age is not None and age < limits["adult_age_from"]
    return bool(known and known.name == "vastus lateralis" and child)


def _too_few(groups: dict[str, Floats], limits: Limits) -> str:
    least = requirement("size_by_type", limits=limits)
    assert least is not None
    kind = min(groups, key=lambda name: len(groups[name]))
    if len(groups[kind]) >= least.value:
        return ""
    return f"only {len(groups[kind])} fibers of type {kind}; {least.value:.0f} are needed"


def _ratio_interval(own: Floats, other: Floats) -> list[float]:
    """95 % interval of the ratio of two means, by the delta method on its logarithm."""
    ratio = float(own.mean() / other.mean())
    se = np.sqrt(sum(x.var(ddof=1) / (len(x) * x.mean() ** 2) for x in (own, other)))
    return [float(ratio * np.exp(sign * _Z * se)) for sign in (-1, 1)]
