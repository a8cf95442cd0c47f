"""The overlays of a section: what each shows, and drawing them in the background."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from biopsy_ai.formats.files import replacing
from biopsy_ai.report.backdrop import Backdrop
from biopsy_ai.report.document import Image
from biopsy_ai.report.embedding import THUMBNAIL_PX, as_jpeg
from biopsy_ai.report.overlay import Picture, write_overlay
from biopsy_ai.report.pattern_pictures import show_atrophy, show_groups, show_types
from biopsy_ai.report.pictures import (
    Fibers,
    show_conditions,
    show_fascicles,
    show_fibers,
    show_nuclei,
    show_tissue,
)
from biopsy_ai.result_names import (
    ATROPHY_OVERLAY_FILE,
    CONDITION_OVERLAY_FILE,
    FASCICLES_OVERLAY_FILE,
    GROUPS_OVERLAY_FILE,
    NUCLEI_OVERLAY_FILE,
    OVERLAY_FILE,
    TISSUE_OVERLAY_FILE,
    TYPES_OVERLAY_FILE,
)

if TYPE_CHECKING:
    from biopsy_ai.analysis import Analysis


def overlay_pictures(
    analysis: Analysis, fibers: Fibers, names: tuple[str, ...]
) -> dict[str, Callable[[Backdrop], Picture]]:
    """What the overlays of a section show, by the name of their file.

    Parameters
    ----------
    analysis
        Of the section.
    fibers
        Outlines of its fibers.
    names
        Files wanted of those that depend on what was found; the others come where there is
        something to show.
    """
    nuclei, tissue = analysis.segmentation.nuclei, analysis.segmentation.tissue
    fascicles, rows = analysis.fascicles, analysis.nuclei
    pictures: dict[str, Callable[[Backdrop], Picture]] = {
        OVERLAY_FILE: lambda _: show_fibers(fibers),
    }
    if nuclei is not None and rows is not None:
        pictures[NUCLEI_OVERLAY_FILE] = lambda backdrop: show_nuclei(fibers, nuclei, rows, backdrop)
    if tissue is not None:
        composition = analysis.summary.get("tissue") or {}
        pictures[TISSUE_OVERLAY_FILE] = lambda _: show_tissue(tissue, composition)
    if fascicles is not None and not fascicles.whole_section:
        pictures[FASCICLES_OVERLAY_FILE] = lambda _: show_fascicles(fibers, fascicles)
    table, limits = analysis.fibers, analysis.config.limits_in_force
    if CONDITION_OVERLAY_FILE in names:
        pictures[CONDITION_OVERLAY_FILE] = lambda _: show_conditions(fibers)
    if TYPES_OVERLAY_FILE in names:
        pictures[TYPES_OVERLAY_FILE] = lambda _: show_types(fibers, table)
    if GROUPS_OVERLAY_FILE in names:
        tested = None if analysis.patterns is None else analysis.patterns.grouping.fascicles
        pictures[GROUPS_OVERLAY_FILE] = lambda _: show_groups(
            fibers, table, fascicles=fascicles, tested=tested, limits=limits
        )
    if ATROPHY_OVERLAY_FILE in names:
        pictures[ATROPHY_OVERLAY_FILE] = lambda _: show_atrophy(fibers, table, limits=limits)
    return pictures


@dataclass(frozen=True)
class DrawnOverlay:
    """An overlay as the report and the table of all slides show it."""

    image: Image
    thumbnail: Image


def draw_overlay(
    path: Path,
    backdrop: Future[Backdrop],
    picture: Callable[[Backdrop], Picture],
    title: str,
) -> DrawnOverlay:
    """Draw an overlay and write it as PNG.

    Parameters
    ----------
    path
        Of the file.
    backdrop
        The section, as soon as it is read.
    picture
        What to draw on it.
    title
        What the legend calls the section.
    """
    section = backdrop.result()
    page = write_overlay(path, section, picture(section), title=title)
    height, width = section.pixels.shape[:2]
    return DrawnOverlay(as_jpeg(page), as_jpeg(page[:height, :width], THUMBNAIL_PX))


def write_thumbnail(path: Path, overlay: Future[DrawnOverlay]) -> None:
    """Write a small JPEG of an overlay, as soon as that is drawn."""
    content = overlay.result().thumbnail.content
    with replacing(path) as temporary:
        temporary.write_bytes(content)
