"""What lies between and inside the fibers of one section, measured on one grid.

Each function takes what is known and leaves out what is not; `biopsy_ai.pipeline` knows the order.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from biopsy_ai.labels import LabelArray, view_on_grid
from biopsy_ai.measure.adequacy import summarize_exclusions
from biopsy_ai.measure.collagen import COLLAGEN_DYES, measure_collagen
from biopsy_ai.measure.condition import OXIDATIVE, exclusion_reasons
from biopsy_ai.measure.cores import NO_COLORS, NOT_MITOCHONDRIAL, summarize_cores
from biopsy_ai.measure.dyes import HE_DYES, SectionDyes, fit_dyes
from biopsy_ai.measure.exclusion import join_reasons
from biopsy_ai.measure.interior import measure_interior
from biopsy_ai.measure.nuclear_groups import clump_numbers, cluster_numbers
from biopsy_ai.measure.nuclei import measure_nuclei
from biopsy_ai.measure.nuclei_summary import summarize_nuclei
from biopsy_ai.measure.reference import Limits
from biopsy_ai.measure.tissue import measure_tissue
from biopsy_ai.patterns import Fascicles, find_fascicles
from biopsy_ai.progress import Progress
from biopsy_ai.section_grid import SectionGrid
from biopsy_ai.section_patterns import channels_of
from biopsy_ai.segmentation.picture import is_fluorescent
from biopsy_ai.side_by_side import Step
from biopsy_ai.slides.quality import measure_quality
from biopsy_ai.slides.quality_summary import exclusions_at, summarize_quality

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from biopsy_ai.config import AnalysisConfig
    from biopsy_ai.section_summary import OutlinedSection
    from biopsy_ai.slides import Slide, TissueMask
    from biopsy_ai.slides.stain_detection import SectionStain

NO_IMAGE = "there is no image, only outlines"
NO_TISSUE = "no tissue was found on the image"
NOT_DRAWN = "the network did not draw them"


def dyes_of(
    slide: Slide | None,
    config: AnalysisConfig,
    stain: SectionStain | None,
    tissue: TissueMask | None,
) -> SectionDyes | None:
    """Colors of a bright-field picture; None for gray pictures and fluorescence."""
    if slide is None or stain is None or slide.n_channels != 3 or stain.name == "if":
        return None
    return None if is_fluorescent(slide, config.stain) else fit_dyes(slide, tissue, stain.name)


def quality_of(
    slide: Slide | None, tissue: TissueMask | None, grid: SectionGrid, progress: Progress | None
) -> pd.DataFrame | None:
    """Measure the quality of a slide tile by tile; None without a slide or tissue on it."""
    if slide is None or tissue is None:
        return None
    return measure_quality(
        slide, tissue, classes=grid.tissue, classes_mpp=grid.mpp, progress=progress
    )


def tissue_of(
    grid: SectionGrid,
    table: pd.DataFrame,
    stain: str | None,
    dyes: SectionDyes | None,
    limits: Limits,
    progress: Progress | None,
) -> tuple[Fascicles | None, dict[str, Any]]:
    """Find the fascicles and measure the areas of the tissues, and collagen where it is stained.

    Parameters
    ----------
    grid
        With a class map, or there are no fascicles and the areas are not assessable.
    table
        Labels and perimeters of all fibers.
    stain
        As given or recognised; None without a slide.
    dyes
        Of a bright-field section.
    limits, progress
        As everywhere.
    """
    counted = grid.counted_tissue
    if grid.tissue is None or counted is None:
        return None, {"assessable": False, "why_not": NOT_DRAWN if stain else NO_IMAGE}
    labels = table["label"].to_numpy()
    fascicles = find_fascicles(grid.tissue, grid.fibers, grid.mpp, ids=labels, limits=limits)
    within = None
    if not fascicles.whole_section:
        within = view_on_grid(fascicles.labels, fascicles.mpp, grid.shape, grid.mpp)
    composition = measure_tissue(
        counted, grid.fibers, grid.mpp, table=table, fascicles=within, progress=progress
    )
    if stain in COLLAGEN_DYES:
        composition["collagen"] = _collagen_of(grid, counted, stain, dyes, limits, progress)
    return fascicles, {"assessable": True, **composition}


def _collagen_of(
    grid: SectionGrid,
    tissue: LabelArray,
    stain: str,
    dyes: SectionDyes | None,
    limits: Limits,
    progress: Progress | None,
) -> dict[str, Any]:
    separation = None if dyes is None else dyes.of(*COLLAGEN_DYES[stain])
    if grid.image is None or separation is None:
        return {"assessable": False, "why_not": "the picture is no bright-field color image"}
    return measure_collagen(grid.image, tissue, grid.mpp, separation, limits, progress)


def nuclei_of(
    grid: SectionGrid, dyes: SectionDyes | None, limits: Limits, progress: Progress | None
) -> pd.DataFrame:
    """Measure every nucleus; the grid must hold their labels."""
    assert grid.nuclei is not None
    separation = None if dyes is None else dyes.of(*HE_DYES)
    return measure_nuclei(
        grid.nuclei,
        grid.fibers,
        grid.mpp,
        fiber_ids=grid.ids,
        fiber_boxes=grid.boxes,
        image=None if separation is None else grid.image,
        separation=separation,
        tissue=grid.tissue,
        limits=limits,
        progress=progress,
    )


def interior_of(
    grid: SectionGrid,
    labels: NDArray[np.int64],
    dyes: SectionDyes | None,
    stain: str,
    limits: Limits,
    progress: Progress | None,
) -> pd.DataFrame:
    """Measure the inside of every fiber; a fiber too small for the grid has missing values."""
    interior = measure_interior(
        grid.fibers,
        grid.mpp,
        ids=grid.ids,
        boxes=grid.boxes,
        image=None if dyes is None else grid.small_image,
        image_step=grid.image_step,
        white=None if dyes is None else dyes.white,
        separation=None if dyes is None else dyes.of(*HE_DYES),
        nuclei=grid.nuclei,
        tissue=grid.tissue,
        zones=stain in OXIDATIVE,
        limits=limits,
        progress=progress,
    )
    return interior.set_index("label").reindex(labels).reset_index()


def steps_of(
    section: OutlinedSection,
    grid: SectionGrid,
    measure: Step,
    dyes: SectionDyes | None,
    limits: Limits,
) -> dict[str, Step]:
    """What is measured of, around and inside the fibers, in steps that can run side by side.

    Parameters
    ----------
    section
        The outlined section.
    grid
        With its pixels.
    measure
        Gives the fiber table.
    dyes
        Colors of a bright-field picture.
    limits
        As everywhere.

    Returns
    -------
    dict
        In this order: ``measure`` gives the fiber table, ``quality`` what `quality_of` does,
        ``interior`` and ``nuclei`` the tables of `interior_of` and `nuclei_of`, ``composition``
        what `tissue_of` does, and ``type_channels`` the table of
        `biopsy_ai.section_patterns.channels_of`; each gives None where there is nothing to
        measure. Composition waits for the fiber table, and must not begin before that has.
    """
    slide, stain, labels = section.slide, section.stain, section.segmentation.ids
    seen = stain.name if stain else "auto"
    table: Future[pd.DataFrame] = Future()

    def measured(told: Progress) -> pd.DataFrame:
        try:
            table.set_result(measure(told))
        except BaseException as error:
            table.set_exception(error)
            raise
        return table.result()

    return {
        "measure": measured,
        "quality": lambda told: quality_of(slide, section.tissue, grid, told),
        "interior": lambda told: (
            interior_of(grid, labels, dyes, seen, limits, told) if slide else None
        ),
        "nuclei": lambda told: None if section.no_nuclei else nuclei_of(grid, dyes, limits, told),
        "composition": lambda told: tissue_of(
            grid, table.result(), stain.name if stain else None, dyes, limits, told
        ),
        "type_channels": lambda told: channels_of(slide, grid, seen, told),
    }


def core_statistics(
    table: pd.DataFrame, stain: str | None, dyes: SectionDyes | None, limits: Limits
) -> dict[str, Any]:
    """Count target and core-like fibers, or say why they cannot be assessed.

    Parameters
    ----------
    table
        The fiber table.
    stain
        As given or recognised; None without a slide.
    dyes
        Of a bright-field section.
    limits
        As everywhere.
    """
    why_not = ""
    if stain is None:
        why_not = NO_IMAGE
    elif stain not in OXIDATIVE:
        why_not = NOT_MITOCHONDRIAL
    elif dyes is None:
        why_not = NO_COLORS
    return summarize_cores(table, why_not, limits)


def nuclei_statistics(
    labels: LabelArray | None,
    mpp: tuple[float, float],
    nuclei: pd.DataFrame | None,
    table: pd.DataFrame,
    composition: dict[str, Any],
    why_not: str,
    limits: Limits,
    *,
    touching: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Summarize the nuclei, their clusters and clumps; or say why they cannot be assessed.

    Parameters
    ----------
    labels, mpp
        Label image of the nuclei, where there is a table of them, and its pixel size (y, x), µm.
    nuclei
        From `nuclei_of`.
    table
        The fiber table, exclusions and all.
    composition
        From `tissue_of`; areas are left out where it has none.
    why_not
        Why nuclei cannot be assessed.
    limits
        As everywhere.
    touching
        Which nuclei touch, where that is known.
    """
    if nuclei is None:
        return summarize_nuclei(None, table, why_not=why_not, limits=limits)
    assert labels is not None
    clusters = cluster_numbers(nuclei, limits)
    clumps = clump_numbers(nuclei, labels, mpp, table, clusters, limits, touching)
    interstitium_um2 = None
    if composition["assessable"]:
        interstitium_um2 = composition["endomysium_um2"] + composition["perimysium_um2"]
    return summarize_nuclei(
        nuclei,
        table,
        tissue_area_um2=composition.get("area_um2"),
        interstitium_area_um2=interstitium_um2,
        clusters=clusters,
        clumps=clumps,
        limits=limits,
    )


