"""What a person decided about the fibers of a section, which wins over what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from biopsy_ai.measure.condition import CONDITIONS, FLAGS
from biopsy_ai.measure.type_class import TYPE_II_KINDS
from biopsy_ai.patterns.fiber_types import FiberTypes
from biopsy_ai.patterns.stain_polarity import NEITHER, TYPES
from biopsy_ai.patterns.type_naming import count_types

if TYPE_CHECKING:
    from numpy.typing import NDArray

CORRECTED = "corrected"
"""Column of the fiber table that tells what a person decided about each fiber."""

SET_IN_REVIEW = "set in review"
"""Reason of a condition that a person names."""

EXCLUDED_IN_REVIEW = "excluded in review"
"""What the reason of exclusion begins with where a person left the fiber out."""


@dataclass(frozen=True)
class Corrections:
    """What a person decided about fibers, by label of the corrected outlines.

    Attributes
    ----------
    types
        Type of a fiber, a word of `biopsy_ai.formats.type_table.WORDS`.
    conditions
        Condition, one of `biopsy_ai.measure.condition.CONDITIONS`, several of them parted by
        ";", or ``normal``.
    exclusions
        Why a fiber is left out of the statistics; an empty text where a person took a fiber in
        again, whatever was against it.
    outlines
        Fibers whose outline a person drew, split, merged or redrew.
    accepted
        Fibers that a person found right as they are.
    record
        Who changed how much and when: ``n_edits``, ``n_by_operation``, ``reviewers``,
        ``first_utc``, ``last_utc``, ``log_sha256``, ``n_fibers_changed`` and more, ready for
        JSON. Becomes ``summary["review"]``.
    """

    types: Mapping[int, str] = field(default_factory=dict)
    conditions: Mapping[int, str] = field(default_factory=dict)
    exclusions: Mapping[int, str] = field(default_factory=dict)
    outlines: frozenset[int] = frozenset()
    accepted: frozenset[int] = frozenset()
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reviewed(self) -> bool:
        """Whether a person has looked at the section at all."""
        return bool(
            self.record
            or self.types
            or self.conditions
            or self.exclusions
            or self.outlines
            or self.accepted
        )


def corrected_column(labels: NDArray[np.int64], corrections: Corrections) -> NDArray[np.object_]:
    """What a person decided about each fiber, parted by ";"; empty where nothing.

    The parts are ``outline``, ``type``, ``condition``, ``exclusion`` and ``accepted``, in this
    order.
    """
    kinds = {
        "outline": corrections.outlines,
        "type": corrections.types,
        "condition": corrections.conditions,
        "exclusion": corrections.exclusions,
        "accepted": corrections.accepted,
    }
    return np.array(
        [
            ";".join(kind for kind, among in kinds.items() if label in among)
            for label in labels.tolist()
        ],
        dtype=object,
    )


def probabilities_of_type(kind: str) -> tuple[float, float]:
    """Posterior of a type that a person names, and probability of type 1 that goes with it.

    Examples
    --------
    >>> [probabilities_of_type(kind) for kind in ("I", "IIA", "I/IIA", "undetermined")]
    [(1.0, 1.0), (1.0, 0.0), (1.0, 0.5), (nan, nan)]
    """
    if kind not in TYPES:
        return np.nan, np.nan
    if kind in NEITHER:
        return 1.0, 0.5
    return 1.0, float(kind == "I")


def correct_exclusions(table: pd.DataFrame, corrections: Corrections) -> pd.DataFrame:
    """Leave out of the statistics, or take in, what a person says, whatever was against it."""
    if not corrections.exclusions:
        return table
    reasons = {
        label: f"{EXCLUDED_IN_REVIEW}: {reason}" if reason else ""
        for label, reason in corrections.exclusions.items()
    }
    return table.assign(excluded=_replaced(table, "excluded", reasons))


def correct_conditions(flags: pd.DataFrame, corrections: Corrections) -> pd.DataFrame:
    """Give fibers the condition that a person names.

    Parameters
    ----------
    flags
        From `biopsy_ai.measure.condition.flag_conditions`. What makes a fiber doubtful, such as
        the edge of the tissue, stays as it was measured unless it is named.
    corrections
        What a person decided.
    """
    present = set(flags["label"].tolist())
    named = {
        label: condition for label, condition in corrections.conditions.items() if label in present
    }
    if not named:
        return flags
    flags = flags.copy()
    of_row = flags["label"].map(named)
    is_named = of_row.notna().to_numpy(bool)
    parts = of_row[is_named].str.split(";")
    for flag in FLAGS:
        holds = np.array([flag in names for names in parts], dtype=bool)
        column = flags[flag].to_numpy(float, copy=True)
        column[is_named] = np.where(
            holds | (flag in CONDITIONS), holds.astype(float), column[is_named]
        )
        flags[flag] = column
    flags["condition"] = _replaced(flags, "condition", named)
    reasons = {label: SET_IN_REVIEW for label in named}
    flags["condition_reason"] = _replaced(flags, "condition_reason", reasons)
    return flags


def correct_types(typing: FiberTypes, corrections: Corrections) -> FiberTypes:
    """Give fibers the type that a person names; it is as sure as can be.

    Fibers that nobody named keep what the stain told. Where it told nothing the types of a person
    are all there is, and ``source`` in the summary is ``review``.
    """
    frame = typing.fibers
    labels = frame["label"].to_numpy(np.int64)
    rows = [row for row, label in enumerate(labels.tolist()) if label in corrections.types]
    if not rows:
        return typing
    kinds = frame["type"].astype(object).to_numpy(copy=True)
    values = {
        name: frame[name].to_numpy(float, copy=True)
        for name in frame.columns
        if name not in ("label", "type")
    }
    shares = {name: column for name, column in values.items() if name.startswith("p_")}
    for row in rows:
        kind = corrections.types[int(labels[row])]
        kinds[row] = kind
        values["type_posterior"][row], values["type_i_posterior"][row] = probabilities_of_type(kind)
        # a stain that tells no subtypes has one column for all of type 2
        name = f"p_{kind}"
        if name not in shares and kind in TYPE_II_KINDS:
            name = "p_II"
        for share, column in shares.items():
            column[row] = float(share == name) if kind in TYPES else np.nan
    frame = pd.DataFrame({"label": labels, "type": kinds, **values})
    return FiberTypes(frame, told_types(typing.summary, frame))


def told_types(typing: Mapping[str, Any], frame: pd.DataFrame) -> dict[str, Any]:
    """Say how fibers are typed of which a person typed some.

    Parameters
    ----------
    typing
        Summary of `biopsy_ai.patterns.fiber_types.type_fibers`, before.
    frame
        Columns ``type`` and ``type_i_posterior``, as they are now.
    """
    summary = {**typing, **count_types(frame)}
    if summary.get("why_no_shares") and not summary["n_undetermined"]:
        summary["why_no_shares"] = None
    if summary.get("assessable") or not sum(summary["counts"].values()):
        return summary
    hybrids = bool(np.isin(frame["type"].to_numpy(str), NEITHER).any())
    return {
        **summary,
        "assessable": True,
        "why_not": None,
        "source": "review",
        "tells_hybrids": hybrids,
    }


def _replaced(table: pd.DataFrame, column: str, values: Mapping[int, str]) -> NDArray[np.object_]:
    """A column of text with other values for some labels."""
    texts = table[column].astype(object).to_numpy(copy=True)
    for row, label in enumerate(table["label"].tolist()):
        if label in values:
            texts[row] = values[label]
    return texts


def with_corrected(table: pd.DataFrame, corrections: Corrections) -> pd.DataFrame:
    """Add the column `CORRECTED` where a person has looked; ``excluded`` stays the last one."""
    if not corrections.reviewed:
        return table
    column = corrected_column(table["label"].to_numpy(np.int64), corrections)
    others = table.drop(columns=[name for name in (CORRECTED, "excluded") if name in table])
    return others.assign(**{CORRECTED: column}, excluded=table["excluded"])


def with_record(
    corrections: Corrections, before: NDArray[np.int64], after: NDArray[np.int64]
) -> Corrections:
    """Add to the record of a review what became of the fibers, if a person has looked at all.

    Parameters
    ----------
    corrections
        What a person decided.
    before, after
        Labels of the fibers that the analysis found, and that there are now.

    Returns
    -------
    Corrections
        The record has under ``fibers`` the number ``before`` and ``after``, of those ``removed``
        (deleted, or merged into others), of those ``corrected`` in any way, of these by
        ``outline``, ``type``, ``condition`` and ``exclusion``, and of those ``accepted``.
    """
    if not corrections.reviewed:
        return corrections
    parts = {
        "outline": corrections.outlines,
        "type": set(corrections.types),
        "condition": set(corrections.conditions),
        "exclusion": set(corrections.exclusions),
    }
    there = set(after.tolist())
    counts = {name: len(there & labels) for name, labels in parts.items()}
    fibers = {
        "before": len(before),
        "after": len(after),
        "removed": len(np.setdiff1d(before, after)),
        "corrected": len(there.intersection(set().union(*parts.values()))),
        **counts,
        "accepted": len(there & corrections.accepted),
    }
    return replace(corrections, record={**corrections.record, "fibers": fibers})
