"""The fibers of reviewed sections: what was measured of each, and what a person said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.errors import TrainingDataError
from biopsy_ai.measure.condition import CONDITIONS
from biopsy_ai.measure.condition_signs import SIGNS
from biopsy_ai.measure.type_class import TYPE_II_KINDS
from biopsy_ai.review.measured_fibers import NEITHER_SHARE, TYPE_I_SHARE
from biopsy_ai.training.collection import DatasetItem

_TEXT = ("stain", "type_before", "condition_before", "type", "condition")
_TRUTH = ("reviewed", "is_counted", "in_artefact")
_NUMBERS = (*SIGNS, TYPE_I_SHARE, NEITHER_SHARE)
_NEEDED = ("label", "reviewed", TYPE_I_SHARE, NEITHER_SHARE, *_TEXT)


@dataclass(frozen=True, eq=False)
class ReviewedFibers:
    """The fibers of one section.

    Attributes
    ----------
    slide
        Which slide it is, as in `DatasetItem`.
    group
        Patient or slide, by which is judged.
    table
        From `biopsy_ai.review.measured_fibers.measured_fibers`; without the columns of
        `biopsy_ai.measure.condition_signs` where the analysis did not write them.
    """

    slide: str
    group: str
    table: pd.DataFrame

    @property
    def stain(self) -> str:
        """Stain by which the fibers were typed; empty where they were not."""
        return str(self.table["stain"].iloc[0]) if len(self.table) else ""

    @property
    def reviewed(self) -> NDArray[np.bool_]:
        """(n,) fibers that a person looked at."""
        return self.table["reviewed"].to_numpy(bool)

    @property
    def has_signs(self) -> bool:
        """Whether it is known what the conditions were told by."""
        return set(SIGNS) <= set(self.table)

    def condition(self, name: str) -> NDArray[np.float64]:
        """(n,) 1 where a person says that a fiber has a condition, or let that stand; else 0.

        NaN of fibers that nobody looked at, and where nothing is said.
        """
        said = self.table["condition"]
        has = np.array([name in words.split(";") for words in said], dtype=float)
        return np.where(self.reviewed & (said != "").to_numpy(bool), has, np.nan)

    def has_condition(self) -> NDArray[np.bool_]:
        """(n,) fibers that people looked at and see a condition in."""
        return self.reviewed & ~self.table["condition"].isin(["", "normal"]).to_numpy(bool)

    def is_type_i(self) -> NDArray[np.float64]:
        """(n,) 1 of type I, 0 of a kind of type II; NaN where neither is said."""
        said = self.table["type"]
        first, second = said.eq("I").to_numpy(bool), said.isin(TYPE_II_KINDS).to_numpy(bool)
        return np.where(self.reviewed & (first | second), first.astype(float), np.nan)

    def corrected(self, column: str) -> int:
        """Fibers of which a person said something else than the program had told."""
        changed = self.table[column] != self.table[f"{column}_before"]
        return int(np.count_nonzero(changed.to_numpy(bool) & self.reviewed))


def read_reviewed_fibers(
    items: Sequence[DatasetItem], groups: Sequence[str]
) -> list[ReviewedFibers]:
    """Read the tables of pictures, those of one slide together.

    Parameters
    ----------
    items
        Pictures; such without a table are left out.
    groups
        Patient or slide of each.

    Raises
    ------
    TrainingDataError
        A table cannot be read.
    """
    parts: dict[str, list[pd.DataFrame]] = {}
    group_of: dict[str, str] = {}
    for item, group in zip(items, groups, strict=True):
        if item.measured is not None:
            parts.setdefault(item.slide, []).append(read_measured(item.measured))
            group_of[item.slide] = group
    # pictures of one slide overlap
    return [
        ReviewedFibers(
            slide,
            group_of[slide],
            pd.concat(tables).drop_duplicates("label").reset_index(drop=True),
        )
        for slide, tables in parts.items()
    ]


def read_measured(path: Path) -> pd.DataFrame:
    """Read one table.

    Raises
    ------
    TrainingDataError
        It cannot be read, or lacks a column.
    """
    try:
        table = pd.read_csv(
            path,
            dtype={name: str for name in _TEXT},
            keep_default_na=False,
            na_values={name: [""] for name in _NUMBERS},
        )
        if missing := [name for name in _NEEDED if name not in table]:
            raise ValueError(f"there is no column {', '.join(missing)}")
        for name in _TRUTH:
            if name in table and table[name].dtype != bool and len(table):
                raise ValueError(f"{name} is not true or false")
        numbers = [name for name in _NUMBERS if name in table]
        table[numbers] = table[numbers].astype(float)
        unknown = set(";".join(table["condition"]).split(";")) - {*CONDITIONS, "normal", ""}
        if unknown:
            raise ValueError(f"there is no condition {', '.join(sorted(unknown))}")
    except (OSError, ValueError) as error:
        raise TrainingDataError(
            f"{path}: cannot be read ({error}). Export the review again."
        ) from error
    return table
