"""The report of a block: what its serial sections say together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from biopsy_ai import RESEARCH_USE_ONLY, __version__
from biopsy_ai.errors import BiopsyError
from biopsy_ai.formats.contours import fiber_polygons
from biopsy_ai.formats.label_image import LABELS_FILE, read_label_image
from biopsy_ai.labels import find_boxes
from biopsy_ai.report.block_parts import joining_part, sections_part
from biopsy_ai.report.contact_sheet import contact_sheets
from biopsy_ai.report.document import Document, Figure, Part
from biopsy_ai.report.document_pdf import write_pdf
from biopsy_ai.report.embedding import read_picture, read_png
from biopsy_ai.report.finding_parts import Sheet, fibers_part, findings_part
from biopsy_ai.report.methods import limits_part, methods_part
from biopsy_ai.report.page import write_page
from biopsy_ai.report.pictures import Fibers
from biopsy_ai.report.save import (
    FIBERS_FILE,
    OVERLAY_FILE,
    REPORT_FILE,
    REPORT_PDF_FILE,
    SIZES_FILE,
    SUMMARY_FILE,
    TYPES_OVERLAY_FILE,
)
from biopsy_ai.report.score_parts import evidence_part, interval_name, verdict_part
from biopsy_ai.report.section_document import MAPS, sizes_part
from biopsy_ai.report.specimen_part import moment

if TYPE_CHECKING:
    from biopsy_ai.config import AnalysisConfig


def write_block_report(
    folder: str | Path,
    registration: Mapping[str, Any],
    scored: Mapping[str, Any],
    sections: Mapping[str, Path],
    *,
    slides: Mapping[str, tuple[Path, AnalysisConfig]] | None = None,
) -> tuple[str, ...]:
    """Write report.html and report.pdf of a block of serial sections.

    Parameters
    ----------
    folder
        Of the block.
    registration
        Content of its registration.json.
    scored
        Content of its score.json: ``score`` and ``findings``; empty where there is none.
    sections
        Folders with the results of its sections, by their names in `registration`, in order.
        What cannot be read there is left out.
    slides
        Path and settings of the slide of each section by its name, for pictures of single fibers;
        where one is missing or cannot be opened, these show outlines on white.

    Returns
    -------
    tuple of str
        Names of the files written.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    folder = Path(folder)
    summaries = {name: _summary(path) for name, path in sections.items()}
    score, findings = scored.get("score") or {}, scored.get("findings") or ()
    seen_in = {str(name): str(section) for name, section in (score.get("seen_in") or {}).items()}
    sheets: dict[str, Sheet] = {}
    for name, path in sections.items():
        own = [each for each in findings if seen_in.get(str(each.get("name"))) == name]
        sheets |= _sheets(own, path, None if slides is None else slides.get(name))
    patient, block = (str(registration.get(key) or "") for key in ("patient", "block"))
    measured_in = sections.get(seen_in.get("size_variability", ""))
    sizes = None if measured_in is None else read_png(measured_in / SIZES_FILE)
    parts = (
        sections_part(folder, registration, sections, summaries),
        verdict_part(score),
        evidence_part(score),
        findings_part(findings, interval_name(score), seen_in),
        sizes_part(sizes),
        fibers_part(findings, sheets),
        joining_part(folder, registration),
        _maps(sections),
        methods_part(*summaries.values(), {"score": score}),
        limits_part(score, RESEARCH_USE_ONLY),
    )
    times = [
        str((each.get("provenance") or {}).get("utc_time") or "") for each in summaries.values()
    ]
    document = Document(
        title=", ".join(part for part in (patient, block) if part) or folder.name,
        subtitle="Report of a block of serial sections",
        notice=RESEARCH_USE_ONLY,
        made_by=f"biopsy-ai {registration.get('biopsy_ai_version') or __version__}",
        date=moment(max(times, default="")),
        parts=tuple(part for part in parts if part is not None),
    )
    write_page(folder / REPORT_FILE, document)
    write_pdf(folder / REPORT_PDF_FILE, document)
    return REPORT_FILE, REPORT_PDF_FILE


def _summary(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _sheets(
    findings: list[Mapping[str, Any]], folder: Path, slide: tuple[Path, AnalysisConfig] | None
) -> dict[str, Sheet]:
    """Contact sheets of what was seen in one section; none where its results cannot be read."""
    from biopsy_ai.slides import open_slide

    if not any(finding.get("labels") for finding in findings):
        return {}
    try:
        table = pd.read_csv(folder / FIBERS_FILE, encoding="utf-8")
        labels, mpp = read_label_image(folder / LABELS_FILE)
    except (OSError, ValueError, BiopsyError):
        return {}
    if mpp is None:
        return {}
    for column in ("condition", "excluded"):  # numbers where all cells are empty
        if column in table:
            table[column] = table[column].astype(object).where(table[column].notna(), "")
    ids, boxes = find_boxes(labels)
    fibers = Fibers(dict(fiber_polygons(labels, ids, boxes)), mpp, table)
    if slide is not None:
        path, config = slide
        try:
            with open_slide(path, mpp=config.mpp, channels=config.channels) as opened:
                return contact_sheets(findings, fibers, table, opened)
        except BiopsyError:
            pass
    return contact_sheets(findings, fibers, table, None)


def _maps(sections: Mapping[str, Path]) -> Part | None:
    """The map of each section that says most: of its types, else of its fibers."""
    parts = []
    for name, folder in sections.items():
        for file in (TYPES_OVERLAY_FILE, OVERLAY_FILE):
            image = read_picture(folder / file)
            if image is not None:
                title, shows = MAPS[file]
                alt = f"Map of the section {name}: {shows}."
                figure = Figure(image, f"{folder.name}/{file}: {shows}.", alt)
                parts.append(Part(f"{name}: {title.lower()}", (figure,)))
                break
    return Part("Maps", (), tuple(parts)) if parts else None
