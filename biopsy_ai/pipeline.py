"""The analysis of one section, from the slide to the summary. Only this module knows the order."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biopsy_ai.analysis import Analysis
from biopsy_ai.config import AnalysisConfig
from biopsy_ai.errors import ConfigError
from biopsy_ai.formats.tables import printable
from biopsy_ai.measured_section import measure_section
from biopsy_ai.opening import check_agreement, check_size, open_hashed, outlines_name, reopen
from biopsy_ai.outlining import (
    choose_nuclei,
    find_stain,
    find_tissue,
    model_in_use,
    outline_section,
)
from biopsy_ai.progress import Progress
from biopsy_ai.provenance import Stopwatch, describe, describe_again

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from biopsy_ai.corrections import Corrections
    from biopsy_ai.labels import LabelArray
    from biopsy_ai.rescoring import Rescored, SectionMemory
    from biopsy_ai.saved import SavedAnalysis
    from biopsy_ai.segmentation import Model
    from biopsy_ai.slides import Slide

__all__ = ["Analysis", "analyze", "reanalyze", "rescore"]


def analyze(
    slide: Slide | str | Path | None,
    config: AnalysisConfig | None = None,
    *,
    fibers: str | Path | None = None,
    types: str | Path | None = None,
    model: Model | None = None,
    progress: Progress | None = None,
) -> Analysis:
    """Outline and measure the fibers of one section, and what lies between and inside them.

    Parameters
    ----------
    slide
        An open slide or the path of one. ``None`` measures the outlines in `fibers` alone.
    config
        Settings; the defaults of `AnalysisConfig` if ``None``.
    fibers
        File with outlines to measure instead of segmenting: label TIFF or PNG, QuPath GeoJSON,
        ImageJ RoiSet.zip. Nuclei and tissue are still drawn, if the model can and there is a
        slide.
    types
        Table of fiber types (CSV with the columns ``label`` and ``type``) to take instead of
        reading them off the stain.
    model
        A loaded model, to spare loading ``config.model`` again for each of many slides.
    progress
        Called as ``progress(stage, done, total)`` for the stages ``"open"``, ``"tissue"``,
        ``"segment"``, ``"nuclei_channel"`` where nuclei have one, ``"measure"``, ``"contacts"``
        and ``"patterns"``, of which ``"measure"`` and ``"patterns"`` come from other threads than
        its own. It may raise `Cancelled` to stop.

    Raises
    ------
    SlideReadError, PixelSizeError, ChannelError
        If the slide cannot be used.
    NoTissueError
        If the image holds no muscle or no fiber was found.
    OutlineReadError, TypesReadError, ModelError, ConfigError
        If the outlines, the types, the model or the settings cannot be used; an open slide keeps
        the pixel size and the channels it was opened with, and the settings must not say otherwise.

    Examples
    --------
    >>> import biopsy_ai
    >>> with biopsy_ai.analyze("section.tif") as analysis:  # doctest: +SKIP
    ...     analysis.save("results/section")
    >>> analysis.fibers["min_feret_um"].median()  # doctest: +SKIP
    """
    config = config or AnalysisConfig()
    watch = Stopwatch()
    if slide is None or not isinstance(slide, str | Path):
        if slide is not None:
            check_agreement(slide, config)
        return _analyze(slide, config, fibers, types, model, progress, watch, opened_here=False)
    with watch.stage("open"):
        opened = open_hashed(slide, config, progress)
    try:
        return _analyze(opened, config, fibers, types, model, progress, watch, opened_here=True)
    except BaseException:
        opened.close()
        raise


def reanalyze(
    saved: SavedAnalysis,
    labels: LabelArray,
    corrections: Corrections,
    *,
    slide: Slide | str | Path | None = None,
    progress: Progress | None = None,
) -> Analysis:
    """Measure a section again whose outlines a person has corrected.

    Nuclei and tissue stay as they were drawn; all that is measured on them and on the fibers is
    measured anew, and what the person decided wins. Without corrections the result is that of the
    first analysis.

    Parameters
    ----------
    saved
        The first analysis, from `biopsy_ai.read_analysis`.
    labels
        (H, W) corrected label image on the grid of ``saved.labels``. It must not change meanwhile.
    corrections
        Types, conditions and exclusions that a person decided, and who it was; the result has
        them in the column ``corrected`` and in ``summary["review"]``.
    slide
        The slide, open or where it is now; None opens it where `saved` knows it.
    progress
        As for `analyze`, without the stages that draw.

    Raises
    ------
    SlideReadError
        If the slide is missing, or is not the one that was analyzed.
    NoTissueError
        If no fiber is left.
    ConfigError
        If the settings cannot be used any more.
    """
    watch = Stopwatch()
    given = slide if slide is None or not isinstance(slide, str | Path) else None
    if isinstance(slide, str | Path):
        saved = replace(saved, slide_path=Path(slide))
    with watch.stage("open"):
        opened = reopen(saved, given, progress)
    try:
        return _reanalyze(
            saved, labels, corrections, opened, progress, watch, opened_here=given is None
        )
    except BaseException:
        if opened is not None and given is None:
            opened.close()
        raise


def rescore(
    saved: SavedAnalysis,
    table: pd.DataFrame,
    labels: LabelArray,
    boxes: NDArray[np.int64] | None = None,
    *,
    corrections: Corrections,
    memory: SectionMemory | None = None,
    progress: Progress | None = None,
) -> Rescored:
    """Find patterns and scores again from a table of fibers that a person is correcting.

    Runs in a thread of its own, too, and changes nothing that it is given. The slide is not read,
    and what needs it stays as it was; contacts are sought over the gaps of the first analysis, and
    from 4000 fibers on chance is drawn less often. `reanalyze` does all of it.

    Parameters
    ----------
    saved
        The first analysis.
    table
        The fiber table with what the person decided, in any order.
    labels
        (H, W) label image of these fibers. It must not change meanwhile.
    boxes
        (n, 4) box of each row; found in the image if None, which takes long in a large one.
    corrections
        What the person decided, for the record.
    memory
        With the same one each time only what changed is sought again.
    progress
        Called for ``"contacts"``, ``"patterns"`` and ``"score"``, also from other threads.

    Raises
    ------
    NoTissueError
        If there is no fiber.
    """
    from biopsy_ai import rescoring, section_patterns
    from biopsy_ai.corrections import with_corrected, with_record
    from biopsy_ai.formats.tables import to_json_ready
    from biopsy_ai.score import load_evidence, score_section, section_of

    memory = memory or rescoring.SectionMemory()
    now = rescoring.FibersNow.of(table, labels, boxes)
    config, limits = rescoring.quick_settings(saved, len(now.table))
    contacts = rescoring.contacts_now(saved, now, memory, limits, progress)
    nuclei = rescoring.nuclei_now(saved, now, limits)
    typing = rescoring.typing_now(saved, now)
    patterns = section_patterns.patterns_among(
        contacts, now.table, typing, config, limits, progress
    )
    table = section_patterns.with_columns(
        now.table, patterns.grouping.fibers, patterns.atrophy.fibers
    )
    table = with_corrected(table, corrections)
    tell = progress or (lambda stage, done, total: None)
    tell("score", 0, 1)
    parts = rescoring.statistics_now(saved, table, nuclei, typing, patterns, memory, limits)
    summary = {**saved.summary, **parts}
    corrections = with_record(corrections, saved.segmentation.ids, contacts.labels)
    if corrections.reviewed:
        summary["review"] = dict(corrections.record)
    section = section_of(table, contacts.labels[contacts.pairs], summary, limits)
    summary |= score_section(section, load_evidence(config.evidence)).summary()
    tell("score", 1, 1)
    return rescoring.Rescored(table, contacts.table(), to_json_ready(summary))


def _analyze(
    slide: Slide | None,
    config: AnalysisConfig,
    fibers: str | Path | None,
    types: str | Path | None,
    model: Model | None,
    progress: Progress | None,
    watch: Stopwatch,
    *,
    opened_here: bool,
) -> Analysis:
    from biopsy_ai.corrections import Corrections
    from biopsy_ai.formats.type_table import read_type_table
    from biopsy_ai.learned_rules import with_rules
    from biopsy_ai.score import load_evidence
    from biopsy_ai.section_summary import OutlinedSection
    from biopsy_ai.segmentation import load_model

    if slide is None and fibers is None:
        raise ConfigError("nothing to analyze: give a slide, a file with fiber outlines, or both")
    if slide is not None:
        check_size(slide)
    given = None if types is None else read_type_table(types)
    warnings = [] if slide is None else list(slide.warnings)
    evidence = load_evidence(config.evidence)

    with watch.stage("tissue"):
        needed, region = fibers is None, config.region
        tissue = find_tissue(
            slide, config.stain, needed=needed, warnings=warnings, progress=progress, region=region
        )
        stain = None if slide is None else find_stain(slide, tissue, config, warnings)

    with watch.stage("segment"):
        if slide is None:
            model, config = None, with_rules(config, None)
        else:
            model = model or load_model(config.model)
            config = with_rules(config, model)
            model = model_in_use(model, outlined=fibers is not None)
        segmentation = outline_section(
            slide, config, fibers, model, tissue, stain, warnings, progress
        )
    with watch.stage("nuclei"):
        segmentation, no_nuclei = choose_nuclei(
            slide, segmentation, stain, tissue, progress, region
        )

    name = printable(slide.name if slide is not None else outlines_name(str(fibers)))
    section = OutlinedSection(
        name, config, segmentation, slide, tissue, stain, no_nuclei, given, warnings
    )

    made: dict[str, Any] = {"outlines": fibers, "types": types, "model": model}
    made |= {"evidence_sha256": evidence.sha256, "seconds": watch.seconds}
    provenance = partial(describe, config, segmentation, slide, **made)
    return measure_section(
        section, evidence, Corrections(), provenance, watch, progress, opened_here=opened_here
    )


def _reanalyze(
    saved: SavedAnalysis,
    labels: LabelArray,
    corrections: Corrections,
    slide: Slide | None,
    progress: Progress | None,
    watch: Stopwatch,
    *,
    opened_here: bool,
) -> Analysis:
    from biopsy_ai.corrected_outlines import corrected_section
    from biopsy_ai.corrections import with_record
    from biopsy_ai.score import load_evidence

    evidence = load_evidence(saved.config.evidence)
    with watch.stage("tissue"):
        # what there is to warn of was said by the first analysis
        region, told = saved.config.region, list[str]()
        tissue = find_tissue(
            slide, saved.config.stain, needed=False, warnings=told, progress=progress, region=region
        )
        stain = None if slide is None else find_stain(slide, tissue, saved.config, told)
    with watch.stage("segment"):
        section = corrected_section(saved, labels, corrections, slide, tissue, stain)

    made_by = saved.summary["provenance"]
    provenance = partial(describe_again, made_by, evidence.sha256, watch.seconds)
    corrections = with_record(corrections, saved.segmentation.ids, section.segmentation.ids)
    analysis = measure_section(
        section, evidence, corrections, provenance, watch, progress, opened_here=opened_here
    )
    if "specimen" in saved.summary:
        analysis.summary["specimen"] = saved.summary["specimen"]
    return analysis
