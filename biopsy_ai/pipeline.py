"""The analysis of one section, from the slide to the summary. Only this module knows the order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from biopsy_ai import RESEARCH_USE_ONLY
from biopsy_ai.analysis import Analysis
from biopsy_ai.config import MPP_COARSE, AnalysisConfig
from biopsy_ai.errors import ChannelError, ConfigError, NoTissueError
from biopsy_ai.formats.tables import printable
from biopsy_ai.opening import (
    both_sides,
    check_agreement,
    check_size,
    describe_image,
    illumination_warnings,
    open_hashed,
    outlines_name,
)
from biopsy_ai.progress import Progress
from biopsy_ai.provenance import Stopwatch, describe

if TYPE_CHECKING:
    from biopsy_ai.segmentation import Model, Segmentation
    from biopsy_ai.slides import Slide, TissueMask
    from biopsy_ai.slides.stain_detection import SectionStain

__all__ = ["Analysis", "analyze", "model_in_use"]

WHAT_TO_CHECK = (
    "Check that the image shows muscle cut across, that the pixel size is right (--mpp), and for "
    "fluorescence that --channels border=N names the channel with the fiber border."
)


def analyze(
    slide: Slide | str | Path | None,
    config: AnalysisConfig | None = None,
    *,
    fibers: str | Path | None = None,
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
    model
        A loaded model, to spare loading ``config.model`` again for each of many slides.
    progress
        Called as ``progress(stage, done, total)`` for the stages ``"open"``, ``"tissue"``,
        ``"segment"``, ``"nuclei_channel"`` where nuclei have one, ``"measure"`` and
        ``"surroundings"``, the last from other threads than its own. It may raise `Cancelled` to
        stop.

    Raises
    ------
    SlideReadError, PixelSizeError, ChannelError
        If the slide cannot be used.
    NoTissueError
        If the image holds no muscle or no fiber was found.
    OutlineReadError, ModelError, ConfigError
        If the outlines, the model or the settings cannot be used; an open slide keeps the pixel
        size and the channels it was opened with, and the settings must not say otherwise.

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
        return _analyze(slide, config, fibers, model, progress, watch, opened_here=False)
    with watch.stage("open"):
        opened = open_hashed(slide, config, progress)
    try:
        return _analyze(opened, config, fibers, model, progress, watch, opened_here=True)
    except BaseException:
        opened.close()
        raise


def model_in_use(model: Model | None, *, outlined: bool) -> Model | None:
    """Give the model of a slide if it takes part in the result.

    Parameters
    ----------
    model
        A loaded model.
    outlined
        Whether the fibers are outlined already, so that it draws nuclei and tissue alone.
    """
    if model is None or not outlined:
        return model
    return model if model.draws_nuclei or model.draws_tissue else None


def _analyze(
    slide: Slide | None,
    config: AnalysisConfig,
    fibers: str | Path | None,
    model: Model | None,
    progress: Progress | None,
    watch: Stopwatch,
    *,
    opened_here: bool,
) -> Analysis:
    from biopsy_ai import surroundings
    from biopsy_ai.measure import measure_fibers, summarize_fibers
    from biopsy_ai.measure.adequacy import summarize_adequacy
    from biopsy_ai.measure.condition import flag_conditions
    from biopsy_ai.measure.condition_summary import summarize_conditions
    from biopsy_ai.measure.nuclei import count_nuclei
    from biopsy_ai.measure.reference import Limits
    from biopsy_ai.section_grid import lay_on_grid
    from biopsy_ai.segmentation import load_model
    from biopsy_ai.segmentation.tissue_map import call_fibers
    from biopsy_ai.side_by_side import run_side_by_side

    if slide is None and fibers is None:
        raise ConfigError("nothing to analyze: give a slide, a file with fiber outlines, or both")
    if slide is not None:
        check_size(slide)
    warnings = [] if slide is None else list(slide.warnings)
    limits = Limits(config.measurement.limits)

    with watch.stage("tissue"):
        tissue = _find_tissue(
            slide, config.stain, needed=fibers is None, warnings=warnings, progress=progress
        )
        stain = None if slide is None else _find_stain(slide, tissue, config, warnings)

    with watch.stage("segment"):
        if slide is None:
            model = None
        else:
            model = model_in_use(model or load_model(config.model), outlined=fibers is not None)
        segmentation = _segment(slide, config, fibers, model, tissue, stain, warnings, progress)
    warnings += _texts(segmentation.provenance.get("warnings"))
    if len(segmentation.ids) == 0:
        raise NoTissueError(f"{slide.path if slide else fibers}: no fibers found. {WHAT_TO_CHECK}")
    with watch.stage("segment"):
        if segmentation.tissue is not None:
            call_fibers(segmentation.tissue, segmentation.labels, segmentation.mpp)
    with watch.stage("nuclei"):
        segmentation, no_nuclei = _choose_nuclei(slide, segmentation, stain, tissue, progress)

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
        dyes = surroundings.dyes_of(slide, config, stain, tissue)
        grid = lay_on_grid(segmentation, slide, bright_field=dyes is not None)
        steps = {
            "quality": lambda told: surroundings.quality_of(slide, tissue, grid, told),
            "composition": lambda told: surroundings.tissue_of(
                grid, table, stain.name if stain else None, dyes, limits, told
            ),
            "nuclei": lambda told: (
                None if no_nuclei else surroundings.nuclei_of(grid, dyes, limits, told)
            ),
            "interior": lambda told: (
                surroundings.interior_of(grid, labels, dyes, limits, told) if slide else None
            ),
        }
        tiles, (fascicles, composition), nuclei, interior = run_side_by_side(
            [watch.timed(name, step) for name, step in steps.items()], "surroundings", progress
        )
        counts = count_nuclei(nuclei, labels)
        home = None if fascicles is None else fascicles.fibers["fascicle"].to_numpy()
        seen = stain.name if stain else "auto"
        flags = flag_conditions(table, interior, counts, home, limits, seen)
        table = surroundings.complete_table(table, counts, fascicles, flags, tiles)

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
                config=config.measurement,
            ),
            "nuclei": surroundings.nuclei_statistics(
                grid, nuclei, table, composition, no_nuclei, limits
            ),
            "tissue": composition,
            "fascicles": surroundings.fascicle_statistics(fascicles, composition),
            "condition": summarize_conditions(table),
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
            config, segmentation, slide, outlines=fibers, model=model, seconds=watch.seconds
        ),
    }
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
        _opened_here=opened_here,
    )


def _find_tissue(
    slide: Slide | None,
    stain: str,
    *,
    needed: bool,
    warnings: list[str],
    progress: Progress | None,
) -> TissueMask | None:
    if slide is None:
        return None
    from biopsy_ai.slides import tissue_mask

    _tell(progress, "tissue", 0)
    tissue = None
    try:
        tissue = tissue_mask(slide, stain)
    except NoTissueError as error:
        if needed:
            raise
        warnings.append(f"No tissue was found, so densities per tissue area are missing ({error})")
    else:
        warnings.extend(illumination_warnings(slide, stain))
    _tell(progress, "tissue", 1)
    return tissue


def _find_stain(
    slide: Slide, tissue: TissueMask | None, config: AnalysisConfig, warnings: list[str]
) -> SectionStain:
    from biopsy_ai.slides.stain_detection import detect_stain, settle_stain, stain_contradiction

    call = detect_stain(slide, tissue)
    contradiction = stain_contradiction(call, config.stain)
    if contradiction is not None:
        warnings.append(contradiction)
    return settle_stain(call, config.stain, slide.channels)


def _segment(
    slide: Slide | None,
    config: AnalysisConfig,
    fibers: str | Path | None,
    model: Model | None,
    tissue: TissueMask | None,
    stain: SectionStain | None,
    warnings: list[str],
    progress: Progress | None,
) -> Segmentation:
    """Outline fibers, nuclei and tissue; outlines of the user take the place of the fibers."""
    from biopsy_ai.segmentation import read_outlines, segment_fibers
    from biopsy_ai.segmentation.tissue_edge import facing_glass

    drawn = None
    if slide is not None and tissue is not None and (model is not None or fibers is None):
        name = None if stain is None or stain.source == "unknown" else stain.name
        try:
            drawn = segment_fibers(
                slide, config, model=model, tissue=tissue, stain=name, progress=progress
            )
        except ChannelError as error:
            if fibers is None:
                raise
            warnings.append(f"Nuclei and tissue were not looked for: {error}")
    if fibers is None:
        assert drawn is not None
        return drawn
    given = read_outlines(
        fibers,
        mpp=both_sides(config.mpp) if slide is None else slide.mpp,
        shape=None if slide is None else slide.shape,
    )
    if tissue is not None:
        given = facing_glass(given, tissue)
    if drawn is None:
        return given
    return replace(
        given,
        nuclei=drawn.nuclei,
        tissue=drawn.tissue,
        provenance={**given.provenance, "nuclei_and_tissue": drawn.provenance},
    )


def _choose_nuclei(
    slide: Slide | None,
    segmentation: Segmentation,
    stain: SectionStain | None,
    tissue: TissueMask | None,
    progress: Progress | None,
) -> tuple[Segmentation, str]:
    """Keep the nuclei of the network, find those of a channel, or say why there are none."""
    from biopsy_ai.measure.nuclei import why_no_nuclei
    from biopsy_ai.segmentation.nuclei_channel import find_channel_nuclei
    from biopsy_ai.surroundings import NO_IMAGE, NOT_DRAWN

    if slide is None or stain is None:
        return segmentation, NO_IMAGE
    why_not = why_no_nuclei(stain.name, slide.channels, slide.mpp)
    nuclei = None if why_not else segmentation.nuclei
    if not why_not and stain.name == "if":
        nuclei = find_channel_nuclei(slide, slide.channels["nuclei"], tissue, progress=progress)
    if nuclei is None and not why_not:
        why_not = NOT_DRAWN
    return replace(segmentation, nuclei=nuclei), why_not


def _tell(progress: Progress | None, stage: str, done: int) -> None:
    if progress is not None:
        progress(stage, done, 1)


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else []


def _area_um2(shape: tuple[int, ...], mpp: tuple[float, float]) -> float:
    return float(shape[0]) * float(shape[1]) * mpp[0] * mpp[1]
