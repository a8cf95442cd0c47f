"""What a section leaves behind for the score: its fibers, which of them touch, its summary."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.errors import OutputError
from biopsy_ai.measure.exclusion import is_excluded
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.measure.small_fibers import angular_signs
from biopsy_ai.measure.type_class import type_classes
from biopsy_ai.result_names import CONTACTS_FILE, FIBERS_FILE, SUMMARY_FILE

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Section:
    """The fibers of a section as the score sees them, n of them, and m contacts.

    Attributes
    ----------
    summary
        Content of its summary.json.
    table
        The fiber table, in the order of labels.
    pairs
        (m, 2) rows of the table that touch.
    measured
        Fibers that enter the statistics.
    judged
        Those of them whose size can be called small or not.
    atrophic, angular, rounded, hypertrophic
        Small ones, by shape as far as it can be judged, and large ones; subsets of `judged`.
    shaped
        Measured fibers whose shape can be judged, and which are not necrotic or regenerating.
    classes
        ``"I"``, ``"II"`` or empty.
    limits
        The numbers in force.
    """

    summary: dict[str, Any]
    table: pd.DataFrame
    pairs: NDArray[np.int64]
    measured: Flags
    judged: Flags
    atrophic: Flags
    angular: Flags
    rounded: Flags
    hypertrophic: Flags
    shaped: Flags
    classes: NDArray[np.object_]
    limits: Limits

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,) labels of the fibers."""
        return self.table["label"].to_numpy(np.int64)

    @property
    def typed(self) -> bool:
        """Whether fibers were typed."""
        return bool((self.classes != "").any())

    @property
    def age(self) -> float | None:
        """Of the patient, years."""
        return self._setting("age")

    @property
    def muscle(self) -> str:
        """As the user names it, in small letters; empty where not given."""
        return str(self._setting("muscle") or "").lower()

    @property
    def seed(self) -> int:
        """Of everything random."""
        return int((self._setting("patterns") or {}).get("seed", 0))

    def _setting(self, name: str) -> Any:
        provenance = self.summary.get("provenance") or {}
        return (provenance.get("configuration") or {}).get(name)

    def part(self, *names: str) -> dict[str, Any]:
        """A part of the summary by the names on the way to it; empty where it is not there."""
        found: Any = self.summary
        for name in names:
            found = (found or {}).get(name)
        return found if isinstance(found, dict) else {}

    def column(self, name: str) -> Floats:
        """(n,) numbers of a column, NaN where missing."""
        if name not in self.table:
            return np.full(len(self.table), np.nan)
        return pd.to_numeric(self.table[name], errors="coerce").to_numpy(float)


def section_of(
    table: pd.DataFrame,
    pairs: NDArray[np.int64],
    summary: dict[str, Any],
    limits: Limits | None = None,
) -> Section:
    """Take up a section.

    Parameters
    ----------
    table : DataFrame
        The fiber table with all columns of fibers.csv.
    pairs : (m, 2) ndarray of int
        Labels of fibers that touch.
    summary : dict
        Content of its summary.json; what is missing is not assessable.
    limits : Limits, optional
        Those of the configuration in `summary` if None.
    """
    table = table.sort_values("label", kind="stable").reset_index(drop=True)
    labels = table["label"].to_numpy(np.int64)
    rows = np.searchsorted(labels, np.asarray(pairs, np.int64).reshape(-1, 2))
    if limits is None:
        provenance = summary.get("provenance") or {}
        settings = (provenance.get("configuration") or {}).get("measurement") or {}
        limits = Limits(settings.get("limits") or {}) if settings.get("limits") else DEFAULTS
    measured = ~is_excluded(table)
    if "touches_border" in table:
        measured &= ~_flags(table["touches_border"])
    known = _known(table, "is_atrophic")
    judged = known & measured
    atrophic = judged & _flag_column(table, "is_atrophic")
    angular = atrophic & _flag_column(table, "is_angular_atrophic")
    shapeable = _flag_column(table, "shape_assessable")
    sick = (
        table["condition"]
        .astype(object)
        .fillna("")
        .astype(str)
        .str.contains("necrotic|regenerating")
        .to_numpy()
        if "condition" in table
        else np.zeros(len(table), bool)
    )
    return Section(
        summary=summary,
        table=table,
        pairs=rows,
        measured=measured,
        judged=judged,
        atrophic=atrophic,
        angular=angular,
        rounded=_rounded(table, atrophic & shapeable & ~angular, limits),
        hypertrophic=judged & _flag_column(table, "is_hypertrophic"),
        shaped=measured & shapeable & ~sick,
        classes=_classes(table),
        limits=limits,
    )


def read_section(folder: str | Path) -> Section:
    """Take up a section from its results.

    Raises
    ------
    OutputError
        If fibers.csv, contacts.csv or summary.json are missing or cannot be read.
    """
    folder = Path(folder)
    try:
        summary = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
        table = pd.read_csv(folder / FIBERS_FILE, encoding="utf-8", low_memory=False)
        contacts = pd.read_csv(folder / CONTACTS_FILE, encoding="utf-8")
        pairs = contacts[["label", "neighbor"]].to_numpy(np.int64)
        if not isinstance(summary, dict) or "label" not in table:
            raise ValueError("not what biopsy-ai writes")
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(
            f"{folder}: the results cannot be read again ({error}). Analyze the section again with "
            "--overwrite."
        ) from error
    return section_of(table, pairs, summary)


def _rounded(table: pd.DataFrame, among: Flags, limits: Limits) -> Flags:
    """Small round fibers, by the definition of `biopsy_ai.measure.small_fibers`."""
    if not {"circularity", "n_acute_angles"} <= set(table.columns):
        return np.zeros(len(table), bool)
    round_enough = (table["circularity"] >= limits["round_circularity_from"]).to_numpy(bool)
    smooth = (table["n_acute_angles"] == 0).to_numpy(bool)
    return among & round_enough & smooth & (angular_signs(table, limits) == 0)


def _classes(table: pd.DataFrame) -> NDArray[np.object_]:
    if "type" not in table:
        return np.full(len(table), "", dtype=object)
    return np.asarray(
        type_classes(table["type"].astype(object).fillna("").astype(str)), dtype=object
    )


def _known(table: pd.DataFrame, name: str) -> Flags:
    if name not in table:
        return np.zeros(len(table), bool)
    column = table[name]
    return (column.notna() & (column.astype(str) != "")).to_numpy(bool)


def _flag_column(table: pd.DataFrame, name: str) -> Flags:
    return _flags(table[name]) if name in table else np.zeros(len(table), bool)


def _flags(column: pd.Series) -> Flags:
    """Truth values, as they are or as a CSV file has them."""
    return (column.astype(str).str.lower() == "true").to_numpy(bool)
