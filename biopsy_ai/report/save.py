"""All results of one section in one folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.formats.class_map import TISSUE_FILE, write_class_map
from biopsy_ai.formats.contours import Polygon, fiber_polygons, to_image_xy
from biopsy_ai.formats.files import output_folder, remove_result
from biopsy_ai.formats.imagej import write_roiset
from biopsy_ai.formats.label_image import LABELS_FILE, write_label_image
from biopsy_ai.formats.qupath import write_geojson
from biopsy_ai.formats.tables import write_csv, write_fibers_csv, write_json
from biopsy_ai.labels import LabelArray
from biopsy_ai.measure.reference import Limits
from biopsy_ai.report.backdrop import read_backdrop
from biopsy_ai.report.background import Background
from biopsy_ai.report.contact_sheet import contact_sheets
from biopsy_ai.report.document import Document, Image
from biopsy_ai.report.document_pdf import write_pdf
from biopsy_ai.report.embedding import read_png
from biopsy_ai.report.finding_parts import Sheet
from biopsy_ai.report.page import write_page
from biopsy_ai.report.pattern_pictures import has_atrophy, has_groups, has_types
from biopsy_ai.report.pictures import Fibers
from biopsy_ai.report.section_document import Pictures, section_document
from biopsy_ai.report.section_overlays import (
    DrawnOverlay,
    draw_overlay,
    overlay_pictures,
    write_thumbnail,
)
from biopsy_ai.report.size_figure import sizes_by_type, write_sizes
from biopsy_ai.result_names import (
    ATROPHY_OVERLAY_FILE,
    CONDITION_OVERLAY_FILE,
    CONTACTS_FILE,
    FASCICLES_FILE,
    FASCICLES_OVERLAY_FILE,
    FIBERS_FILE,
    GEOJSON_FILE,
    GROUPS_OVERLAY_FILE,
    NUCLEI_FILE,
    NUCLEI_OVERLAY_FILE,
    NUCLEUS_LABELS_FILE,
    OVERLAY_FILE,
    QUALITY_FILE,
    REPORT_FILE,
    REPORT_PDF_FILE,
    ROISET_FILE,
    SIGNS_FILE,
    SIZES_FILE,
    SUMMARY_FILE,
    THUMBNAIL_FILE,
    TISSUE_OVERLAY_FILE,
    TYPES_OVERLAY_FILE,
)
from biopsy_ai.tissue_classes import TISSUE_CLASSES

if TYPE_CHECKING:
    from biopsy_ai.analysis import Analysis
    from biopsy_ai.progress import Progress

RESULT_FILES = (
    FIBERS_FILE,
    LABELS_FILE,
    GEOJSON_FILE,
    ROISET_FILE,
    NUCLEI_FILE,
    NUCLEUS_LABELS_FILE,
    TISSUE_FILE,
    FASCICLES_FILE,
    QUALITY_FILE,
    SIGNS_FILE,
    CONTACTS_FILE,
    OVERLAY_FILE,
    NUCLEI_OVERLAY_FILE,
    TISSUE_OVERLAY_FILE,
    FASCICLES_OVERLAY_FILE,
    CONDITION_OVERLAY_FILE,
    TYPES_OVERLAY_FILE,
    GROUPS_OVERLAY_FILE,
    ATROPHY_OVERLAY_FILE,
    SIZES_FILE,
    THUMBNAIL_FILE,
    REPORT_FILE,
    REPORT_PDF_FILE,
    SUMMARY_FILE,
)
"""All results that a section may have."""


def is_complete(folder: str | Path, summary: dict[str, Any]) -> bool:
    """Tell whether all results stand in a folder.

    Parameters
    ----------
    folder
        Folder of one section.
    summary
        Content of its summary.json, whose ``files`` names the results beside it.
    """
    named = summary.get("files")
    if not isinstance(named, list) or not named:
        return False
    return all((Path(folder) / str(name)).is_file() for name in (*named, SUMMARY_FILE))


def result_files(analysis: Analysis) -> tuple[str, ...]:
    """Name the results that a section has, in the order of `RESULT_FILES`."""
    segmentation = analysis.segmentation
    fascicles = analysis.fascicles is not None and not analysis.fascicles.whole_section
    nuclei = analysis.nuclei is not None
    labeled = nuclei and segmentation.nuclei is not None
    tissue = segmentation.tissue is not None
    conditions = "condition" in analysis.fibers and bool(
        (analysis.fibers["condition"].fillna("") != "").any()
    )
    known = {
        NUCLEI_FILE: nuclei,
        NUCLEUS_LABELS_FILE: labeled,
        TISSUE_FILE: tissue,
        FASCICLES_FILE: fascicles,
        QUALITY_FILE: analysis.quality is not None,
        SIGNS_FILE: analysis.signs is not None,
        CONTACTS_FILE: analysis.patterns is not None,
        NUCLEI_OVERLAY_FILE: labeled,
        TISSUE_OVERLAY_FILE: tissue,
        FASCICLES_OVERLAY_FILE: fascicles,
        CONDITION_OVERLAY_FILE: conditions,
        TYPES_OVERLAY_FILE: has_types(analysis.fibers),
        GROUPS_OVERLAY_FILE: has_groups(analysis.fibers),
        ATROPHY_OVERLAY_FILE: has_atrophy(analysis.fibers),
        SIZES_FILE: bool(sizes_by_type(analysis.fibers, _limits_of(analysis))),
    }
    return tuple(name for name in RESULT_FILES if known.get(name, True))


def save_analysis(
    analysis: Analysis,
    folder: str | Path,
    *,
    progress: Progress | None = None,
) -> Path:
    """Write tables, label images, outlines, overlays, report and summary of one section.

    `result_files` and, last, summary.json, whose ``files`` names the others. The summary of an
    earlier run is removed first, so an interrupted run leaves none, and so are results that this
    section does not have. What could not be written is added to the warnings in
    ``analysis.summary``, which is the summary written.

    Parameters
    ----------
    analysis
        What `biopsy_ai.analyze` returned; its slide, if it has one, must still be open.
    folder
        Folder for this section, made if missing. Results of an earlier run are replaced.
    progress
        Called as ``progress("report", done, total)``.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    OutputError
        Something cannot be written, or a person reviewed the results that are there.
    """
    from biopsy_ai.review.results import refuse_review

    refuse_review(folder)
    folder = output_folder(folder)
    names = result_files(analysis)
    remove_result(folder / SUMMARY_FILE)
    for name in set(RESULT_FILES).difference(names):
        remove_result(folder / name)
    segmentation, slide, fibers = analysis.segmentation, analysis.slide, analysis.fibers
    done = 0

    def step(action: Callable[..., object], *arguments: Any, **options: Any) -> None:
        nonlocal done
        if progress is not None:
            progress("report", done, len(names))
        action(*arguments, **options)
        done += 1

    # Compressing and drawing leave the interpreter free for the text files. The summary comes last.
    with Background() as background:
        _submit_images(background, analysis, folder)
        backdrop = background.prepare(read_backdrop, slide, segmentation)
        step(write_fibers_csv, folder / FIBERS_FILE, fibers)
        if analysis.nuclei is not None:
            step(write_csv, folder / NUCLEI_FILE, _with_class_names(analysis.nuclei))
        if analysis.quality is not None:
            step(write_csv, folder / QUALITY_FILE, analysis.quality)
        if analysis.signs is not None:
            step(write_csv, folder / SIGNS_FILE, analysis.signs)
        if analysis.patterns is not None:
            step(write_csv, folder / CONTACTS_FILE, analysis.patterns.contacts.table())
        polygons = dict(
            sorted(
                fiber_polygons(segmentation.labels, segmentation.ids, segmentation.boxes),
                key=itemgetter(0),
            )
        )
        drawn = Fibers(polygons, segmentation.mpp, fibers)
        findings = analysis.summary.get("findings") or ()
        sheets = background.prepare(contact_sheets, findings, drawn, fibers, slide)
        overlays = {
            name: background.write(draw_overlay, folder / name, backdrop, picture, analysis.name)
            for name, picture in overlay_pictures(analysis, drawn, names).items()
        }
        background.write(write_thumbnail, folder / THUMBNAIL_FILE, overlays[OVERLAY_FILE])
        sizes: Future[Image | None] | None = None
        if SIZES_FILE in names:
            sizes = background.write(_draw_sizes, folder / SIZES_FILE, analysis)
        image_mpp = segmentation.mpp if slide is None else slide.mpp
        outlines = _Outlines(polygons, segmentation.mpp, image_mpp)
        step(
            write_geojson,
            folder / GEOJSON_FILE,
            outlines,
            image_id=_image_id(analysis),
            fibers=fibers,
        )
        step(_write_roiset, analysis, folder / ROISET_FILE, outlines)
        # the report tells of warnings, of which the last one may have come just now
        document = background.prepare(_document, analysis, overlays, sizes, sheets)
        background.write(_when_ready, write_page, folder / REPORT_FILE, document)
        background.write(_when_ready, write_pdf, folder / REPORT_PDF_FILE, document)
        for writing in background.writing:
            step(writing.result)
    analysis.summary["files"] = [name for name in names if (folder / name).is_file()]
    step(write_json, folder / SUMMARY_FILE, analysis.summary)
    if progress is not None:
        progress("report", len(names), len(names))
    return folder


def _submit_images(background: Background, analysis: Analysis, folder: Path) -> None:
    """Start writing the label images and the class map."""
    segmentation, fascicles = analysis.segmentation, analysis.fascicles
    nuclei, tissue = segmentation.nuclei, segmentation.tissue

    def start(write: Callable[..., None], name: str, pixels: LabelArray, *more: Any) -> None:
        background.write(write, folder / name, background.guard(pixels), *more)

    start(write_label_image, LABELS_FILE, segmentation.labels, segmentation.mpp)
    if nuclei is not None and analysis.nuclei is not None:
        start(write_label_image, NUCLEUS_LABELS_FILE, nuclei.labels, nuclei.mpp, "nucleus labels")
    if tissue is not None:
        start(write_class_map, TISSUE_FILE, tissue.classes, TISSUE_CLASSES, tissue.mpp)
    if fascicles is not None and not fascicles.whole_section:
        start(write_label_image, FASCICLES_FILE, fascicles.labels, fascicles.mpp, "fascicle labels")


def _limits_of(analysis: Analysis) -> Limits:
    return analysis.config.limits_in_force


def _draw_sizes(path: Path, analysis: Analysis) -> Image | None:
    limits = _limits_of(analysis)
    write_sizes(
        path,
        sizes_by_type(analysis.fibers, limits),
        sex=analysis.config.sex,
        age=analysis.config.age,
        title=analysis.name,
        limits=limits,
    )
    return read_png(path)


def _document(
    analysis: Analysis,
    overlays: Mapping[str, Future[DrawnOverlay]],
    sizes: Future[Image | None] | None,
    sheets: Future[dict[str, Sheet]],
) -> Document:
    pictures = Pictures(
        {name: overlay.result().image for name, overlay in overlays.items()},
        None if sizes is None else sizes.result(),
        sheets.result(),
    )
    return section_document(analysis.summary, pictures)


def _when_ready(
    write: Callable[[Path, Document], None], path: Path, document: Future[Document]
) -> None:
    write(path, document.result())


def _write_roiset(analysis: Analysis, path: Path, outlines: _Outlines) -> None:
    warning = write_roiset(path, outlines)
    if warning is not None and warning not in analysis.summary.get("warnings", []):
        analysis.summary.setdefault("warnings", []).append(warning)


def _with_class_names(nuclei: pd.DataFrame) -> pd.DataFrame:
    """The table of nuclei with names in place of the numbers of tissue classes."""
    return nuclei.assign(tissue_class=nuclei["tissue_class"].map(dict(enumerate(TISSUE_CLASSES))))


class _Outlines:
    """Outlines of fibers in (x, y) pixels of the image, to go through as often as needed."""

    def __init__(
        self,
        polygons: dict[int, Polygon],
        label_mpp: tuple[float, float],
        image_mpp: tuple[float, float],
    ) -> None:
        self._polygons = polygons
        self._mpp = label_mpp, image_mpp

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.float64]]]:
        for label, polygon in self._polygons.items():
            yield label, to_image_xy(polygon, *self._mpp)


def _image_id(analysis: Analysis) -> str:
    """Tell the image from others: by its hash, or that of the outlines, else by its name."""
    provenance = analysis.summary.get("provenance") or {}
    for key in ("image_sha256", "outlines_sha256"):
        if provenance.get(key):
            return str(provenance[key])
    return analysis.name
