"""What the rules of the conditions look at: numbers of each fiber, relative to its section."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.measure.robust import median_and_spread
from biopsy_ai.measure.signs import Floats

OF_STAIN = ("basophilia_z", "hematoxylin_z", "eosin_z", "unevenness_z", "relative_size")
"""Those that compare a fiber with the others of its section."""

OF_FIBER = (
    "n_internal_nuclei",
    "circularity",
    "clear_share",
    "holes_per_1000_um2",
    "cleft_share",
)
"""Those of a fiber by itself."""

SIGNS = (*OF_STAIN, *OF_FIBER)
"""What conditions are told by; see `compare_stain` and `measure_signs`."""


def measure_signs(
    fibers: pd.DataFrame,
    interior: pd.DataFrame | None,
    counts: pd.DataFrame | None,
    counted: NDArray[np.bool_],
    *,
    holes: bool,
) -> pd.DataFrame:
    """Gather what is measured of each fiber by itself.

    Parameters
    ----------
    fibers, interior, counts
        As for `biopsy_ai.measure.condition.flag_conditions`.
    counted : (n,) array of bool
        Fibers that nothing excludes.
    holes : bool
        Whether the stain shows holes.

    Returns
    -------
    DataFrame
        ``label``, ``is_counted`` and the columns `OF_FIBER`, NaN where unknown.
    """
    n = len(fibers)
    unknown = np.full(n, np.nan)
    inside = unknown
    if counts is not None:
        inside = counts["n_internal_nuclei"].to_numpy(float, na_value=np.nan)

    def of_interior(name: str, known: bool = True) -> Floats:
        return unknown if interior is None or not known else interior[name].to_numpy(float)

    return pd.DataFrame(
        {
            "label": fibers["label"].to_numpy(),
            "is_counted": counted,
            "n_internal_nuclei": inside,
            "circularity": fibers["circularity"].to_numpy(float),
            "clear_share": of_interior("clear_share", holes),
            "holes_per_1000_um2": of_interior("holes_per_1000_um2", holes),
            "cleft_share": of_interior("cleft_share"),
        }
    )


def compare_stain(
    signs: pd.DataFrame,
    fibers: pd.DataFrame,
    interior: pd.DataFrame | None,
    in_artefact: NDArray[np.bool_],
    limits: Limits = DEFAULTS,
) -> pd.DataFrame:
    """Add how each fiber is stained, and how large it is, compared with those of its section.

    Compared is with fibers that are neither excluded nor in an artefact.

    Returns
    -------
    DataFrame
        `signs` with ``in_artefact`` and the columns `OF_STAIN`: hematoxylin as a share of both
        dyes (``basophilia_z``), either dye by itself and the unevenness in robust standard
        deviations from the median, and min Feret in medians (``relative_size``); NaN where
        unknown.
    """
    among = signs["is_counted"].to_numpy(bool) & ~in_artefact
    found = {name: np.full(len(signs), np.nan) for name in OF_STAIN}
    if interior is not None:
        dyes = [interior[name].to_numpy(float) for name in ("hematoxylin", "eosin")]
        with np.errstate(invalid="ignore", divide="ignore"):
            blueness = dyes[0] / (dyes[0] + dyes[1])
        columns = (blueness, *dyes, interior["unevenness"].to_numpy(float))
        for name, values in zip(OF_STAIN, columns, strict=False):
            found[name] = robust_z(values, among, limits)
        size = fibers["min_feret_um"].to_numpy(float)
        if among.any():
            found["relative_size"] = size / np.median(size[among])
    return signs.assign(in_artefact=in_artefact, **found)


def robust_z(values: Floats, among: NDArray[np.bool_], limits: Limits = DEFAULTS) -> Floats:
    """Distance from the median in 1.4826 median absolute deviations.

    Parameters
    ----------
    values : (n,) array of float
    among : (n,) array of bool
        What median and deviation are taken from.
    limits : Limits, optional

    Returns
    -------
    (n,) ndarray of float
        NaN where fewer than 20 values are known or they do not differ.
    """
    known = values[among & np.isfinite(values)]
    if len(known) < limits["size_normal_min_fibers"]:
        return np.full(len(values), np.nan)
    median, spread = median_and_spread(known)
    return (values - median) / spread if spread > 0 else np.full(len(values), np.nan)
