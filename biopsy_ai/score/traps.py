"""What makes denervation look present where it is not (criteria §8.3): vetoes, and notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from biopsy_ai.score.evidence import Evidence, Traps
from biopsy_ai.score.finding import grade_of, plain
from biopsy_ai.score.measurement import Measurement
from biopsy_ai.score.section import Section


@dataclass(frozen=True)
class Veto:
    """The most that a finding may say for a change, log10, and why."""

    change: str
    most: float
    text: str


ANGULAR = ("small_angular_fibers", "concave_small_fibers")
"""Findings of angular atrophic fibers."""


def find_vetoes(
    measured: Mapping[str, Measurement], evidence: Evidence, *, typed: bool
) -> dict[str, Veto]:
    """Findings that may not say all they would for a change, by name.

    Parameters
    ----------
    measured : mapping of str to Measurement
    evidence : Evidence
    typed : bool
        Whether the fiber types are known.
    """
    traps = evidence.traps
    if is_type_2_atrophy(measured):
        text = "the small fibers are of type II alone, which belongs to selective type II atrophy"
        angular = Veto("denervation", 0.0, text)
        return {
            **dict.fromkeys(ANGULAR, angular),
            "small_round_fibers": Veto("myopathy", 0.0, text),
        }
    if is_perifascicular(measured, traps):
        text = (
            "the small fibers lie at the edge of fascicles, where they are side by side and angular"
        )
        return dict.fromkeys((*ANGULAR, "grouped_atrophy"), Veto("denervation", 0.0, text))
    if not typed and not _grouped(measured, traps):
        text = (
            "without fiber types scattered small angular fibers may also be selective type II "
            "atrophy"
        )
        return dict.fromkeys(ANGULAR, Veto("denervation", traps.untyped_angular_most, text))
    return {}


def is_type_2_atrophy(measured: Mapping[str, Measurement]) -> bool | None:
    """Whether type II alone is atrophic; None where types are not known."""
    found = measured.get("type_2_atrophy")
    if found is None or found.why_not:
        return None
    return not found.absent


def is_perifascicular(measured: Mapping[str, Measurement], traps: Traps) -> bool:
    """Whether the fibers at the edge of fascicles are small."""
    found = measured.get("perifascicular_atrophy")
    return found is not None and not found.why_not and found.value < traps.perifascicular_below


def _grouped(measured: Mapping[str, Measurement], traps: Traps) -> bool:
    found = measured.get("grouped_atrophy")
    if found is None or found.why_not or found.absent:
        return False
    return found.value >= traps.grouped_from


def find_notes(
    section: Section, measured: Mapping[str, Measurement], evidence: Evidence
) -> list[dict[str, str]]:
    """Notes on one section, in words: what to keep in mind when the scores are read.

    Returns
    -------
    list of dict
        ``name`` and ``text``.
    """
    traps = evidence.traps
    notes: list[dict[str, str]] = []

    def note(name: str, text: str) -> None:
        notes.append({"name": name, "text": text})

    n_measured = int(section.measured.sum())
    if n_measured < traps.few_fibers:
        note(
            "too_small",
            f"Only {n_measured} fibers were measured; below {traps.few_fibers} sizes and shares "
            "are rough and the intervals wide.",
        )
    n_typed = int(((section.classes != "") & section.measured).sum())
    if section.typed and n_typed < traps.few_typed:
        note(
            "too_small_for_grouping",
            f"{n_typed} typed fibers are few for type grouping; {traps.few_typed} are needed. "
            "Needle biopsies are seldom suited for it.",
        )
    if not section.typed:
        why_not = section.part("types").get("why_not") or "no stain of fiber types"
        note(
            "no_types",
            "Type grouping cannot be seen here, so that denervation may be missed and selective "
            f"type II atrophy not be told from it ({plain(why_not)}).",
        )
    if section.age is not None and section.age >= evidence.elderly_from:
        note(
            "age",
            f"At {section.age:g} years mild grouping of types and angular fibers of type II are "
            "usual; the section is held to what is usual in old age.",
        )
    if section.muscle in traps.distal_muscles:
        note("muscle", f"In the {section.muscle} types may be grouped without disease.")
    _pattern_notes(section, measured, evidence, note)
    return notes


def _pattern_notes(
    section: Section, measured: Mapping[str, Measurement], evidence: Evidence, note: Any
) -> None:
    traps = evidence.traps
    share = measured.get("type_predominance")
    if share is not None and not share.why_not and share.n >= evidence.verdict.least_fibers:
        most = max(share.value, 100.0 - share.value)
        if most >= traps.predominant_from:
            more = "I" if share.value > 50 else "II"
            note(
                "type_predominance",
                f"{most:.0f} % of the fibers are of type {more}: large "
                "groups of that type arise by chance. The score uses the assortativity, which does "
                "not depend on the shares.",
            )
    if is_perifascicular(measured, traps):
        note(
            "perifascicular",
            "Fibers at the edge of fascicles are smaller than inner ones. Angular fibers there are "
            "no sign of denervation; the pattern is compatible with dermatomyositis.",
        )
    if is_type_2_atrophy(measured):
        note(
            "type_2_atrophy",
            "Type II alone is atrophic, as with disuse, corticosteroids, cachexia and age, and "
            "also in some neurogenic disorders.",
        )
    if section.part("fibers", "obliquity").get("oblique"):
        note(
            "oblique",
            "The section seems to be cut obliquely: areas and shapes are drawn out, the minimal "
            "Feret diameter is still good.",
        )
    excluded = section.part("quality").get("excluded_percent")
    if excluded is not None and excluded >= traps.excluded_note_from:
        note("artefact", f"{excluded:.0f} % of the tissue was left out as not to be trusted.")
    wide = section.part("patterns", "type_grouping", "over_segmentation")
    dropped = 100.0 * float(wide.get("share_dropped") or 0.0)
    if dropped >= traps.long_contacts_from:
        note(
            "over_segmentation",
            f"{dropped:.0f} % of the contacts are so long that fibers may have "
            "been cut in two, which looks like grouping.",
        )
    graded = {
        name: grade_of(measured[name].value, evidence.findings[name].grades)
        for name in ("nuclear_clumps", "internal_nuclei")
        if name in measured and not measured[name].why_not
    }
    if len(graded) == 2 and "absent" not in graded.values():
        note(
            "clumps",
            "Nuclear clumps with many internal nuclei occur in late denervation, and also in "
            "myotonic dystrophy type 2, inclusion body myositis and chronic myopathy.",
        )
