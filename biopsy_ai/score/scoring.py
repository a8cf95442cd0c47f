"""The two scores of a section or of a block of serial sections, with every reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from biopsy_ai import RESEARCH_USE_ONLY
from biopsy_ai.score.evidence import CHANGES, Evidence, load_evidence
from biopsy_ai.score.fiber_measures import (
    measure_conditions,
    measure_nuclei,
    measure_shape,
    measure_size,
)
from biopsy_ai.score.finding import Finding, make_finding, plain
from biopsy_ai.score.likelihood import Weighed, points_per_decade, score_of, weigh
from biopsy_ai.score.measurement import Measurement
from biopsy_ai.score.pattern_measures import (
    measure_grouped_atrophy,
    measure_grouping,
    measure_perifascicular,
    measure_types,
)
from biopsy_ai.score.resampling import draw_replicates, find_units
from biopsy_ai.score.section import Section, read_section
from biopsy_ai.score.tissue_measures import measure_quality, measure_tissue
from biopsy_ai.score.traps import find_notes, find_vetoes, is_type_2_atrophy
from biopsy_ai.score.verdict import find_verdict

LIMITS_OF_USE = (
    RESEARCH_USE_ONLY,
    "The scores were tried on synthetic sections; nobody has yet validated them on patients.",
    "The findings are descriptive: their cause needs clinical, electrophysiological and genetic "
    "correlation.",
)

TYPED_FIRST = ("shape", "size", "grouped_atrophy")
"""Families that are better judged where the fiber types are known."""


@dataclass(frozen=True, eq=False)
class SectionScore:
    """Findings and scores.

    Attributes
    ----------
    findings
        In the order of the evidence file.
    score
        JSON-ready; see `score_section`.
    """

    findings: tuple[Finding, ...]
    score: dict[str, Any]

    def summary(self) -> dict[str, Any]:
        """``score`` and ``findings``, ready for JSON."""
        return {"score": self.score, "findings": [found.as_dict() for found in self.findings]}


def measure_section(section: Section, evidence: Evidence) -> dict[str, Measurement]:
    """Measure everything that findings of a section rest on.

    Parameters
    ----------
    section : Section
    evidence : Evidence
        For the number of replicates and what makes them.

    Returns
    -------
    dict of str to Measurement
        By finding.
    """
    drawn = draw_replicates(section, evidence.interval)
    elderly = section.age is not None and section.age >= evidence.elderly_from
    return {
        "type_grouping": measure_grouping(section, drawn),
        "grouped_atrophy": measure_grouped_atrophy(section, drawn, evidence.traps),
        "perifascicular_atrophy": measure_perifascicular(section, drawn),
        **measure_shape(section, drawn),
        **measure_size(section, drawn),
        **measure_nuclei(section, drawn),
        **measure_conditions(section, drawn),
        **measure_tissue(section, drawn),
        **measure_types(section, drawn, evidence.traps, elderly=elderly),
        **measure_quality(section, drawn),
    }


def score_section(section: Section, evidence: Evidence | None = None) -> SectionScore:
    """Score one section.

    Parameters
    ----------
    section : Section
        From `biopsy_ai.score.section_of`.
    evidence : Evidence, optional
        From `biopsy_ai.score.load_evidence`; the one that comes with biopsy-ai if None.

    Returns
    -------
    SectionScore
        ``score`` holds ``denervation`` and ``myopathy``, each with ``value`` (0 to 100), ``low``
        and ``high`` (90 %); ``axis``, 100 for denervation and 0 for myopathy, where just one of
        the two is present; ``verdict``, ``verdict_text`` and ``sentence``; ``type2_atrophy``;
        ``baseline``, the scores without any evidence; ``evidence``, what each finding contributes
        in points: of the rows that count these and the baseline add up to the score; ``notes``,
        ``interval``, ``prior``, ``tempering``, ``evidence_file``, ``limits_of_use``.

    Notes
    -----
    criteria §8.2: tempered sum of capped log10 likelihood ratios per family of findings, one for
    each change. What speaks for myopathy never speaks against denervation. The interval comes from
    replicates of the section (`biopsy_ai.score.resampling`), in which also what is measured on the
    picture scatters by its known error. The same section gives the same numbers.
    """
    evidence = evidence or load_evidence()
    return _score([section], [measure_section(section, evidence)], evidence, [""])


def score_block(
    sections: Sequence[Section],
    evidence: Evidence | None = None,
    *,
    names: Sequence[str] | None = None,
) -> SectionScore:
    """Score serial sections of one block together.

    Parameters
    ----------
    sections : sequence of Section
        At least one; they show the same tissue.
    evidence : Evidence, optional
    names : sequence of str, optional
        Of the sections, to say which one a finding was seen in.

    Returns
    -------
    SectionScore
        Each finding is taken from the section that shows it best: for sizes and shapes one with
        fiber types before one without, then the one with more fibers behind it.
    """
    if not sections:
        raise ValueError("a block has at least one section")
    evidence = evidence or load_evidence()
    measured = [measure_section(section, evidence) for section in sections]
    return _score(sections, measured, evidence, list(names or [""] * len(sections)))


def score_folder(folder: str | Path, evidence: Evidence | None = None) -> SectionScore:
    """Score a section from its results; see `score_section`.

    Raises
    ------
    OutputError
        If they cannot be read.
    """
    return score_section(read_section(folder), evidence)


def _score(
    sections: Sequence[Section],
    measured: Sequence[Mapping[str, Measurement]],
    evidence: Evidence,
    names: Sequence[str],
) -> SectionScore:
    best, source = _choose(sections, measured, evidence)
    typed = any(section.typed for section in sections)
    vetoes = find_vetoes(best, evidence, typed=typed)
    age = next((section.age for section in sections if section.age is not None), None)
    elderly = age is not None and age >= evidence.elderly_from
    findings = [make_finding(name, found, evidence) for name, found in best.items()]
    rngs = np.random.default_rng([sections[0].seed, 33550336]).spawn(len(CHANGES))
    weighed = {
        change: weigh(change, best, evidence, vetoes, elderly=elderly, rng=rng)
        for change, rng in zip(CHANGES, rngs, strict=True)
    }
    verdict = find_verdict(
        {c: score_of(weighed[c].total, evidence.prior.of(c)) for c in CHANGES},
        {change: weighed[change].total for change in CHANGES},
        n_measured=max(int(section.measured.sum()) for section in sections),
        excluded_percent=min(_excluded(section) for section in sections),
        type_2_atrophy=is_type_2_atrophy(best),
        evidence=evidence,
    )
    score = {
        **verdict.as_dict(),
        "sentence": _reasons(findings, weighed),
        "type2_atrophy": _type_2(best),
        "baseline": {
            change: float(score_of(np.zeros(1), evidence.prior.of(change))[0]) for change in CHANGES
        },
        "evidence": _rows(weighed, evidence, best),
        "notes": _notes(sections, best, evidence, typed=typed),
        "interval": {
            "level": evidence.interval.level,
            "n_replicates": evidence.interval.replicates,
            "method": _method(sections, evidence),
        },
        "prior": evidence.prior.model_dump(),
        "tempering": evidence.tempering,
        "calibrated": evidence.calibration is not None,
        "evidence_file": {"name": evidence.name, "sha256": evidence.sha256},
        "limits_of_use": list(LIMITS_OF_USE),
    }
    if any(names):
        score["seen_in"] = {name: names[number] for name, number in source.items()}
    return SectionScore(tuple(findings), score)


def _choose(
    sections: Sequence[Section],
    measured: Sequence[Mapping[str, Measurement]],
    evidence: Evidence,
) -> tuple[dict[str, Measurement], dict[str, int]]:
    """The measurement of each finding that shows it best, and the number of its section."""
    best, source = {}, {}
    for name, rule in evidence.findings.items():
        ranks = []
        for number, (section, found) in enumerate(zip(sections, measured, strict=True)):
            if name in found:
                typed = rule.family in TYPED_FIRST and section.typed
                ranks.append((not found[name].why_not, typed, found[name].n, -number))
        if ranks:
            number = -max(ranks)[-1]
            best[name], source[name] = measured[number][name], number
    return best, source


def _excluded(section: Section) -> float:
    return float(section.part("quality").get("excluded_percent") or 0.0)


def _rows(
    weighed: Mapping[str, Weighed], evidence: Evidence, best: Mapping[str, Measurement]
) -> list[dict[str, Any]]:
    """What each finding contributes; see `points_per_decade`."""
    slopes = {
        change: points_per_decade(float(weighed[change].total[0]), evidence.prior.of(change))
        for change in CHANGES
    }
    rows = []
    for name, rule in evidence.findings.items():
        if rule.family not in evidence.families or name not in best:
            continue
        family = evidence.families[rule.family]
        row: dict[str, Any] = {
            "family": rule.family,
            "family_title": family.title,
            "finding": name,
            "title": rule.title,
        }
        reasons, counted, capped, speaks = [], False, False, False
        for change in CHANGES:
            said = weighed[change].said.get(name)
            says = rule.of(change)
            counts = 0.0 if said is None else float(said.log10_lr[0])
            weight = evidence.tempering * family.weight.of(change)
            row[change] = counts * weight * slopes[change]
            row[f"{change}_log10_lr"] = counts
            speaks |= says is not None
            counted |= counts != 0.0
            capped |= said is not None and said.capped and counts != 0.0
            if name in weighed[change].reasons:
                reasons.append(weighed[change].reasons[name])
        if not speaks:
            continue
        if best[name].why_not:
            reasons = [f"not assessable: {plain(best[name].why_not)}"]
        row |= {"capped": capped, "counted": counted, "reason": "; ".join(reasons)}
        if not counted and not reasons:
            row["reason"] = "absent, which says nothing"
        rows.append(row)
    return rows


def _reasons(findings: Sequence[Finding], weighed: Mapping[str, Weighed]) -> str:
    """What speaks most for either change."""
    titles = {finding.name: finding.title.lower() for finding in findings}
    parts = []
    for change in CHANGES:
        said = weighed[change].said
        order = sorted(said, key=lambda name: -said[name].log10_lr[0])
        names = [titles[name] for name in order if said[name].log10_lr[0] > 0.05][:4]
        if names:
            parts.append(f"For {change}: {', '.join(names)}.")
    return " ".join(parts) if parts else "Nothing speaks for either change."


def _type_2(best: Mapping[str, Measurement]) -> dict[str, Any]:
    present = is_type_2_atrophy(best)
    if present is None:
        found = best.get("type_2_atrophy")
        why_not = "types are not known" if found is None else found.why_not
        return {
            "present": None,
            "text": f"Selective type II atrophy: not assessable, {plain(why_not)}.",
        }
    words = best["type_2_atrophy"].words.get("atrophic", "")
    told = "present" if present else "absent"
    return {"present": present, "text": f"Selective type II atrophy: {told}; {words}."}


def _notes(
    sections: Sequence[Section],
    best: Mapping[str, Measurement],
    evidence: Evidence,
    *,
    typed: bool,
) -> list[dict[str, str]]:
    """Notes of all sections, each once; what one section lacks another may have."""
    notes: dict[str, dict[str, str]] = {}
    for section in sections:
        for note in find_notes(section, best, evidence):
            if note["name"] == "no_types" and typed:
                continue
            notes.setdefault(note["name"], note)
    return list(notes.values())


def _method(sections: Sequence[Section], evidence: Evidence) -> str:
    units = sorted({find_units(section, evidence.interval)[1] for section in sections})
    return (
        f"{' and '.join(units)} weighted at random {evidence.interval.replicates} times, fibers "
        "left out at random, the measurements of the picture scattered by their known errors; "
        "wider where families of findings cannot be seen"
    )
