"""Small fibers: which are angular, which are round."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from biopsy_ai.measure.angularity import size_center
from biopsy_ai.measure.brooke_engel import Sex, share_of, size_limits
from biopsy_ai.measure.reference import DEFAULTS, Limits


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


def summarize_small_fibers(
    fibers: pd.DataFrame, sex: Sex | None, limits: Limits = DEFAULTS
) -> dict[str, Any]:
    """Sort the small fibers of a section into angular, round and neither.

    Parameters
    ----------
    fibers : DataFrame
        Fibers that enter the statistics (excluded ones left out).
    sex : {"male", "female"}, optional
    limits : Limits, optional

    Returns
    -------
    dict
        JSON-ready: the size limit in force and where it comes from, all size limits, counts, and
        the labels of the fibers of each group.

    Notes
    -----
    Small: min Feret below the lower limit of normal for the sex, where that is known, or below two
    robust standard deviations under the section's own center (`size_center`). The higher of the
    two limits is thus in force, and knowing the sex makes no small fiber normal. Angular: small,
    and at least two of the `angular_signs`. Round: small, circularity from 0.85 and no acute
    angle. All other small fibers count as neither, and small fibers whose shape cannot be judged
    are counted apart. No published cut-off exists [E]. Small angular fibers are not proof of
    denervation, nor small round ones of myopathy.
    """
    diameters = fibers["min_feret_um"].to_numpy(float)
    size_limits_um = _size_limits_um(diameters, sex, limits)
    if not size_limits_um:
        return {
            "missing": "There is no limit below which a fiber is small: no sex is given, and "
            "the section has too few fibers to be its own reference."
        }
    in_force = max(size_limits_um, key=lambda limit: limit["value"])
    small = diameters < in_force["value"]
    judged = small & fibers["shape_assessable"].to_numpy(bool)
    angular = judged & (angular_signs(fibers, limits) >= limits["angular_signs_needed"])
    rounded = (
        judged
        & ~angular
        & (fibers["circularity"] >= limits["round_circularity_from"]).to_numpy(bool)
        & (fibers["n_acute_angles"] == 0).to_numpy(bool)
    )
    labels = fibers["label"].to_numpy()
    total = len(fibers)
    return {
        "size_limit_um": in_force,
        "size_limits_um": size_limits_um,
        "small": share_of(int(small.sum()), total),
        "angular": share_of(int(angular.sum()), total),
        "round": share_of(int(rounded.sum()), total),
        "neither": share_of(int((judged & ~angular & ~rounded).sum()), total),
        "not_assessable": share_of(int((small & ~judged).sum()), total),
        "angular_labels": [int(label) for label in labels[angular]],
        "round_labels": [int(label) for label in labels[rounded]],
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


def _size_limits_um(diameters: np.ndarray, sex: Sex | None, limits: Limits) -> list[dict[str, Any]]:
    """Limits below which a fiber is small, each with its source, mark and origin."""
    found = []
    if sex is not None:
        found.append({**size_limits(sex, limits)[0].as_dict(), "origin": "sex"})
    center = size_center(diameters, limits)
    if center is not None:
        z = limits.reference("small_z")
        source = (
            f"{abs(z.value):g} robust standard deviations below the median of this section, on the "
            "log scale; of no use where more than half of the fibers are small"
        )
        found.append(
            {"value": center.at(z.value), "source": source, "mark": z.mark, "origin": "section"}
        )
    return found


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
