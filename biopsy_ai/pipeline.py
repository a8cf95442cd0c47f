"""The analysis of one section, from the slide to the summary. Only this module knows the order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from biopsy_ai import RESEARCH_USE_ONLY
from biopsy_ai.analysis import Analysis
from biopsy_ai.config import MPP_COARSE, AnalysisConfig
from biopsy_ai.errors import ConfigError
from biopsy_ai.formats.tables import printable
from biopsy_ai.opening import (
    check_agreement,
    check_size,
    describe_image,
    open_hashed,
    outlines_name,
)
from biopsy_ai.outlining import (
    choose_nuclei,
    find_stain,
    find_tissue,
    model_in_use,
    outline_section,
)
from biopsy_ai.progress import Progress
from biopsy_ai.provenance import Stopwatch, describe

if TYPE_CHECKING:
    from biopsy_ai.segmentation import Model
    from biopsy_ai.slides import Slide

__all__ = ["Analysis", "analyze"]


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
        ``"segment"``, ``"nuclei_channel"`` where nuclei have one, ``"measure"``,
        ``"surroundings"``, ``"contacts"`` and ``"patterns"``, of which ``"surroundings"`` and
        ``"patterns"`` come from other threads than its own. It may raise `Cancelled` to stop.

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
    from biopsy_ai import section_patterns, surroundings
    from biopsy_ai.formats.type_table import read_type_table
    from biopsy_ai.measure import measure_fibers, summarize_fibers
    from biopsy_ai.measure.adequacy import summarize_adequacy
    from biopsy_ai.measure.condition import flag_conditions
    from biopsy_ai.measure.condition_summary import summarize_conditions
    from biopsy_ai.measure.cores import call_cores
    from biopsy_ai.measure.nuclei import count_nuclei
    from biopsy_ai.measure.reference import Limits
    from biopsy_ai.score import load_evidence, score_section, section_of
    from biopsy_ai.section_grid import lay_on_grid
    from biopsy_ai.segmentation import load_model
    from biopsy_ai.side_by_side import Step, run_side_by_side

    if slide is None and fibers is None:
        raise ConfigError("nothing to analyze: give a slide, a file with fiber outlines, or both")
    if slide is not None:
        check_size(slide)
    given = None if types is None else read_type_table(types)
    warnings = [] if slide is None else list(slide.warnings)
    limits = Limits(config.measurement.limits)
    evidence = load_evidence(config.evidence)

    with watch.stage("tissue"):
        tissue = find_tissue(
            slide, config.stain, needed=fibers is None, warnings=warnings, progress=progress
        )
        stain = None if slide is None else find_stain(slide, tissue, config, warnings)

    with watch.stage("segment"):
        if slide is None:
            model = None
        else:
            model = model_in_use(model or load_model(config.model), outlined=fibers is not None)
        segmentation = outline_section(
            slide, config, fibers, model, tissue, stain, warnings, progress
        )
    with watch.stage("nuclei"):
        segmentation, no_nuclei = choose_nuclei(slide, segmentation, stain, tissue, progress)

    with watch.stage("measure"):
        table = measure_fibers(
            segmentation.labels,
            segmentation.mpp,
            ids=segmentation.ids,
            boxes=segmentation.boxes,
            confidence=segmentation.confidence,
            touches_tissue_edge=None if tissue is None else segmentation.touches_tissue_edge,
            image_mpp=None if slide is None else slide.mpp,
            config=config.measurement,
            progress=progress,
        )

    labels = segmentation.ids
    with watch.stage("surroundings"):
        seen = stain.name if stain else "auto"
        dyes = surroundings.dyes_of(slide, config, stain, tissue)
        grid = lay_on_grid(segmentation, slide, bright_field=dyes is not None)
        steps: dict[str, Step] = {
            "quality": lambda told: surroundings.quality_of(slide, tissue, grid, told),
            "composition": lambda told: surroundings.tissue_of(
                grid, table, stain.name if stain else None, dyes, limits, told
            ),
            "nuclei": lambda told: (
                None if no_nuclei else surroundings.nuclei_of(grid, dyes, limits, told)
            ),
            "interior": lambda told: (
                surroundings.interior_of(grid, labels, dyes, seen, limits, told) if slide else None
            ),
            "type_channels": lambda told: section_patterns.channels_of(slide, grid, seen, told),
        }
        tiles, (fascicles, composition), nuclei, interior, channels = run_side_by_side(
            [watch.timed(name, step) for name, step in steps.items()], "surroundings", progress
        )
        counts = count_nuclei(nuclei, labels)
        home = None if fascicles is None else fascicles.fibers["fascicle"].to_numpy()
        flags = flag_conditions(table, interior, counts, home, limits, seen)
        table = surroundings.complete_table(table, counts, fascicles, flags, tiles)
        table = section_patterns.with_columns(table, call_cores(interior, labels, limits))

    with watch.stage("patterns"):
        typing = section_patterns.types_of(interior, channels, table, seen, config, given, limits)
        table = section_patterns.with_columns(table, typing.fibers)
        patterns = section_patterns.patterns_of(
            segmentation, table, typing, config, limits, progress
        )
        table = section_patterns.with_columns(
            table, patterns.grouping.fibers, patterns.atrophy.fibers
        )

    with watch.stage("summary"):
        known = segmentation.provenance.get("field_known", True)
        field_area_um2 = _area_um2(segmentation.labels.shape, segmentation.mpp) if known else None
        tissue_area_um2: float | None = composition.get("area_um2")
        if tissue_area_um2 is None and tissue is not None:
            tissue_area_um2 = tissue.area_um2
        results = {
            "fibers": summarize_fibers(
                table,
                field_area_um2=field_area_um2,
                tissue_area_um2=tissue_area_um2,
                sex=config.sex,
                age=config.age,
                muscle=config.muscle,
                config=config.measurement,
            ),
            "nuclei": surroundings.nuclei_statistics(
                grid, nuclei, table, composition, no_nuclei, limits
            ),
            "tissue": composition,
            "fascicles": surroundings.fascicle_statistics(fascicles, composition),
            "condition": summarize_conditions(table),
            "cores": surroundings.core_statistics(
                table, stain.name if stain else None, dyes, limits
            ),
            "types": section_patterns.type_statistics(typing, table, fascicles, config, limits),
            "patterns": patterns.summary,
            "quality": surroundings.quality_statistics(tiles, stain, table),
            "adequacy": summarize_adequacy(
                table.drop(columns="fascicle") if fascicles is None else table,
                None if fascicles is None else fascicles.table,
                limits=limits,
            ),
        }

    mpp = segmentation.mpp if slide is None else slide.mpp
    if max(mpp) > MPP_COARSE:
        warnings.append(
            f"The image is coarser than {MPP_COARSE} µm per pixel ({max(mpp):.3g}): sizes are "
            "reported, shapes are not."
        )
    name = printable(slide.name if slide is not None else outlines_name(str(fibers)))
    summary = {
        "name": name,
        "research_use_only": RESEARCH_USE_ONLY,
        **results,
        "image": describe_image(slide, config, stain) if slide is not None and stain else None,
        "outlines_mpp": [float(value) for value in segmentation.mpp],
        # None where the fibers were segmented: those outlines are drawn with pixels of our own.
        "outlines_mpp_source": segmentation.provenance.get("mpp_source"),
        "tissue_area_um2": tissue_area_um2,
        "warnings": warnings,
        "provenance": describe(
            config,
            segmentation,
            slide,
            outlines=fibers,
            types=types,
            model=model,
            evidence_sha256=evidence.sha256,
            seconds=watch.seconds,
        ),
    }
    section = section_of(table, patterns.contacts.labels[patterns.contacts.pairs], summary, limits)
    summary |= score_section(section, evidence).summary()
    return Analysis(
        name,
        table,
        segmentation,
        summary,
        config,
        slide,
        nuclei,
        fascicles,
        tiles,
        patterns,
        _opened_here=opened_here,
    )


def _area_um2(shape: tuple[int, ...], mpp: tuple[float, float]) -> float:
    return float(shape[0]) * float(shape[1]) * mpp[0] * mpp[1]
