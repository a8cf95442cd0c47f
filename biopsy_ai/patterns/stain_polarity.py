"""Which level of staining is which fiber type, and whether the section agrees with that."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from biopsy_ai.measure.exclusion import is_excluded
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.yaml_text import load_yaml

UNDETERMINED = "undetermined"
"""Type of a fiber that was looked at and cannot be told."""
TYPES = ("I", "II", "IIA", "IIX", "I/IIA", "I/IIX", "IIA/IIX")
"""Types that a fiber may have; ``II`` is type 2 without its subtype."""
HYBRIDS = ("I/IIA", "I/IIX", "IIA/IIX")
"""Those that hold two myosin heavy chains."""
NEITHER = ("I/IIA", "I/IIX")
"""Those that are neither type 1 nor type 2."""

_MIN_LAYER = 30


@dataclass(frozen=True)
class Polarity:
    """Type of each level of staining of a section.

    Attributes
    ----------
    pale_to_dark
        Type of each level, from pale to dark.
    between
        Type of what lies between two levels, or ``undetermined``.
    agrees
        Whether the number and the places of the levels are those of the stain.
    text
        What was seen, in a sentence.
    why_not
        Why the levels cannot be named after all, or an empty string.
    """

    pale_to_dark: tuple[str, ...]
    between: str
    agrees: bool
    text: str
    why_not: str = ""


@lru_cache(maxsize=1)
def _stains() -> dict[str, dict[str, Any]]:
    text = files("biopsy_ai.patterns").joinpath("types.yaml").read_text(encoding="utf-8")
    return dict(load_yaml(text))


def stain_entry(stain: str) -> dict[str, Any]:
    """What a stain tells of fiber types, from ``types.yaml``; that of ``unknown`` for any other."""
    stains = _stains()
    return stains.get(stain, stains["unknown"])


def why_no_types(stain: str) -> str:
    """Why a stain tells no types, an empty string where it does."""
    return str(stain_entry(stain).get("why_not", ""))


def settle_polarity(
    stain: str, levels: np.ndarray, sds: np.ndarray, limits: Limits = DEFAULTS
) -> Polarity:
    """Name the levels of staining of a section.

    Parameters
    ----------
    stain : str
        One whose types can be told by levels.
    levels : (k,) ndarray of float
        Two or three levels, from pale to dark.
    sds : (k,) ndarray of float
        Standard deviation of the fibers of each.
    limits : Limits, optional

    Returns
    -------
    Polarity

    Notes
    -----
    Criteria §3.1. The stain says which end is type I; the levels cannot, for two levels look the
    same either way. Three can contradict it: at pH 9.4 IIX is nearly as dark as IIA, so that the
    middle one of three levels lies in the darker half, and at pH 4.3 they are both pale. In a stain
    of mitochondria two levels may be I beside both kinds of II, or IIX beside IIA and I together:
    the level that holds two types scatters more.
    """
    entry = stain_entry(stain)
    between = str(entry["between"])
    if len(levels) == 2:
        scatter = np.asarray(sds) / np.maximum(levels, 1e-9)
        ratio = float(scatter[1] / max(scatter[0], 1e-9))
        why_not = ""
        if entry.get("approximate") and ratio > limits["dark_scatter_ratio_above"]:
            why_not = (
                "two levels of staining, and the darker one scatters more than the paler one "
                f"({ratio:.1f} times): it may hold IIA beside I"
            )
        note = str(entry.get("note", "two levels of staining, as expected"))
        return Polarity(tuple(entry["two"]), between, True, note, why_not)
    place = float((levels[1] - levels[0]) / (levels[2] - levels[0]))
    seen = f"three levels of staining, the middle one {place:.0%} of the way from pale to dark"
    low, high = float(entry.get("middle_from", 0.0)), float(entry.get("middle_below", 1.0))
    if low <= place <= high:
        return Polarity(tuple(entry["three"]), between, True, f"{seen}, as expected")
    other = "three_pale" if place < low else "three_dark"
    if other in entry:
        return Polarity(tuple(entry[other]), between, True, f"{seen}: taken for one with it")
    pale, _, dark = entry["three"]
    outer = ("II" if name.startswith("II") else name for name in (pale, UNDETERMINED, dark))
    text = f"{seen}, which {entry['title']} does not give: check the pH"
    return Polarity(tuple(outer), between, False, text)


def check_border_layer(
    table: pd.DataFrame, type_i: np.ndarray, limits: Limits = DEFAULTS
) -> dict[str, Any]:
    """Check the polarity by where in their fascicles the fibers of each type lie.

    Parameters
    ----------
    table : DataFrame
        Columns ``layer`` (1 touches perimysium, 3 lies inside) and ``excluded``.
    type_i : (n,) ndarray of float
        Probability of type I, NaN where unknown.
    limits : Limits, optional

    Returns
    -------
    dict
        JSON-ready: ``agrees`` (None where this cannot be told), ``z``, ``text`` and the numbers.

    Notes
    -----
    Type 2 is over-represented at the border of fascicles (Lexell et al. 1986). That is weak, and
    disease undoes it: only a clear excess of type I there speaks against the polarity. Size is no
    check, since the atrophy of one type is a finding.
    """
    missing = {"agrees": None, "z": None, "text": "the layers of the fascicles are not known"}
    if "layer" not in table:
        return missing
    layer = table["layer"].fillna(0).to_numpy(int)
    known = np.isfinite(type_i) & ~is_excluded(table)
    outer, inner = known & (layer == 1), known & (layer == 3)
    n_outer, n_inner = int(outer.sum()), int(inner.sum())
    if min(n_outer, n_inner) < _MIN_LAYER:
        return missing | {"text": "too few fibers at the border or inside of the fascicles"}
    shares = float(type_i[outer].mean()), float(type_i[inner].mean())
    pooled = (n_outer * shares[0] + n_inner * shares[1]) / (n_outer + n_inner)
    se = float(np.sqrt(max(pooled * (1 - pooled), 1e-9) * (1 / n_outer + 1 / n_inner)))
    z = (shares[0] - shares[1]) / se
    agrees = False if z > limits["polarity_border_z"] else True if z < -1.645 else None
    text = f"{shares[0]:.0%} type I at the border of fascicles, {shares[1]:.0%} inside"
    if agrees is False:
        text += "; type 2 is usual there, so check the name of the stain"
    return {
        "agrees": agrees,
        "z": z,
        "share_at_border": shares[0],
        "share_inside": shares[1],
        "n_border": n_outer,
        "n_inside": n_inner,
        "limit": limits.reference("polarity_border_z").as_dict(),
        "text": text,
    }


def compare_typings(one: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    """Compare what two stains say of the same fibers.

    Parameters
    ----------
    one, other : (n,) ndarray of float
        Probability of type I by each, NaN where unknown.

    Returns
    -------
    dict
        JSON-ready: ``n`` fibers of which both tell, ``correlation``, ``kappa`` of the calls, and
        ``agrees``: None below 30 fibers or where either sees one type only, False where the two
        contradict each other, as they do when a pH was named wrongly.
    """
    both = np.isfinite(one) & np.isfinite(other)
    n = int(both.sum())
    empty = {"n": n, "correlation": None, "kappa": None, "agrees": None}
    first, second = one[both], other[both]
    if n < _MIN_LAYER or min(np.ptp(first), np.ptp(second)) < 0.5:
        return empty
    correlation = float(np.corrcoef(first, second)[0, 1])
    calls = first > 0.5, second > 0.5
    by_chance = float(
        calls[0].mean() * calls[1].mean() + (1 - calls[0].mean()) * (1 - calls[1].mean())
    )
    agreed = float(np.mean(calls[0] == calls[1]))
    kappa = (agreed - by_chance) / (1 - by_chance) if by_chance < 1 else None
    return {"n": n, "correlation": correlation, "kappa": kappa, "agrees": correlation > 0}
