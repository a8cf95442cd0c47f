"""Small fibers: which are angular, which are round; and large ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.measure.brooke_engel import Sex, share_of
from biopsy_ai.measure.exclusion import is_excluded
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.measure.size_reference import SizeReference, find_size_reference

Flags = NDArray[np.bool_]

_SICK = "necrotic|regenerating"


def angular_signs(fibers: pd.DataFrame, limits: Limits = DEFAULTS) -> np.ndarray:
    """Count the signs of angularity of each fiber.

    Parameters
    ----------
    fibers : DataFrame
        Columns ``circularity``, ``min_angle_deg``, ``solidity``, ``feret_aspect_ratio``.
    limits : Limits, optional

    Returns
    -------
    (n,) ndarray of int
        How many hold of: circularity below 0.75, a corner below 70°, solidity below 0.90, Feret
        aspect ratio above 1.8, or the user's limits. [E]
    """
    return (
        (fibers["circularity"] < limits["angular_circularity_below"]).to_numpy(int)
        + (fibers["min_angle_deg"] < limits["angular_angle_below_deg"]).to_numpy(int)
        + (fibers["solidity"] < limits["angular_solidity_below"]).to_numpy(int)
        + (fibers["feret_aspect_ratio"] > limits["angular_aspect_above"]).to_numpy(int)
    )


@dataclass(frozen=True, eq=False)
class SizeSets:
    """Which fibers of a section are small, and of what shape, and which are large.

    Attributes
    ----------
    usable : (n,) ndarray of bool
        Fibers whose size is that of a whole and not a dying or growing one.
    judged : (n,) ndarray of bool
        Those of them that the reference tells a limit for; all others are in none of the sets.
    atrophic, hypertrophic : (n,) ndarray of bool
    shape_judged : (n,) ndarray of bool
        Atrophic fibers whose shape can be judged.
    angular, rounded : (n,) ndarray of bool
        Atrophic fibers with corners, and without.
    reference : SizeReference
        What they are held to, and why.
    """

    usable: Flags
    judged: Flags
    atrophic: Flags
    hypertrophic: Flags
    shape_judged: Flags
    angular: Flags
    rounded: Flags
    reference: SizeReference


def find_size_sets(
    fibers: pd.DataFrame,
    sex: Sex | None = None,
    *,
    age: float | None = None,
    muscle: str | None = None,
    limits: Limits = DEFAULTS,
) -> SizeSets:
    """Find the atrophic, angular atrophic, round atrophic and hypertrophic fibers of a section.

    Parameters
    ----------
    fibers : DataFrame
        The fiber table: ``min_feret_um`` and the columns of shape; where they are known
        ``excluded``, ``touches_border``, ``condition`` and ``type``.
    sex : {"male", "female"}, optional
    age : float, optional
        Years.
    muscle : str, optional
    limits : Limits, optional

    Returns
    -------
    SizeSets

    Notes
    -----
    Atrophic: min Feret below the limit of `find_size_reference`. Angular: atrophic, and at least
    two of the `angular_signs`. Round: atrophic, circularity from 0.85 and no acute angle. Size is
    not judged of fibers that are excluded, cut by the border of the image, necrotic or
    regenerating (criteria §2.3, §5), nor where the reference cannot tell. No published cut-off
    exists [E].
    """
    usable = np.isfinite(fibers["min_feret_um"].to_numpy(float))
    if "excluded" in fibers:
        usable &= ~is_excluded(fibers)
    if "touches_border" in fibers:
        usable &= ~fibers["touches_border"].fillna(False).to_numpy(bool)
    if "condition" in fibers:
        # in dystrophy regenerating fibers are the small ones, and they are not atrophic
        usable &= ~fibers["condition"].fillna("").astype(str).str.contains(_SICK).to_numpy(bool)
    reference = find_size_reference(fibers, usable, sex=sex, age=age, muscle=muscle, limits=limits)
    size = fibers["min_feret_um"].to_numpy(float)
    judged = usable & np.isfinite(reference.low_um)
    atrophic = judged & (size < reference.low_um)
    shape_judged = atrophic & fibers["shape_assessable"].to_numpy(bool)
    angular = shape_judged & (angular_signs(fibers, limits) >= limits["angular_signs_needed"])
    rounded = (
        shape_judged
        & ~angular
        & (fibers["circularity"] >= limits["round_circularity_from"]).to_numpy(bool)
        & (fibers["n_acute_angles"] == 0).to_numpy(bool)
    )
    return SizeSets(
        usable,
        judged,
        atrophic,
        judged & (size > reference.high_um),
        shape_judged,
        angular,
        rounded,
        reference,
    )


def summarize_small_fibers(
    fibers: pd.DataFrame,
    sex: Sex | None,
    limits: Limits = DEFAULTS,
    *,
    age: float | None = None,
    muscle: str | None = None,
) -> dict[str, Any]:
    """Sort the small fibers of a section into angular, round and neither, and count the large.

    Parameters
    ----------
    fibers : DataFrame
        See `find_size_sets`.
    sex : {"male", "female"}, optional
    limits : Limits, optional
    age : float, optional
        Years.
    muscle : str, optional

    Returns
    -------
    dict
        JSON-ready: the size limit in force (for most fibers, where types have their own), all
        size limits, which references were used and why, counts, and the labels of the fibers of
        each group.

    Notes
    -----
    The sets are those of `find_size_sets`. All small fibers that are neither angular nor round
    count as neither, and small fibers whose shape cannot be judged are counted apart. Small
    angular fibers are not proof of denervation, nor small round ones of myopathy.
    """
    sets = find_size_sets(fibers, sex, age=age, muscle=muscle, limits=limits)
    reference = sets.reference
    if not reference.lows:
        return {"missing": reference.why_not, "reference": list(reference.words)}
    labels = fibers["label"].to_numpy()
    total = int(sets.judged.sum())
    neither = sets.shape_judged & ~sets.angular & ~sets.rounded
    not_assessable = sets.atrophic & ~sets.shape_judged
    return {
        "size_limit_um": _in_force(sets),
        "size_limits_um": list(reference.lows),
        "large_limits_um": list(reference.highs),
        "reference": list(reference.words),
        "why_not": reference.why_not or None,
        "n_not_judged": len(fibers) - total,
        "small": share_of(int(sets.atrophic.sum()), total),
        "angular": share_of(int(sets.angular.sum()), total),
        "round": share_of(int(sets.rounded.sum()), total),
        "neither": share_of(int(neither.sum()), total),
        "not_assessable": share_of(int(not_assessable.sum()), total),
        "large": share_of(int(sets.hypertrophic.sum()), total),
        "angular_labels": [int(label) for label in labels[sets.angular]],
        "round_labels": [int(label) for label in labels[sets.rounded]],
        "limits": {
            name: limits.reference(name).as_dict()
            for name in (
                "angular_circularity_below",
                "angular_angle_below_deg",
                "angular_solidity_below",
                "angular_aspect_above",
                "angular_signs_needed",
                "round_circularity_from",
            )
        },
    }


def _in_force(sets: SizeSets) -> dict[str, Any]:
    """The limit that most fibers are held to."""
    lows = sets.reference.lows
    held = sets.reference.low_um[sets.judged]
    most = [int(np.count_nonzero(held == entry["value"])) for entry in lows]
    return lows[int(np.argmax(most))]


def summarize_obliquity(fibers: pd.DataFrame, limits: Limits = DEFAULTS) -> dict[str, Any] | None:
    """Say whether the section seems to be cut obliquely.

    Parameters
    ----------
    fibers : DataFrame
        Fibers that enter the statistics.
    limits : Limits, optional

    Returns
    -------
    dict or None
        JSON-ready; None without fibers. Oblique: the median of max Feret / min Feret is above 1.5
        and the fibers are drawn out in one direction, so that the mean resultant length of the
        doubled orientation is above 0.6. Areas are then too large; min Feret is still good. [E]
    """
    if not len(fibers):
        return None
    aspect = float(np.median(fibers["max_feret_um"] / fibers["min_feret_um"]))
    doubled = np.radians(2.0 * fibers["orientation_deg"].to_numpy(float))
    alignment = float(np.abs(np.mean(np.exp(1j * doubled))))
    return {
        "median_feret_aspect_ratio": aspect,
        "alignment": alignment,
        "oblique": bool(
            aspect > limits["oblique_aspect_above"]
            and alignment > limits["oblique_alignment_above"]
        ),
        "limits": {
            name: limits.reference(name).as_dict()
            for name in ("oblique_aspect_above", "oblique_alignment_above")
        },
    }
