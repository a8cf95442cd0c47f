"""Small fibers: which are angular, which are round."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from biopsy_ai.measure.angularity import size_center
from biopsy_ai.measure.brooke_engel import Sex, share_of, size_limits
from biopsy_ai.measure.reference import reference, value


def angular_signs(fibers: pd.DataFrame) -> np.ndarray:
    """Count the signs of angularity of each fiber.

    Parameters
    ----------
    fibers : DataFrame
        Columns ``circularity``, ``min_angle_deg``, ``solidity``, ``feret_aspect_ratio``.

    Returns
    -------
    (n,) ndarray of int
        How many hold of: circularity below 0.75, a corner below 70°, solidity below 0.90, Feret
        aspect ratio above 1.8. [E]
    """
    return (
        (fibers["circularity"] < value("angular_circularity_below")).to_numpy(int)
        + (fibers["min_angle_deg"] < value("angular_angle_below_deg")).to_numpy(int)
        + (fibers["solidity"] < value("angular_solidity_below")).to_numpy(int)
        + (fibers["feret_aspect_ratio"] > value("angular_aspect_above")).to_numpy(int)
    )


def summarize_small_fibers(fibers: pd.DataFrame, sex: Sex | None) -> dict[str, Any]:
    """Sort the small fibers of a section into angular, round and neither.

    Parameters
    ----------
    fibers : DataFrame
        Fibers that enter the statistics (excluded ones left out).
    sex : {"male", "female"}, optional

    Returns
    -------
    dict
        JSON-ready: the size limit and where it comes from, counts, and the labels of the fibers
        of each group.

    Notes
    -----
    Small: min Feret below the lower limit of normal for the sex, else below two robust standard
    deviations under the section's own center (`size_center`). Angular: small, and at least two of
    the `angular_signs`. Round: small, circularity from 0.85 and no acute angle. All other small
    fibers count as neither, and small fibers whose shape cannot be judged are counted apart. No
    published cut-off exists [E]. Small angular fibers are not proof of denervation, nor small
    round ones of myopathy.
    """
    diameters = fibers["min_feret_um"].to_numpy(float)
    if sex is not None:
        low = size_limits(sex)[0]
        limit_um, origin, source, mark = low.value, "sex", low.source, low.mark
    else:
        center = size_center(diameters)
        if center is None:
            return {
                "missing": "There is no limit below which a fiber is small: no sex is given, and "
                "the section has too few fibers to be its own reference."
            }
        limit_um, origin = center.low_um, "section"
        source = (
            "two robust standard deviations below the median of this section, on the log scale; "
            "of no use where more than half of the fibers are small"
        )
        mark = reference("small_z").mark
    small = diameters < limit_um
    judged = small & fibers["shape_assessable"].to_numpy(bool)
    angular = judged & (angular_signs(fibers) >= value("angular_signs_needed"))
    rounded = (
        judged
        & ~angular
        & (fibers["circularity"] >= value("round_circularity_from")).to_numpy(bool)
        & (fibers["n_acute_angles"] == 0).to_numpy(bool)
    )
    labels = fibers["label"].to_numpy()
    total = len(fibers)
    return {
        "size_limit_um": {"value": limit_um, "source": source, "mark": mark, "origin": origin},
        "small": share_of(int(small.sum()), total),
        "angular": share_of(int(angular.sum()), total),
        "round": share_of(int(rounded.sum()), total),
        "neither": share_of(int((judged & ~angular & ~rounded).sum()), total),
        "not_assessable": share_of(int((small & ~judged).sum()), total),
        "angular_labels": [int(label) for label in labels[angular]],
        "round_labels": [int(label) for label in labels[rounded]],
        "limits": {
            name: reference(name).as_dict()
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


def summarize_obliquity(fibers: pd.DataFrame) -> dict[str, Any] | None:
    """Say whether the section seems to be cut obliquely.

    Parameters
    ----------
    fibers : DataFrame
        Fibers that enter the statistics.

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
            aspect > value("oblique_aspect_above") and alignment > value("oblique_alignment_above")
        ),
        "limits": {
            name: reference(name).as_dict()
            for name in ("oblique_aspect_above", "oblique_alignment_above")
        },
    }
