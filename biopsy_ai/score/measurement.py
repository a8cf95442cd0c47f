"""A number that a finding rests on, with its replicates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.score.section import Flags, Floats, Section


@dataclass(frozen=True, eq=False)
class Measurement:
    """What was measured for one finding.

    Attributes
    ----------
    values
        (1 + B,) the value in the section, and in its replicates; empty where not assessable.
    n
        Fibers, contacts, tiles behind it.
    labels
        Fibers that show it, the most telling first.
    why_not
        Why it is not assessable; empty where it is.
    words
        What the sentence of the finding needs besides the value and n.
    absent
        Whether it is absent whatever the value.
    least_sd
        Standard error that the value has at least, in its unit, however alike the replicates are.
    grade
        Decided by a rule of its own, empty where by the limits of the evidence file.
    """

    values: Floats
    n: int = 0
    labels: tuple[int, ...] = ()
    why_not: str = ""
    words: Mapping[str, str] = field(default_factory=dict)
    absent: bool = False
    least_sd: float = 0.0
    grade: str = ""

    @property
    def value(self) -> float:
        """In the section itself; NaN where not assessable."""
        return float(self.values[0]) if len(self.values) else float("nan")


def missing(why_not: str, n: int = 0) -> Measurement:
    """A finding that cannot be assessed."""
    return Measurement(np.zeros(0), n, why_not=why_not)


def constant(value: float, n_values: int) -> Floats:
    """A value that the replicates share."""
    return np.full(n_values, float(value))


def shifted(value: float, replicated: Floats) -> Floats:
    """Replicates around a value that was found elsewhere, scattered as `replicated` are."""
    if not np.isfinite(replicated[0]):
        return constant(value, len(replicated))
    moved = value + replicated - replicated[0]
    return np.where(np.isfinite(moved), moved, value)


def labels_of(section: Section, flags: Flags, by: Floats | None = None) -> tuple[int, ...]:
    """Labels of marked fibers, those with the highest `by` first."""
    rows = np.flatnonzero(flags)
    if by is not None:
        rows = rows[np.argsort(-np.nan_to_num(by[rows], nan=-np.inf), kind="stable")]
    found: NDArray[np.int64] = section.labels[rows]
    return tuple(int(label) for label in found)
