"""One row per patient: what there is of each, the verdicts of the sections, and the measures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from biopsy_ai.patients.bootstrap import FEW_BLOCKS, Sampled, estimate, seed_of
from biopsy_ai.patients.measures import (
    FIBER_MEASURES,
    SECTION_MEASURES,
    UnitSums,
    add_up,
    value_of,
)
from biopsy_ai.patients.sections import UNNAMED_BLOCK, CohortSection, LeftOut
from biopsy_ai.score.evidence import IntervalRule

MEASURES = (*FIBER_MEASURES, *SECTION_MEASURES)
"""Measures of patients.csv, each with ``_low``, ``_high`` and ``_interval``."""

BETWEEN = "; "
"""Between sections, verdicts and the like in one cell."""


def add_up_section(section: CohortSection, rule: IntervalRule) -> UnitSums:
    """Read the fibers of a section and add them up; they are not kept.

    Raises
    ------
    OutputError
        If they cannot be read.
    """
    return add_up(section.read_fibers(), rule)


def patient_row(
    patient: str,
    sections: Sequence[tuple[CohortSection, UnitSums]],
    left_out: Sequence[LeftOut],
    sheet_columns: Iterable[str] = (),
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Make the row of a patient.

    Parameters
    ----------
    patient
        As in the tables.
    sections
        Those whose results count, with their fibers added up.
    left_out
        Slides of the patient whose results do not.
    sheet_columns
        Further columns of the sample sheet.
    seed
        For the intervals.
    """
    found = [section for section, _ in sections]
    blocks = list(dict.fromkeys(section.block for section in found))
    named = any(e.patient_named for e in found) or any(e.patient_named for e in left_out)
    row: dict[str, Any] = {
        "patient": patient,
        "patient_named": named,
        "n_blocks": len(blocks),
        "n_sections": len(found),
        "n_reviewed": sum(section.reviewed for section in found),
        "n_left_out": len(left_out),
        "n_fibers": sum(section.n_fibers for section in found),
        "n_measured": sum(section.n_measured for section in found),
        "muscle": _distinct(section.muscle for section in found),
        "side": _distinct(section.side for section in found),
        "age": _distinct("" if s.age is None else f"{s.age:g}" for s in found),
        "sex": _distinct(section.sex for section in found),
        "stain": _distinct(section.stain for section in found),
        **{
            name: _distinct(section.sheet.get(name, "") for section in found)
            for name in sheet_columns
        },
        "sections": BETWEEN.join(
            section.section
            if section.block == UNNAMED_BLOCK
            else f"{section.block}: {section.section}"
            for section in found
        ),
        "verdicts": BETWEEN.join(f"{section.section}: {section.verdict}" for section in found),
        "left_out": BETWEEN.join(map(str, left_out)),
        "note": _note(named, blocks, len(found)),
    }
    for name in MEASURES:
        made = estimate(
            _samples(name, sections), partial(value_of, name), seed_of(patient, name, seed)
        )
        row[name] = made.mean
        row |= {f"{name}_low": made.low, f"{name}_high": made.high}
        row[f"{name}_interval"] = made.interval
    return row


def _samples(name: str, sections: Sequence[tuple[CohortSection, UnitSums]]) -> list[Sampled]:
    """The sections that have a measure."""
    samples = []
    for section, added in sections:
        if name in FIBER_MEASURES:
            sums = added.sums[name]
            n = float(sums[:, 0].sum())
            value = float(value_of(name, sums.sum(axis=0), n)) if n else math.nan
            samples.append(Sampled(section.block, value, sums))
        else:
            given = section.measures.get(name)
            value = math.nan if given is None or pd.isna(given) else float(given)
            samples.append(Sampled(section.block, value))
    return [sample for sample in samples if np.isfinite(sample.value)]


def _distinct(values: Iterable[str]) -> str:
    return BETWEEN.join(dict.fromkeys(value for value in values if value))


def _note(named: bool, blocks: Sequence[str], n_sections: int) -> str:
    """Say plainly what the intervals of this row do not tell."""
    said = []
    if not named:
        said.append("No patient is named: the slide counts as one.")
    if not n_sections:
        said.append("No section could be used.")
    elif n_sections == 1:
        said.append(
            "One section: intervals tell how sure it is of this section, not how other sections "
            "or blocks would differ."
        )
    elif len(blocks) == 1:
        where = (
            "Sections of no named block count as one block"
            if blocks == [UNNAMED_BLOCK]
            else ("One block")
        )
        said.append(f"{where}: intervals do not tell how other blocks would differ.")
    elif len(blocks) < FEW_BLOCKS:
        said.append(f"Fewer than {FEW_BLOCKS} blocks: intervals are likely too narrow.")
    return " ".join(said)