def complete_table(
    table: pd.DataFrame,
    counts: pd.DataFrame,
    fascicles: Fascicles | None,
    flags: pd.DataFrame,
    tiles: pd.DataFrame | None,
) -> pd.DataFrame:
    """Add what surrounds the fibers to their table, and gather why some are left out."""
    reasons: list[Iterable[object]] = [table["excluded"], exclusion_reasons(flags)]
    if tiles is not None:
        place = (table[name].to_numpy() for name in ("centroid_y_um", "centroid_x_um"))
        reasons.append(exclusions_at(tiles, *place))
    if fascicles is None:
        nowhere = pd.array([pd.NA] * len(table), dtype="Int64")
        places = pd.DataFrame({"fascicle": nowhere, "layer": nowhere})
    else:
        places = fascicles.fibers[["fascicle", "layer"]].astype("Int64")
    parts = [
        table.drop(columns="excluded"),
        counts.drop(columns="label"),
        places,
        flags.drop(columns="label"),
    ]
    return pd.concat(parts, axis=1).assign(excluded=join_reasons(*reasons))


def fascicle_statistics(fascicles: Fascicles | None, composition: dict[str, Any]) -> dict[str, Any]:
    """Say how many fascicles there are, or why they are not known."""
    if fascicles is None:
        return {"assessable": False, "why_not": composition["why_not"]}
    return {
        "assessable": True,
        "whole_section": fascicles.whole_section,
        "reason": fascicles.reason,
        "n": len(fascicles.table),
        "n_complete": int(fascicles.table["complete"].sum()),
        "measures": fascicles.measures,
    }


def quality_statistics(
    tiles: pd.DataFrame | None, stain: SectionStain | None, table: pd.DataFrame
) -> dict[str, Any]:
    """Say what the slide can be trusted with, which stain it shows, and what is left out."""
    fibers = {"fibers": summarize_exclusions(table)}
    if stain is None:
        return {"assessable": False, "why_not": NO_IMAGE, **fibers}
    recognised = {
        "stain": stain.call.stain,
        "stain_confidence": stain.call.confidence,
        "stain_call": stain.call.as_dict(),
    }
    if tiles is None:
        return {"assessable": False, "why_not": NO_TISSUE, **recognised, **fibers}
    return {"assessable": True, **recognised, **summarize_quality(tiles), **fibers}
