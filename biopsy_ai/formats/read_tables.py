"""Tables of one section, read back as they were before they were written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biopsy_ai.errors import OutputError

if TYPE_CHECKING:
    import pandas as pd

TEXT = ("condition", "condition_reason", "core", "type", "corrected", "excluded")
"""Columns of the fiber table that hold text: empty where there is none, never missing."""
TRUTH = ("shape_assessable", "touches_border")
"""Columns that are true or false of every fiber."""
TRUTH_OR_MISSING = (
    "touches_tissue_edge",
    "is_centrally_nucleated",
    "is_enclosed",
    "is_atrophic",
    "is_angular_atrophic",
    "is_hypertrophic",
)
WHOLE_OR_MISSING = (
    "n_nuclei",
    "n_internal_nuclei",
    "fascicle",
    "layer",
    "group",
    "atrophy_cluster",
)
FIBER_KINDS: dict[str, Any] = {
    "label": "int64",
    "confidence": "float32",
    **dict.fromkeys(TEXT, str),
    **dict.fromkeys(TRUTH, "bool"),
    **dict.fromkeys(TRUTH_OR_MISSING, "boolean"),
    **dict.fromkeys(WHOLE_OR_MISSING, "Int64"),
}
"""Type of each column of the fiber table; all others are measured, and float64."""

CONTACT_KINDS: dict[str, Any] = {"label": "int64", "neighbor": "int64"}
SIGN_KINDS: dict[str, Any] = {"label": "int64", "is_counted": "bool", "in_artefact": "bool"}
NUCLEUS_KINDS: dict[str, Any] = {
    "label": "int64",
    "fiber": "int64",
    "tissue_class": str,
    "class": str,
}


def read_fibers_csv(path: str | Path) -> pd.DataFrame:
    """Read the table of fibers that `biopsy_ai.formats.tables.write_fibers_csv` wrote.

    Returns
    -------
    DataFrame
        Columns in the order and of the types that `biopsy_ai.analyze` gives; measured values have
        the six digits of the file.

    Raises
    ------
    OutputError
        The file is missing, cut off, or no table of fibers.
    """
    table = _read(path, FIBER_KINDS, ("label", "excluded"))
    edge = "touches_tissue_edge"
    if edge in table and not table[edge].isna().any():
        table[edge] = table[edge].astype("bool")
    return table


def read_contacts_csv(path: str | Path) -> pd.DataFrame:
    """Read the table of fibers that touch; errors as `read_fibers_csv`."""
    return _read(path, CONTACT_KINDS, ("label", "neighbor"))


def read_signs_csv(path: str | Path) -> pd.DataFrame:
    """Read the table of what conditions are told by; errors as `read_fibers_csv`."""
    return _read(path, SIGN_KINDS, ("label", "is_counted", "in_artefact"))


def read_nuclei_csv(path: str | Path, classes: Sequence[str]) -> pd.DataFrame:
    """Read the table of nuclei; errors as `read_fibers_csv`.

    Parameters
    ----------
    path
        The file.
    classes
        Names of the tissue classes; the column ``tissue_class`` gets their numbers.
    """
    table = _read(path, NUCLEUS_KINDS, ("label", "fiber", "class"))
    if "tissue_class" in table:
        number = {name: k for k, name in enumerate(classes)}
        table["tissue_class"] = table["tissue_class"].map(number).astype("Int64")
    return table


def _read(path: str | Path, kinds: Mapping[str, Any], needed: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    path = Path(path)
    try:
        # the last line of a whole file has an end
        with open(path, "rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - 1, 0))
            if file.read() != b"\n":
                raise ValueError("its last line is cut off")
        header = pd.read_csv(path, nrows=0, encoding="utf-8")
        names = [str(name) for name in header.columns]
        if missing := [name for name in needed if name not in names]:
            raise ValueError(f"there is no column {', '.join(missing)}")
        types = {name: kinds.get(name, "float64") for name in names}
        table = pd.read_csv(
            path,
            dtype=types,
            keep_default_na=False,
            na_values={name: [""] for name, kind in types.items() if kind is not str},
            encoding="utf-8",
        )
        if any(table[name].isna().any() for name, kind in types.items() if kind is str):
            raise ValueError("a line is cut off")
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"{path}: cannot be read again ({reason}). Analyze the section again."
        ) from error
    return table
