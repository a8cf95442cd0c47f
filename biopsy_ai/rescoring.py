"""A section scored again while a person corrects its fibers: from the table, without the slide.

What needs the picture stays as it was: the tissue, the fascicles, the quality of the slide.
`biopsy_ai.pipeline` knows the order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.config import AnalysisConfig
from biopsy_ai.corrections import told_types
from biopsy_ai.errors import NoTissueError
from biopsy_ai.labels import LabelArray, find_boxes, view_on_grid
from biopsy_ai.measure import summarize_fibers
from biopsy_ai.measure.adequacy import summarize_adequacy, summarize_exclusions
from biopsy_ai.measure.condition_summary import summarize_conditions
from biopsy_ai.measure.cores import NO_FIBER, summarize_cores
from biopsy_ai.measure.nuclear_groups import touching_pairs
from biopsy_ai.measure.nuclei import place_again
from biopsy_ai.measure.reference import Limits
from biopsy_ai.patterns import find_fascicles
from biopsy_ai.patterns.contacts import Contacts, contact_gaps, find_contacts
from biopsy_ai.patterns.territories import KnownLines, Lines, Window
from biopsy_ai.patterns.type_summary import summarize_types
from biopsy_ai.progress import Progress
from biopsy_ai.saved import SavedAnalysis
from biopsy_ai.section_grid import lay_on_grid
from biopsy_ai.section_patterns import SectionPatterns
from biopsy_ai.section_summary import field_area
from biopsy_ai.surroundings import nuclei_statistics

QUICK_FROM_FIBERS = 4000
"""From so many fibers on chance is drawn less often, lest a person wait for it. [default]"""
QUICK_PERMUTATIONS = 199
"""Permutations of each test then: p is no less than 0.005, a tenth of the level. [default]"""
QUICK_PERTURBATIONS = 50
"""Perturbed mosaics then. [default]"""

PATTERN_COLUMNS = (
    "group",
    "is_enclosed",
    "is_atrophic",
    "is_angular_atrophic",
    "is_hypertrophic",
    "atrophy_cluster",
)
"""Columns of the fiber table that all fibers decide together."""

_MARKS = ("label", "area_um2", "perimeter_um", "centroid_y_um", "centroid_x_um")
"""What tells a fiber from what it was before a person changed its outline."""


@dataclass(frozen=True, eq=False)
class Rescored:
    """A section scored again.

    Attributes
    ----------
    fibers
        The fiber table with new `PATTERN_COLUMNS`, by label.
    contacts
        One row per pair of fibers that touch.
    summary
        The summary of the analysis with the parts replaced that fibers decide, ready for JSON.
    """

    fibers: pd.DataFrame
    contacts: pd.DataFrame
    summary: dict[str, Any]


class SectionMemory:
    """What stays from one scoring of a section to the next. One is kept for each section.

    A scoring that was stopped leaves what it found, too. May be used by several threads.
    """

    def __init__(self) -> None:
        self.lines: dict[Window, tuple[bytes, Lines]] = {}
        self.touching: NDArray[np.int64] | None = None
        self.borders: pd.DataFrame | None = None


@dataclass(frozen=True, eq=False)
class FibersNow:
    """The fibers of a section as a person has corrected them so far.

    Attributes
    ----------
    table
        By label; a copy.
    labels
        (H, W) label image.
    boxes
        (n, 4) box of each row.
    """

    table: pd.DataFrame
    labels: LabelArray
    boxes: NDArray[np.int64]

    @classmethod
    def of(
        cls, table: pd.DataFrame, labels: LabelArray, boxes: NDArray[np.int64] | None
    ) -> FibersNow:
        """Take a copy of the table, without what all fibers decide together.

        Raises
        ------
        NoTissueError
            If there is no fiber.
        """
        if not len(table):
            raise NoTissueError("no fiber is left to score. Undo deletions, or draw some.")
        numbers = table["label"].to_numpy(np.int64)
        if boxes is None:
            ids, found = find_boxes(labels)
            boxes = found[np.minimum(np.searchsorted(ids, numbers), len(ids) - 1)]
        order = np.argsort(numbers, kind="stable")
        kept = table.drop(columns=[name for name in PATTERN_COLUMNS if name in table])
        return cls(kept.iloc[order].reset_index(drop=True), labels, np.asarray(boxes)[order])

    @property
    def marks(self) -> NDArray[np.float64]:
        """(n, k) what tells each fiber from what it was."""
        return self.table[list(_MARKS)].to_numpy(float)


def quick_settings(saved: SavedAnalysis, n_fibers: int) -> tuple[AnalysisConfig, Limits]:
    """The settings of an analysis; in large sections chance is drawn less often."""
    config, limits = saved.config, saved.config.limits_in_force
    if n_fibers < QUICK_FROM_FIBERS:
        return config, limits
    n_permutations = min(config.patterns.n_permutations, QUICK_PERMUTATIONS)
    patterns = config.patterns.model_copy(update={"n_permutations": n_permutations})
    quick = {
        "sensitivity_perturbations": QUICK_PERTURBATIONS,
        "largest_group_permutations": QUICK_PERMUTATIONS,
    }
    limits = replace(limits, changed={**quick, **limits.changed})
    return config.model_copy(update={"patterns": patterns}), limits


def contacts_now(
    saved: SavedAnalysis,
    now: FibersNow,
    memory: SectionMemory,
    limits: Limits,
    progress: Progress | None,
) -> Contacts:
    """Find the contacts over the gaps of the analysis; only where fibers changed if it can."""
    gap, reach = contact_gaps(saved.fibers, limits)
    before = (saved.summary.get("patterns") or {}).get("contacts") or {}
    gap = float(before.get("max_gap_um") or gap)
    mpp = saved.segmentation.mpp
    contacts = find_contacts(
        now.labels,
        mpp,
        now.table,
        gaps_um=(gap, max(gap, reach)),
        known=KnownLines(memory.lines, now.boxes * np.array([*mpp, *mpp]), now.marks),
        limits=limits,
        progress=progress,
    )
    return replace(contacts, widened_from_um=float(before.get("widened_from_um") or np.nan))


def nuclei_now(saved: SavedAnalysis, now: FibersNow, limits: Limits) -> pd.DataFrame | None:
    """The table of nuclei with those placed anew whose fibers changed."""
    drawn, nuclei = saved.segmentation.nuclei, saved.nuclei
    if drawn is None or nuclei is None:
        return nuclei
    before = saved.fibers[list(_MARKS)].to_numpy(float)
    row = np.minimum(np.searchsorted(before[:, 0], now.marks[:, 0]), len(before) - 1)
    changed = (before[row] != now.marks).any(axis=1)
    ids = now.table["label"].to_numpy(np.int64)
    gone = np.setdiff1d(saved.fibers["label"], ids)
    if not changed.any() and not len(gone):
        return nuclei
    among = np.isin(nuclei["fiber"], np.concatenate([ids[changed], gone]))
    y, x = (nuclei[name].to_numpy(float) for name in ("centroid_y_um", "centroid_x_um"))
    boxes_um = now.boxes[changed] * np.array([*saved.segmentation.mpp] * 2)
    for y0, x0, y1, x1 in boxes_um.tolist():
        among |= (y >= y0) & (y < y1) & (x >= x0) & (x < x1)
    shape = (int(drawn.labels.shape[0]), int(drawn.labels.shape[1]))
    boxes = np.empty((len(boxes_um), 4), np.int64)
    boxes[:, :2] = np.floor(boxes_um[:, :2] / drawn.mpp + 1e-6)
    boxes[:, 2:] = np.ceil(boxes_um[:, 2:] / drawn.mpp - 1e-6)
    return place_again(
        nuclei,
        among,
        drawn.labels,
        view_on_grid(now.labels, saved.segmentation.mpp, shape, drawn.mpp),
        drawn.mpp,
        fiber_ids=ids[changed],
        fiber_boxes=np.minimum(boxes, [*shape, *shape]),
        limits=limits,
    )


def typing_now(saved: SavedAnalysis, now: FibersNow) -> dict[str, Any]:
    """How the fibers were typed, with those counted that have a type now."""
    before = (saved.summary.get("types") or {}).get("typing") or {}
    return told_types(before, now.table)


def statistics_now(
    saved: SavedAnalysis,
    table: pd.DataFrame,
    nuclei: pd.DataFrame | None,
    typing: dict[str, Any],
    patterns: SectionPatterns,
    memory: SectionMemory,
    limits: Limits,
) -> dict[str, Any]:
    """The parts of the summary that fibers decide."""
    config, before, segmentation = saved.config, saved.summary, saved.segmentation
    borders = _borders(saved, memory, limits)
    cores = before["cores"]["why_not"]
    drawn = segmentation.nuclei
    if memory.touching is None and nuclei is not None and drawn is not None:
        memory.touching = touching_pairs(drawn.labels, drawn.mpp, limits)
    return {
        "fibers": summarize_fibers(
            table,
            field_area_um2=field_area(segmentation, config.region),
            tissue_area_um2=before.get("tissue_area_um2"),
            sex=config.sex,
            age=config.age,
            muscle=config.muscle,
            config=config.measurement,
        ),
        "nuclei": nuclei_statistics(
            None if drawn is None else drawn.labels,
            (0.0, 0.0) if drawn is None else drawn.mpp,
            nuclei,
            table,
            before["tissue"],
            str(before["nuclei"].get("why_not") or ""),
            limits,
            touching=memory.touching,
        ),
        "condition": summarize_conditions(table),
        "cores": summarize_cores(table, "" if cores in (None, NO_FIBER) else cores, limits),
        "types": summarize_types(
            table,
            typing=typing,
            borders=borders,
            sex=config.sex,
            age=config.age,
            muscle=config.muscle,
            seed=config.patterns.seed,
            limits=limits,
        ),
        "patterns": patterns.summary,
        "quality": {**before["quality"], "fibers": summarize_exclusions(table)},
        "adequacy": summarize_adequacy(
            table.drop(columns="fascicle") if borders is None else table, borders, limits=limits
        ),
    }


def _borders(saved: SavedAnalysis, memory: SectionMemory, limits: Limits) -> pd.DataFrame | None:
    """The fascicles that the analysis found, and which of them are complete."""
    if not saved.summary["fascicles"].get("assessable"):
        return None
    if memory.borders is None:
        grid = lay_on_grid(saved.segmentation)
        assert grid.tissue is not None
        memory.borders = find_fascicles(
            grid.tissue, grid.fibers, grid.mpp, ids=saved.segmentation.ids, limits=limits
        ).table
    return memory.borders
