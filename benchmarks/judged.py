"""One synthetic section against its truth: nuclei, class map, and the fractions reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from readings import Reader, Reading
from synthetic import CONFIG_STAINS, write_picture

from biopsy_ai.evaluation import (
    ClassConfusion,
    FiberEvaluation,
    count_confusion,
    evaluate_fibers,
    pool_evaluations,
)
from biopsy_ai.evaluation.grids import LabelField, match_grids, to_grid
from biopsy_ai.evaluation.matching import border_labels
from biopsy_ai.synthesis import SyntheticSection
from biopsy_ai.synthesis.render import shows_nuclei
from biopsy_ai.tissue_classes import (
    ARTEFACT,
    BACKGROUND,
    ENDOMYSIUM,
    FAT,
    PERIMYSIUM,
    TISSUE_CLASSES,
)

MEASURES = ("fat", "connective", "internal")
"""Percent of the tissue that is fat and connective tissue, and of fibers with internal nuclei."""

NAN = float("nan")


@dataclass(frozen=True)
class Judged:
    """What was found in one section.

    Attributes
    ----------
    part, title, stain
        What was drawn.
    nuclei
        Agreement of the nuclei; None in stains that show none.
    classes
        Agreement of the class map, on its own grid; None without one.
    true, found
        Percent by name, one of `MEASURES`; NaN where it does not exist.
    said_assessable
        Whether the summary says that nuclei can be assessed.
    """

    part: str
    title: str
    stain: str
    nuclei: FiberEvaluation | None
    classes: ClassConfusion | None
    true: dict[str, float]
    found: dict[str, float]
    said_assessable: bool

    def error(self, name: str) -> float:
        """Found minus true, percentage points."""
        return self.found[name] - self.true[name]


def read_section(section: SyntheticSection, folder: Path, reader: Reader) -> Reading:
    """Write a section as a TIFF and have it read."""
    path, stain = folder / "section.tif", section.params.stain
    write_picture(path, section)
    channels = {"border": 0} if stain == "if" else {}
    return reader(path, section.mpp, CONFIG_STAINS.get(stain, stain), channels)


def judge_section(part: str, title: str, section: SyntheticSection, reading: Reading) -> Judged:
    """Compare what was read with the truth of a section."""
    visible = shows_nuclei(section.params.stain)
    return Judged(
        part,
        title,
        section.params.stain,
        judge_nuclei(section, reading) if visible else None,
        None if reading.classes is None else judge_classes(section, reading.classes),
        true_percents(section),
        found_percents(reading.summary),
        bool(reading.summary.get("nuclei", {}).get("assessable", False)),
    )


def judge_nuclei(section: SyntheticSection, reading: Reading) -> FiberEvaluation:
    """Compare nuclei; those in artefacts count neither way."""
    true = LabelField(Path("truth"), section.nuclei_labels, (section.mpp, section.mpp))
    found = np.zeros_like(section.nuclei_labels)
    if reading.nuclei is not None:
        found = match_grids(reading.nuclei, true)[0].labels
    unknown = (section.tissue == ARTEFACT) | section.doubtful
    return evaluate_fibers(
        found, true.labels, mpp=section.mpp, thresholds=(0.5,), shapes=False, ignore=unknown
    )


def judge_classes(section: SyntheticSection, classes: LabelField) -> ClassConfusion:
    """Compare the class map with the true classes at the centers of its pixels."""
    assert classes.mpp is not None
    scale = (classes.mpp[0] / section.mpp, classes.mpp[1] / section.mpp)
    true = to_grid(section.tissue, classes.labels.shape, scale)
    return count_confusion(classes.labels, true, TISSUE_CLASSES)


def true_percents(section: SyntheticSection) -> dict[str, float]:
    """Fat and connective tissue in percent of the tissue, and fibers with an internal nucleus.

    Fibers that are cut by the border of the field do not count.
    """
    area = np.bincount(section.tissue.ravel(), minlength=len(TISSUE_CLASSES)).astype(float)
    tissue = area.sum() - area[BACKGROUND] - area[ARTEFACT]
    labels = section.fibers["label"]
    whole = labels[~np.isin(labels, border_labels(section.labels))]
    inside = section.nuclei["fiber"][section.nuclei["kind"] == "internal"]
    known = shows_nuclei(section.params.stain) and len(whole) > 0
    return {
        "fat": 100 * area[FAT] / tissue,
        "connective": 100 * (area[ENDOMYSIUM] + area[PERIMYSIUM]) / tissue,
        "internal": 100 * float(whole.isin(inside).mean()) if known else NAN,
    }


def found_percents(summary: dict[str, Any]) -> dict[str, float]:
    """What the summary says; NaN where it says nothing."""
    tissue, nuclei = summary.get("tissue") or {}, summary.get("nuclei") or {}
    values = {
        "fat": tissue.get("fat_percent"),
        "connective": tissue.get("connective_percent"),
        "internal": nuclei.get("internal_fiber_percent"),
    }
    return {name: NAN if value is None else float(value) for name, value in values.items()}


def pooled_nuclei(group: Sequence[Judged]) -> FiberEvaluation | None:
    """All nuclei of several sections together; None where none can be seen."""
    parts = [case.nuclei for case in group if case.nuclei is not None]
    return pool_evaluations(parts) if parts else None


def pooled_classes(group: Sequence[Judged]) -> ClassConfusion | None:
    """All pixels of several sections together; None without class maps."""
    parts = [case.classes for case in group if case.classes is not None]
    if not parts:
        return None
    whole = parts[0]
    for part in parts[1:]:
        whole = whole + part
    return whole


def errors(group: Sequence[Judged], name: str) -> np.ndarray:
    """Errors of one of `MEASURES` where it is known, percentage points."""
    values = np.array([case.error(name) for case in group], dtype=float)
    return values[np.isfinite(values)]
