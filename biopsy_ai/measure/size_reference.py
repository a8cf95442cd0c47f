"""What counts as a small and as a large fiber in a section, and what that rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.measure.angularity import SizeCenter, size_center
from biopsy_ai.measure.brooke_engel import Sex, size_limits
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.measure.two_modes import fit_two_modes
from biopsy_ai.measure.type_class import type_classes

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Entry = dict[str, Any]


@dataclass(frozen=True, eq=False)
class SizeReference:
    """Limits of normal fiber size for each fiber of a section.

    Attributes
    ----------
    low_um, high_um : (n,) ndarray of float
        A fiber with a smaller, or a larger, min Feret is small, or large; NaN where nothing tells.
    lows, highs : tuples of dict
        Every limit that is in force for some fiber or other: ``value``, ``source``, ``mark``,
        ``origin`` (``sex``, ``age`` or ``section``) and ``type`` (the class of fibers it is for,
        None for all).
    words : tuple of str
        Which references were used, which were not, and why.
    why_not : str
        Why some fibers have no limit; empty where all have one.
    """

    low_um: Floats
    high_um: Floats
    lows: tuple[Entry, ...]
    highs: tuple[Entry, ...]
    words: tuple[str, ...]
    why_not: str


def find_size_reference(
    fibers: pd.DataFrame,
    usable: Flags,
    *,
    sex: Sex | None = None,
    age: float | None = None,
    muscle: str | None = None,
    limits: Limits = DEFAULTS,
) -> SizeReference:
    """Find the limits of normal size that the fibers of a section are held to.

    Parameters
    ----------
    fibers : DataFrame
        Column ``min_feret_um``, and ``type`` where types are known.
    usable : (n,) ndarray of bool
        Fibers that may serve as the section's own reference.
    sex : {"male", "female"}, optional
    age : float, optional
        Years; an adult where it is not given.
    muscle : str, optional
        Only named in the words: no limits with a spread are published for one muscle.
    limits : Limits, optional

    Returns
    -------
    SizeReference

    Notes
    -----
    A fiber is small below the limit for the sex of adults, or that for the age of children (mean
    less two standard deviations, interpolated between the diameters just after birth and at the end
    of growth, J Neurol Sci 1988;88:303), or below two robust standard deviations under the
    section's own center on the log scale; where types are known, under that of its type, I or II
    (criteria §1.4, §2.3). The higher limit is in force. Large fibers alike, the lower in force.

    The own center fails where more than half of the fibers are small. It is left out where its
    median lies below the limit of sex or age; where neither is given, below the least limit for
    adults, 30 µm; where the sizes part into two modes and the lower, at less than 0.7 of the other,
    holds more than half; and for a type whose median is less than 0.7 of that of the other type
    [engineering proposals]. Fibers
    without any limit then have none: nothing tells whether they are small.
    """
    size = fibers["min_feret_um"].to_numpy(float)
    words: list[str] = []
    norm = _norm(sex, age, muscle, limits, words)
    floor = None if norm is None else float(norm[0]["value"])
    lows, highs = ([], []) if norm is None else ([norm[0]], [norm[1]])
    low_um = np.full(len(fibers), np.nan if norm is None else norm[0]["value"])
    high_um = np.full(len(fibers), np.nan if norm is None else norm[1]["value"])
    missing = []
    for name, members in _parts(fibers, usable, limits).items():
        # too few of the rest to have a center of their own: that of the section stands in
        own = size[usable] if name is None else size[members & usable]
        center = size_center(own, limits)
        why = _why_useless(center, own, floor, limits)
        if not why and name is not None:
            why = _why_smaller_type(size, members & usable, usable, fibers, name, limits)
        whom = "the section" if name is None else f"fibers of type {name}"
        if why or center is None:
            words.append(f"The own center of {whom} is no reference: {why}.")
            if floor is None and (members.any() or not len(fibers)):
                missing.append(f"{whom}: {why}")
            continue
        low, high = _own(center, name, limits)
        words.append(
            f"The own center of {whom} is a reference: median "
            f"{np.exp(center.log_median):.1f} µm, limits {low['value']:.1f} and "
            f"{high['value']:.1f} µm."
        )
        lows.append(low)
        highs.append(high)
        low_um[members] = np.fmax(low_um[members], low["value"])
        high_um[members] = np.fmin(high_um[members], high["value"])
    why_not = ""
    if missing:
        why_not = (
            f"It cannot be told which fibers are small ({'; '.join(missing)}). Give the sex "
            "(--sex male or --sex female), and the age of a child."
        )
    return SizeReference(low_um, high_um, tuple(lows), tuple(highs), tuple(words), why_not)


def _norm(
    sex: Sex | None, age: float | None, muscle: str | None, limits: Limits, words: list[str]
) -> tuple[Entry, Entry] | None:
    """Limits of healthy people of this sex and age, if there are any."""
    grown = limits["adult_age_from"]
    if muscle is not None:
        words.append(
            f"No limits of fiber size with a spread are known for {muscle} alone: those for limb "
            "muscle stand in."
        )
    if age is not None and age < grown:
        birth, end = limits["birth_diameter_um"], limits["grown_diameter_um"]
        mean = birth + (end - birth) * max(age, 0.0) / grown
        spread = abs(limits["small_z"]) * limits["growing_diameter_sd"]
        source = (
            f"interpolated between {birth:g} µm at birth and {end:g} µm at {grown:g} years, with a "
            f"standard deviation of {100 * limits['growing_diameter_sd']:g} % (end-points of J "
            "Neurol Sci 1988;88:303); no published limit"
        )
        words.append(f"Limits for a child of {age:g} years are {source}.")
        entry = {"source": source, "mark": "D", "origin": "age", "type": None}
        return (
            {"value": mean * max(1 - spread, 0.0), **entry},
            {"value": mean * (1 + spread), **entry},
        )
    if sex is None:
        words.append("No limits of healthy people were used: no sex is given.")
        return None
    low, high = size_limits(sex, limits)
    adults = "an adult" if age is not None else "an adult, as no age is given"
    words.append(f"Limits of {low.value:g} and {high.value:g} µm are for the sex of {adults}.")
    entry = {"origin": "sex", "type": None}
    return {**low.as_dict(), **entry}, {**high.as_dict(), **entry}


def _own(center: SizeCenter, name: str | None, limits: Limits) -> tuple[Entry, Entry]:
    z = limits.reference("small_z")
    whose = "this section" if name is None else f"the fibers of type {name} of this section"

    def entry(sign: int, side: str) -> Entry:
        source = (
            f"{abs(z.value):g} robust standard deviations {side} the median of {whose}, on the "
            "log scale; of no use where more than half of the fibers are small"
        )
        value = center.at(sign * abs(z.value))
        return {
            "value": value,
            "source": source,
            "mark": z.mark,
            "origin": "section",
            "type": name,
        }

    return entry(-1, "below"), entry(1, "above")


def _parts(fibers: pd.DataFrame, usable: Flags, limits: Limits) -> dict[str | None, Flags]:
    """Fibers that are held to one center: those of a type with enough of them, and the rest."""
    rest = np.ones(len(fibers), bool)
    parts: dict[str | None, Flags] = {}
    if "type" in fibers:
        classes = type_classes(fibers["type"])
        for name in ("I", "II"):
            members = classes == name
            if np.count_nonzero(members & usable) >= limits["size_normal_min_fibers"]:
                parts[name] = members
                rest &= ~members
    if rest.any() or not parts:
        parts[None] = rest
    return parts


def _why_useless(
    center: SizeCenter | None, own: Floats, floor: float | None, limits: Limits
) -> str:
    """Why a center cannot tell which of its fibers are small, or an empty string."""
    if center is None:
        return f"there are too few fibers ({len(own)}), or they do not differ in size"
    median = float(np.exp(center.log_median))
    if floor is not None and median < floor:
        return f"more than half of them lie below {floor:g} µm, the lower limit of normal"
    least = min(limits["male_low_um"], limits["female_low_um"])
    if floor is None and median < least:
        return (
            f"more than half of them lie below {least:g} µm, the least limit for adults; a child, "
            "or most of them are small"
        )
    modes = fit_two_modes(np.log(own[own > 0]))
    # types differ in size by less than the modes that tell small fibers from others
    if (
        modes is not None
        and modes.are_apart(limits)
        and modes.weights[0] > 0.5
        and np.exp(modes.means[0] - modes.means[1]) < limits["own_center_ratio_from"]
    ):
        return (
            f"sizes part into two modes, and the lower, at {np.exp(modes.means[0]):.0f} µm, holds "
            f"{100 * modes.weights[0]:.0f} %: either most of them are small, or the others large"
        )
    return ""


def _why_smaller_type(
    size: Floats,
    members: Flags,
    usable: Flags,
    fibers: pd.DataFrame,
    name: str,
    limits: Limits,
) -> str:
    """Why the fibers of a type are no reference beside those of the other, or an empty string."""
    other = (type_classes(fibers["type"]) == ("II" if name == "I" else "I")) & usable
    if np.count_nonzero(other) < limits["size_normal_min_fibers"]:
        return ""
    ratio = float(np.median(size[members]) / np.median(size[other]))
    if ratio >= limits["own_center_ratio_from"]:
        return ""
    return f"their median is {ratio:.2f} of that of the other type"
