"""Columns of the fiber table as a person reads them: in words, with units."""

from __future__ import annotations

UNITS = {"_um2": "µm²", "_um": "µm", "_deg": "°", "_px": "px"}
"""How a column name ends, and what that stands for."""

TITLES = {
    "label": "fiber",
    "min_feret_um": "min Feret (µm)",
    "max_feret_um": "max Feret (µm)",
    "n_nuclei": "nuclei",
    "n_internal_nuclei": "internal nuclei",
    "type_posterior": "certainty of type",
    "type_i_posterior": "probability of type I",
    "confidence": "certainty of outline",
    "atrophy_cluster": "cluster",
    "centroid_y_um": "y (µm)",
    "centroid_x_um": "x (µm)",
    "group": "type group",
    "excluded": "left out because",
    "condition_reason": "reason for condition",
    "p_I": "p(I)",
    "p_II": "p(II)",
    "p_undetermined": "p(undetermined)",
}
"""Titles that do not follow from the name of the column."""


def column_title(name: str) -> str:
    """Name a column in words, with its unit in brackets.

    Examples
    --------
    >>> column_title("equivalent_diameter_um")
    'equivalent diameter (µm)'
    """
    if name in TITLES:
        return TITLES[name]
    for ending, unit in UNITS.items():
        if name.endswith(ending):
            return f"{name.removesuffix(ending).replace('_', ' ')} ({unit})"
    return name.removeprefix("is_").replace("_", " ")
