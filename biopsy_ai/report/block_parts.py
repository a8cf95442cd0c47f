"""What the report of a block says of its sections, and of how they were laid on each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biopsy_ai.report.cohort_page import report_link
from biopsy_ai.report.document import Block, Cell, Column, Facts, Figure, Part, Row, Table, Text
from biopsy_ai.report.embedding import read_picture
from biopsy_ai.report.score_parts import score_text
from biopsy_ai.report.specimen_part import UNKNOWN, stain_name
from biopsy_ai.report.wording import MISSING, first_upper, is_number, number, percent, sentence


def sections_part(
    folder: Path,
    registration: Mapping[str, Any],
    sections: Mapping[str, Path],
    summaries: Mapping[str, Mapping[str, Any]],
) -> Part:
    """Tell what the block is and which sections it has, with links to their reports.

    Parameters
    ----------
    folder
        Of the block, where links start.
    registration
        Content of registration.json.
    sections, summaries
        Folder of the results of each section, and content of its summary.json, by its name.
    """
    settings = [
        (summary.get("provenance") or {}).get("configuration") or {}
        for summary in summaries.values()
    ]
    pairs = [
        ("Patient code", str(registration.get("patient") or UNKNOWN)),
        ("Block code", str(registration.get("block") or UNKNOWN)),
    ]
    for name in ("muscle", "side", "age", "sex"):
        known = dict.fromkeys(str(each[name]) for each in settings if each.get(name) is not None)
        pairs.append((first_upper(name), ", ".join(known) or UNKNOWN))
    columns = (
        Column("Section", 2.2),
        Column("Stain", 1.4),
        Column("Fibers", 0.8, numeric=True),
        Column("Joined", 0.8),
        Column("Denervation alone", 1.6, numeric=True),
        Column("Myopathy alone", 1.6, numeric=True),
    )
    rows = [
        _section(folder, section, sections, summaries)
        for section in registration.get("sections") or ()
    ]
    blocks: list[Block] = [Facts(tuple(pairs))]
    if rows:
        blocks.append(Table("Sections of the block", columns, tuple(rows)))
        blocks.append(
            Text(
                "Measurements, adequacy and all maps of a section stand in its own report. Each "
                "finding of the block is taken from the section that shows it best.",
                "note",
            )
        )
    return Part("Specimen", tuple(blocks))


def joining_part(folder: Path, registration: Mapping[str, Any]) -> Part | None:
    """How the sections were laid on each other; None where there are no pairs."""
    pairs = registration.get("pairs") or ()
    if not pairs:
        return None
    columns = (
        Column("Sections", 2.6),
        Column("Fit", 0.6),
        Column("Fibers matched", 1.2, numeric=True),
        Column("Share of common fibers", 1.2, numeric=True),
        Column("Median overlap", 1.0, numeric=True),
        Column("Remark", 2.4),
    )
    blocks: list[Block] = [
        Table("Which sections fit on each other", columns, tuple(map(_pair, pairs)))
    ]
    types = registration.get("types") or {}
    if is_number(types.get("n_contradict")):
        blocks.append(
            Text(
                f"Of {number(registration.get('n_fibers'))} fibers of the block the sections agree "
                f"on the type of {number(types.get('n_agree'))}, and contradict each other on "
                f"{number(types['n_contradict'])}."
            )
        )
    for path in sorted(folder.glob("registration_*.png")):
        image = read_picture(path)
        if image is not None:
            shows = "two sections in alternating squares with the outlines of both"
            blocks.append(Figure(image, f"{path.name}: {shows}.", f"Picture of {shows}."))
    return Part("How the sections were joined", tuple(blocks))


def _section(
    folder: Path,
    section: Mapping[str, Any],
    sections: Mapping[str, Path],
    summaries: Mapping[str, Mapping[str, Any]],
) -> Row:
    name = str(section.get("name") or "")
    home = sections.get(name)
    link = ""
    if home is not None and (home / "report.html").is_file():
        link = report_link(home, folder.parent, "report.html")
        link = f"../{link}" if link else ""
    score = (summaries.get(name) or {}).get("score") or {}
    cells = (
        Cell(name, str(score.get("verdict_text") or ""), link),
        Cell(first_upper(stain_name(section.get("stain"))) or MISSING),
        Cell(number(section.get("n_fibers"))),
        Cell("yes" if section.get("joined") else "no"),
        Cell(score_text(score.get("denervation"))),
        Cell(score_text(score.get("myopathy"))),
    )
    return Row(cells)


def _pair(pair: Mapping[str, Any]) -> Row:
    cells = (
        Cell(f"{pair.get('moving')} on {pair.get('fixed')}"),
        Cell("yes" if pair.get("fits") else "no"),
        Cell(number(pair.get("n_matched"))),
        Cell(percent(pair.get("matched_share"))),
        Cell(number(pair.get("median_iou"))),
        Cell(sentence(pair.get("why_not"))),
    )
    return Row(cells)
