"""What a person decides about fibers besides their outlines, and the columns that it changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from biopsy_ai.corrections import (
    CORRECTED,
    Corrections,
    correct_conditions,
    correct_exclusions,
    correct_types,
    corrected_column,
)
from biopsy_ai.measure.condition import FLAGS
from biopsy_ai.patterns.fiber_types import FiberTypes
from biopsy_ai.review.entry import Fields

_TYPE_COLUMNS = ("type", "type_posterior", "type_i_posterior")

Decisions = dict[int, dict[str, Any]]
"""What is decided about fibers, by label and field: those of `biopsy_ai.review.entry.FIELDS`."""


def decide(
    table: pd.DataFrame, rows: Iterable[int], field: str, value: str | bool, decisions: Decisions
) -> Fields:
    """Say what a decision changes.

    Parameters
    ----------
    table
        The fiber table.
    rows
        Of the fibers that it is about.
    field, value
        What is decided.
    decisions
        Those taken so far.

    Returns
    -------
    dict
        What the table has and what is decided, of the fibers of which it was not decided before.
    """
    column = {"type": "type", "condition": "condition", "exclusion": "excluded"}.get(field)
    labels = table["label"].to_numpy()
    shown = table[column].to_numpy() if column in table else None
    changed: Fields = {}
    for row in rows:
        label = int(labels[row])
        taken = decisions.get(label, {})
        if field not in taken or taken[field] != value:
            before = False if column is None else "" if shown is None else str(shown[row])
            changed[label] = {field: (before, value)}
    return changed


def corrections_of(
    decisions: Decisions, outlined: set[int], labels: Iterable[int], record: Mapping[str, Any]
) -> Corrections:
    """Gather what was decided about the fibers that there are."""
    present = set(labels)
    by_field: dict[str, dict[int, Any]] = {"type": {}, "condition": {}, "exclusion": {}}
    accepted = set()
    for label, taken in decisions.items():
        if label not in present:
            continue
        for field, value in taken.items():
            if field == "accepted":
                accepted.add(label)
            else:
                by_field[field][label] = value
    return Corrections(
        types=by_field["type"],
        conditions=by_field["condition"],
        exclusions=by_field["exclusion"],
        outlines=frozenset(outlined & present),
        accepted=frozenset(accepted),
        record=record,
    )


def with_corrections(rows: pd.DataFrame, corrections: Corrections) -> pd.DataFrame:
    """Give rows of the fiber table with what a person decided about them.

    Parameters
    ----------
    rows
        As the program has them, with a column ``corrected``. They are left as they are.
    corrections
        By label; also of fibers that are not among the rows.
    """
    kinds = rows.dtypes
    labels = rows["label"].to_numpy(np.int64)
    rows = correct_exclusions(rows, corrections)
    if set(FLAGS) <= set(rows.columns):
        rows = correct_conditions(rows, corrections)
    typed = [name for name in rows.columns if name in _TYPE_COLUMNS or name.startswith("p_")]
    if set(_TYPE_COLUMNS) <= set(typed):
        typing = FiberTypes(rows[["label", *typed]], {"assessable": True})
        found = correct_types(typing, corrections).fibers
        rows = rows.assign(**{name: found[name].array for name in typed})
    return rows.assign(**{CORRECTED: corrected_column(labels, corrections)}).astype(kinds)
