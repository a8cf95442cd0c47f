"""What is found on a slide before anything is measured: tissue, stain, outlines and nuclei."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from biopsy_ai.config import AnalysisConfig
from biopsy_ai.errors import ChannelError, ConfigError, NoTissueError
from biopsy_ai.opening import both_sides, illumination_warnings
from biopsy_ai.progress import Progress
from biopsy_ai.region import Region, area_um2, nuclei_within, within

if TYPE_CHECKING:
    from biopsy_ai.segmentation import Model, Segmentation
    from biopsy_ai.slides import Slide, TissueMask
    from biopsy_ai.slides.stain_detection import SectionStain

WHAT_TO_CHECK = (
    "Check that the image shows muscle cut across, that the pixel size is right (--mpp), and for "
    "fluorescence that --channels border=N names the channel with the fiber border."
)


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


def find_tissue(
    slide: Slide | None,
    stain: str,
    *,
    needed: bool,
    warnings: list[str],
    progress: Progress | None,
    region: Region | None = None,
) -> TissueMask | None:
    """Find the tissue of a slide; None without a slide, or where none is there nor needed."""
    if slide is None:
        return None
    from biopsy_ai.slides import tissue_mask

    _tell(progress, "tissue", 0)
    if region is not None:
        warnings.append(_region_note(slide, region))
    tissue = None
    try:
        tissue = tissue_mask(slide, stain, region)
    except NoTissueError as error:
        if needed:
            raise
        warnings.append(f"No tissue was found, so densities per tissue area are missing ({error})")
    else:
        warnings.extend(illumination_warnings(slide, stain))
    _tell(progress, "tissue", 1)
    return tissue


def find_stain(
    slide: Slide, tissue: TissueMask | None, config: AnalysisConfig, warnings: list[str]
) -> SectionStain:
    """Settle the stain of a slide, and warn where the image contradicts the settings."""
    from biopsy_ai.slides.stain_detection import detect_stain, settle_stain, stain_contradiction

    call = detect_stain(slide, tissue)
    contradiction = stain_contradiction(call, config.stain)
    if contradiction is not None:
        warnings.append(contradiction)
    return settle_stain(call, config.stain, slide.channels)


def outline_section(
    slide: Slide | None,
    config: AnalysisConfig,
    fibers: str | Path | None,
    model: Model | None,
    tissue: TissueMask | None,
    stain: SectionStain | None,
    warnings: list[str],
    progress: Progress | None,
) -> Segmentation:
    """Outline fibers, nuclei and tissue; outlines of the user take the place of the fibers.

    Parameters
    ----------
    slide, config, tissue, stain
        What is known of the section; without a slide there must be `fibers`.
    fibers
        File with outlines to take.
    model
        None draws nothing where there are `fibers`.
    warnings
        What there is to say is added.
    progress
        As everywhere.

    Raises
    ------
    NoTissueError
        If no fiber was found, or the file holds none.
    """
    from biopsy_ai.segmentation import segment_fibers
    from biopsy_ai.segmentation.tissue_map import call_fibers

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
    segmentation = drawn if fibers is None else _read_given(fibers, slide, config, tissue, drawn)
    assert segmentation is not None
    for part in (segmentation, drawn if drawn is not segmentation else None):
        told = part.provenance.get("warnings") if part is not None else None
        warnings += [str(text) for text in told] if isinstance(told, list | tuple) else []
    if config.region is not None:
        segmentation = within(segmentation, config.region)
    if len(segmentation.ids) == 0:
        raise NoTissueError(f"{slide.path if slide else fibers}: no fibers found. {WHAT_TO_CHECK}")
    if segmentation.tissue is not None:
        call_fibers(segmentation.tissue, segmentation.labels, segmentation.mpp)
    return segmentation


def _read_given(
    fibers: str | Path,
    slide: Slide | None,
    config: AnalysisConfig,
    tissue: TissueMask | None,
    drawn: Segmentation | None,
) -> Segmentation:
    """Read the outlines of the user, and take nuclei and tissue from what was drawn."""
    from biopsy_ai.segmentation import read_outlines
    from biopsy_ai.segmentation.tissue_edge import facing_glass

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


def choose_nuclei(
    slide: Slide | None,
    segmentation: Segmentation,
    stain: SectionStain | None,
    tissue: TissueMask | None,
    progress: Progress | None,
    region: Region | None = None,
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
        if region is not None:
            nuclei = nuclei_within(nuclei, region)
    if nuclei is None and not why_not:
        why_not = NOT_DRAWN
    return replace(segmentation, nuclei=nuclei), why_not


def _region_note(slide: Slide, region: Region) -> str:
    """Say that the result is that of a part.

    Raises
    ------
    ConfigError
        If the region does not meet the image.
    """
    area = area_um2(region, slide.shape, slide.mpp)
    if not area > 0:
        height, width = (side * size for side, size in zip(slide.shape, slide.mpp, strict=True))
        raise ConfigError(
            f"{slide.path}: the region lies outside of the image, which is {width:.0f} x "
            f"{height:.0f} µm large. Was it drawn on another image, or on a smaller copy?"
        )
    return f"Only a region of {area / 1e6:.3g} mm² was analyzed, not the whole section."


def _tell(progress: Progress | None, stage: str, done: int) -> None:
    if progress is not None:
        progress(stage, done, 1)
