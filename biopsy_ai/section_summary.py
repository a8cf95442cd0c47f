"""From what was measured of a section to its summary, ready for JSON.

`biopsy_ai.pipeline` knows the order of what is measured; here it is only told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from biopsy_ai import RESEARCH_USE_ONLY, section_patterns, surroundings
from biopsy_ai.config import MPP_COARSE, AnalysisConfig
from biopsy_ai.measure import summarize_fibers
from biopsy_ai.measure.adequacy import summarize_adequacy
from biopsy_ai.measure.condition_summary import summarize_conditions
from biopsy_ai.measure.reference import Limits
from biopsy_ai.opening import describe_image
from biopsy_ai.region import Region, area_um2
from biopsy_ai.section_grid import SectionGrid
from biopsy_ai.segmentation.result import Segmentation

if TYPE_CHECKING:
    import pandas as pd

    from biopsy_ai.measure.dyes import SectionDyes
    from biopsy_ai.patterns import Fascicles
    from biopsy_ai.patterns.fiber_types import FiberTypes
    from biopsy_ai.section_patterns import SectionPatterns
    from biopsy_ai.slides import Slide, TissueMask
    from biopsy_ai.slides.stain_detection import SectionStain


@dataclass(frozen=True, eq=False)
class OutlinedSection:
    """A section whose fibers are outlined, before anything is measured.

    Attributes
    ----------
    name
        Of the slide, or of the file with the outlines.
    config
        The settings.
    segmentation
        Fibers, and nuclei and tissue where they were drawn.
    slide, tissue, stain
        The open slide, where it holds tissue and how it is stained; None without a slide.
    no_nuclei
        Why nuclei cannot be assessed; empty where they can.
    given
        Fiber types that a person gives, `biopsy_ai.formats.type_table.read_type_table`.
    warnings
        Sentences for the user.
    """

    name: str
    config: AnalysisConfig
    segmentation: Segmentation
    slide: Slide | None = None
    tissue: TissueMask | None = None
    stain: SectionStain | None = None
    no_nuclei: str = ""
    given: pd.DataFrame | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class MeasuredSection:
    """What was measured of a section.

    Attributes
    ----------
    table
        The fiber table.
    grid
        Fibers, nuclei, tissue and picture on one grid.
    dyes
        Colors of a bright-field picture.
    tiles
        Quality of the slide, tile by tile.
    fascicles, composition
        Fascicles and areas of the tissues.
    nuclei
        One row per nucleus.
    typing
        How the fibers were typed.
    patterns
        Contacts, groups and clusters.
    """

    table: pd.DataFrame
    grid: SectionGrid
    dyes: SectionDyes | None
    tiles: pd.DataFrame | None
    fascicles: Fascicles | None
    composition: dict[str, Any]
    nuclei: pd.DataFrame | None
    typing: FiberTypes
    patterns: SectionPatterns


def statistics_of(
    section: OutlinedSection, measured: MeasuredSection, limits: Limits
) -> dict[str, Any]:
    """Every statistic of a section, by the part of the summary that it stands in."""
    config, segmentation, stain = section.config, section.segmentation, section.stain
    table, composition, fascicles = measured.table, measured.composition, measured.fascicles
    tissue_area_um2 = tissue_area(section, composition)
    return {
        "fibers": summarize_fibers(
            table,
            field_area_um2=field_area(segmentation, config.region),
            tissue_area_um2=tissue_area_um2,
            sex=config.sex,
            age=config.age,
            muscle=config.muscle,
            config=config.measurement,
        ),
        "nuclei": surroundings.nuclei_statistics(
            measured.grid.nuclei,
            measured.grid.mpp,
            measured.nuclei,
            table,
            composition,
            section.no_nuclei,
            limits,
        ),
        "tissue": composition,
        "fascicles": surroundings.fascicle_statistics(fascicles, composition),
        "condition": summarize_conditions(table),
        "cores": surroundings.core_statistics(
            table, stain.name if stain else None, measured.dyes, limits
        ),
        "types": section_patterns.type_statistics(
            measured.typing, table, fascicles, config, limits
        ),
        "patterns": measured.patterns.summary,
        "quality": surroundings.quality_statistics(measured.tiles, stain, table),
        "adequacy": summarize_adequacy(
            table.drop(columns="fascicle") if fascicles is None else table,
            None if fascicles is None else fascicles.table,
            limits=limits,
        ),
    }


def tissue_area(section: OutlinedSection, composition: Mapping[str, Any]) -> float | None:
    """Area of the tissue, µm²: as the network sees it, else what is no glass, else None."""
    area: float | None = composition.get("area_um2")
    if area is None and section.tissue is not None:
        return float(section.tissue.area_um2)
    return area


def summary_of(
    section: OutlinedSection,
    measured: MeasuredSection,
    statistics: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """The summary of a section but for its score."""
    slide, segmentation = section.slide, section.segmentation
    warnings = list(section.warnings)
    mpp = segmentation.mpp if slide is None else slide.mpp
    coarse = (
        f"The image is coarser than {MPP_COARSE} µm per pixel ({max(mpp):.3g}): sizes are "
        "reported, shapes are not."
    )
    if max(mpp) > MPP_COARSE and coarse not in warnings:
        warnings.append(coarse)
    image = None
    if slide is not None and section.stain is not None:
        image = describe_image(slide, section.config, section.stain)
    return {
        "name": section.name,
        "research_use_only": RESEARCH_USE_ONLY,
        **statistics,
        "image": image,
        "outlines_mpp": [float(value) for value in segmentation.mpp],
        # None where the fibers were segmented: those outlines are drawn with pixels of our own.
        "outlines_mpp_source": segmentation.provenance.get("mpp_source"),
        "tissue_area_um2": tissue_area(section, measured.composition),
        "warnings": warnings,
        "provenance": dict(provenance),
    }


def field_area(segmentation: Segmentation, region: Region | None) -> float | None:
    """Area that was looked at, µm²; None where it is not known how far the image reached."""
    if not segmentation.provenance.get("field_known", True):
        return None
    shape, mpp = segmentation.labels.shape, segmentation.mpp
    if region is not None:
        return area_um2(region, shape, mpp)
    return float(shape[0]) * float(shape[1]) * mpp[0] * mpp[1]
