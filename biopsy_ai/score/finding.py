"""Findings: each thing that a person would write down, with what it rests on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from biopsy_ai.score.evidence import Evidence, FindingRule, Grades, ReferenceRange
from biopsy_ai.score.measurement import Measurement

GRADES = ("absent", "mild", "moderate", "severe", "not assessable")


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes
    ----------
    name, title, family
        As in the evidence file.
    hpo
        Term of the Human Phenotype Ontology, where there is one.
    value, low, high
        The value and its interval in `unit`; None where not assessable.
    n, counted
        How many of what are behind it.
    reference
        What is usual, with source and mark.
    grade
        One of `GRADES`.
    why_not
        Why it is not assessable.
    labels
        Fibers that show it, the most telling first.
    sentence
        In words.
    """

    name: str
    title: str
    family: str
    hpo: str | None
    value: float | None
    unit: str
    low: float | None
    high: float | None
    n: int
    counted: str
    reference: ReferenceRange | None
    grade: str
    why_not: str
    labels: tuple[int, ...]
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        reference = None if self.reference is None else self.reference.model_dump()
        return {**vars(self), "reference": reference, "labels": list(self.labels)}


def make_finding(name: str, measured: Measurement, evidence: Evidence) -> Finding:
    """Put a measurement into words, with interval and grade.

    Parameters
    ----------
    name : str
        A finding of the evidence file.
    measured : Measurement
    evidence : Evidence
    """
    rule = evidence.findings[name]
    unknown = Finding(
        name,
        rule.title,
        rule.family,
        rule.hpo,
        value=None,
        unit=rule.unit,
        low=None,
        high=None,
        n=measured.n,
        counted=rule.counted,
        reference=rule.reference,
        grade="not assessable",
        why_not=measured.why_not,
        labels=(),
        sentence=f"{rule.title}: not assessable, {plain(measured.why_not)}.",
    )
    if measured.why_not:
        return unknown
    low, high = interval_of(measured.values, evidence.interval.level)
    grade = measured.grade or grade_of(measured.value, rule.grades)
    if measured.absent:
        grade = "absent"
    return replace(
        unknown,
        value=measured.value,
        low=low,
        high=high,
        grade=grade,
        labels=measured.labels if grade != "absent" else (),
        sentence=_sentence(rule, measured),
    )


def interval_of(values: np.ndarray, level: float) -> tuple[float, float]:
    """Interval over replicates, (1 + B,) with the value itself first, which lies inside."""
    tail = 100.0 * (1.0 - level) / 2.0
    low, high = np.percentile(values[1:], [tail, 100.0 - tail])
    return float(min(low, values[0])), float(max(high, values[0]))


def grade_of(value: float, grades: Grades | None) -> str:
    """Grade of a value; absent where there are no limits."""
    if grades is None:
        return "absent"
    if grades.above is not None:
        reached = sum(value >= limit for limit in grades.above)
    else:
        reached = sum(value <= limit for limit in grades.below or ())
    return GRADES[reached]


def plain(text: object) -> str:
    """A sentence without its full stop, to go on with."""
    return str(text).rstrip(". ")


def _sentence(rule: FindingRule, measured: Measurement) -> str:
    value = f"{measured.value:.{rule.decimals}f}"
    return rule.sentence.format(value=value, n=measured.n, **measured.words)
