"""What the two scores together say, in the words of criteria §8.4."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from biopsy_ai.score.evidence import Evidence
from biopsy_ai.score.finding import interval_of
from biopsy_ai.score.likelihood import score_of
from biopsy_ai.score.section import Floats

TEXTS = {
    "no_abnormality": "No abnormality",
    "denervation": "Favours denervation",
    "myopathy": "Favours myopathy",
    "type2_atrophy": "Compatible with selective type II atrophy",
    "mixed": "Mixed: compatible with denervation and myopathy",
    "indeterminate": "Indeterminate",
    "not_enough_tissue": "Not enough tissue",
}
"""Verdicts by their names in ``score.verdict``."""


@dataclass(frozen=True)
class Verdict:
    """The verdict and the numbers behind it.

    Attributes
    ----------
    name
        One of `TEXTS`.
    scores
        For each change ``value``, ``low`` and ``high``; None where nothing is concluded.
    axis
        Denervation (100) against myopathy (0) with its interval; None where not given.
    """

    name: str
    scores: Mapping[str, Mapping[str, float | None]]
    axis: Mapping[str, float] | None

    @property
    def text(self) -> str:
        """In words."""
        return TEXTS[self.name]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            **{change: dict(found) for change, found in self.scores.items()},
            "axis": None if self.axis is None else dict(self.axis),
            "verdict": self.name,
            "verdict_text": self.text,
        }


def find_verdict(
    scores: Mapping[str, Floats],
    totals: Mapping[str, Floats],
    *,
    n_measured: int,
    excluded_percent: float,
    type_2_atrophy: bool | None,
    evidence: Evidence,
) -> Verdict:
    """Conclude from the two scores.

    Parameters
    ----------
    scores : mapping of str to (1 + B,) ndarray of float
        Score of each change, in the section and its replicates.
    totals : mapping of str to (1 + B,) ndarray of float
        The same as evidence, log10.
    n_measured : int
        Fibers that were measured.
    excluded_percent : float
        Of the tissue.
    type_2_atrophy : bool or None
        Whether type II alone is atrophic.
    evidence : Evidence

    Notes
    -----
    A change is present where the whole interval of its score lies above the middle, absent where it
    lies below. Where both are present and one outweighs the other by far, that one is named: wide
    scatter of sizes speaks for both. A change is not named where the other has the higher score,
    and selective type II atrophy not where either score lies above the middle. The axis compares
    the two changes, and is given only where one of them is named: else there is nothing to tell
    apart, or both are there.
    """
    ends = {name: interval_of(values, evidence.interval.level) for name, values in scores.items()}
    middle = evidence.verdict.present_above
    present = {name: low > middle for name, (low, _) in ends.items()}
    absent = {name: high < middle for name, (_, high) in ends.items()}
    enough = (
        n_measured >= evidence.verdict.least_fibers
        and excluded_percent <= evidence.traps.excluded_most
    )
    if not enough:
        nothing = dict.fromkeys(("value", "low", "high"))
        return Verdict("not_enough_tissue", dict.fromkeys(scores, nothing), None)
    compared = score_of(totals["denervation"] - totals["myopathy"], 0.0)
    low, high = interval_of(compared, evidence.interval.level)
    if all(present.values()):
        far = evidence.verdict.outweighs_from
        name = "denervation" if low >= far else "myopathy" if high <= 100 - far else "mixed"
    elif any(present.values()):
        name = "denervation" if present["denervation"] else "myopathy"
        if (compared[0] > 50) != (name == "denervation"):
            # the other change has more for it, though less surely
            name = "indeterminate"
    elif type_2_atrophy and all(values[0] <= middle for values in scores.values()):
        name = "type2_atrophy"
    elif all(absent.values()):
        name = "no_abnormality"
    else:
        name = "indeterminate"
    axis = None
    if name in scores:
        axis = {"value": float(compared[0]), "low": low, "high": high}
    found = {
        change: {"value": float(values[0]), "low": ends[change][0], "high": ends[change][1]}
        for change, values in scores.items()
    }
    return Verdict(name, found, axis)
