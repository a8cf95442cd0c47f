"""Everything after the outlines: fibers, what lies around them, patterns, statistics, score."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from biopsy_ai.analysis import Analysis
from biopsy_ai.progress import Progress
from biopsy_ai.provenance import Stopwatch

if TYPE_CHECKING:
    import pandas as pd

    from biopsy_ai.corrections import Corrections
    from biopsy_ai.score import Evidence
    from biopsy_ai.section_summary import OutlinedSection


def measure_section(
    section: OutlinedSection,
    evidence: Evidence,
    corrections: Corrections,
    provenance: Callable[[], dict[str, Any]],
    watch: Stopwatch,
    progress: Progress | None,
    *,
    opened_here: bool,
) -> Analysis:
    """Measure a section whose outlines were just drawn, or corrected by a person, and score it.

    Parameters
    ----------
    section
        The outlined section.
    evidence
        By which it is scored.
    corrections
        What a person decided.
    provenance
        Gives the entry of the summary, once all is measured.
    watch, progress
        As in `biopsy_ai.analyze`.
    opened_here
        Whether the slide is to be closed with the result.
    """
    from biopsy_ai import section_patterns, surroundings
    from biopsy_ai.corrections import (
        correct_conditions,
        correct_exclusions,
        correct_types,
        with_corrected,
    )
    from biopsy_ai.measure import measure_fibers
    from biopsy_ai.measure.condition import flags_and_signs
    from biopsy_ai.measure.cores import call_cores
    from biopsy_ai.measure.nuclei import count_nuclei
    from biopsy_ai.score import score_section, section_of
    from biopsy_ai.section_grid import lay_on_grid
    from biopsy_ai.section_summary import MeasuredSection, statistics_of, summary_of
    from biopsy_ai.side_by_side import run_side_by_side

    config, segmentation, slide = section.config, section.segmentation, section.slide
    tissue, stain = section.tissue, section.stain
    limits = config.limits_in_force

    def measure(told: Progress) -> pd.DataFrame:
        measured = measure_fibers(
            segmentation.labels,
            segmentation.mpp,
            ids=segmentation.ids,
            boxes=segmentation.boxes,
            confidence=segmentation.confidence,
            touches_tissue_edge=None if tissue is None else segmentation.touches_tissue_edge,
            image_mpp=None if slide is None else slide.mpp,
            region=config.region,
            config=config.measurement,
            progress=told,
        )
        # before the fibers are compared with one another
        return correct_exclusions(measured, corrections)

    labels = segmentation.ids
    with watch.stage("surroundings"):
        seen = stain.name if stain else "auto"
        dyes = surroundings.dyes_of(slide, config, stain, tissue)
        bright = dyes is not None
        grid = lay_on_grid(segmentation, slide, bright_field=bright, region=config.region)
        steps = surroundings.steps_of(section, grid, measure, dyes, limits)
        table, tiles, interior, nuclei, (fascicles, composition), channels = run_side_by_side(
            [watch.timed(name, step) for name, step in steps.items()], "measure", progress
        )
        counts = count_nuclei(nuclei, labels)
        home = None if fascicles is None else fascicles.fibers["fascicle"].to_numpy()
        flags, signs = flags_and_signs(table, interior, counts, home, limits, seen)
        flags = correct_conditions(flags, corrections)
        table = surroundings.complete_table(table, counts, fascicles, flags, tiles)
        table = section_patterns.with_columns(table, call_cores(interior, labels, limits))
        table = correct_exclusions(table, corrections)

    with watch.stage("patterns"):
        typing = section_patterns.types_of(
            interior, channels, table, seen, config, section.given, limits
        )
        typing = correct_types(typing, corrections)
        table = section_patterns.with_columns(table, typing.fibers)
        patterns = section_patterns.patterns_of(
            segmentation, table, typing, config, limits, progress
        )
        table = section_patterns.with_columns(
            table, patterns.grouping.fibers, patterns.atrophy.fibers
        )
        table = with_corrected(table, corrections)

    measured = MeasuredSection(
        table, grid, dyes, tiles, fascicles, composition, nuclei, typing, patterns
    )
    with watch.stage("summary"):
        statistics = statistics_of(section, measured, limits)
    summary = summary_of(section, measured, statistics, provenance())
    if corrections.reviewed:
        summary["review"] = dict(corrections.record)
    scored = section_of(table, patterns.contacts.labels[patterns.contacts.pairs], summary, limits)
    summary |= score_section(scored, evidence).summary()
    found = section.name, table, segmentation, summary, config, slide, nuclei, fascicles, tiles
    told_by = None if interior is None else signs
    return Analysis(*found, patterns, told_by, _opened_here=opened_here)
