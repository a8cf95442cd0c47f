"""The report of a run: one row per slide, with scores and links to the reports."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from biopsy_ai import RESEARCH_USE_ONLY, __version__
from biopsy_ai.report.document import Image
from biopsy_ai.report.embedding import THUMBNAIL_PX, read_picture
from biopsy_ai.report.page import write_template
from biopsy_ai.report.score_parts import interval_name
from biopsy_ai.report.specimen_part import stain_name
from biopsy_ai.report.wording import MISSING, first_upper, fixed, interval, is_number, number

COHORT_PAGE = "cohort.html"

COHORT_TEMPLATE = "cohort.html.jinja"

SHOWN_GRADES = ("severe", "moderate", "mild")
"""Grades of the findings that a row names, from the strongest."""


@dataclass(frozen=True)
class Entry:
    """A slide or a block in the table of a run.

    Attributes
    ----------
    name
        What the table calls it.
    status
        What became of it.
    folder
        Folder with its results; None where there is none.
    reason
        Why it failed or was not analyzed.
    kind
        Whether it is one section, or a block of several.
    """

    name: str
    status: str
    folder: Path | None
    reason: str = ""
    kind: str = "section"


@dataclass(frozen=True)
class Score:
    """A score as a row shows it, and the number to sort by."""

    text: str
    detail: str
    value: float | None


@dataclass(frozen=True)
class PageRow:
    """A row of the table.

    Attributes
    ----------
    entry
        What it is about.
    link
        Relative address of its report; empty where there is none.
    thumbnail
        Small picture; None where there is none.
    about
        Patient, block, muscle and stain, where known.
    verdict, verdict_name
        In words, and as the summary has it.
    denervation, myopathy
        The two scores.
    n_fibers
        Fibers measured; None where nothing was.
    findings
        Grades from the strongest, each with the titles of the findings that have it.
    n_findings
        How many these are.
    flags
        What to keep in mind.
    interval
        What the intervals of the scores are called.
    """

    entry: Entry
    link: str
    thumbnail: Image | None
    about: str
    verdict: str
    denervation: Score
    myopathy: Score
    n_fibers: int | None
    findings: tuple[tuple[str, str], ...]
    n_findings: int
    flags: tuple[str, ...]
    interval: str


def write_cohort_page(
    path: str | Path, entries: Iterable[Entry], *, title: str = "All slides of a run"
) -> None:
    """Write the table of a run as one HTML file that needs nothing else.

    Parameters
    ----------
    path
        File to write or replace. Links start from its folder.
    entries
        Slides and blocks, in the order in which they are shown before a reader sorts them.
    title
        Heading of the page.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    folder = Path(path).parent
    rows = [_row(entry, folder) for entry in entries]
    write_template(
        path,
        COHORT_TEMPLATE,
        title=title,
        notice=RESEARCH_USE_ONLY,
        made_by=f"biopsy-ai {__version__}",
        rows=rows,
        intervals=" or ".join(sorted({row.interval for row in rows if row.interval})),
        n_failed=sum(row.entry.status == "failed" for row in rows),
    )


def report_link(folder: Path, start: Path, name: str) -> str:
    """Relative address of a file in a folder of results, as a link has it."""
    try:
        parts = folder.resolve().relative_to(start.resolve()).parts
    except ValueError:
        return ""
    return "/".join(quote(part, safe="") for part in (*parts, name))


def _row(entry: Entry, start: Path) -> PageRow:
    summary = _read(entry.folder)
    score = summary.get("score") or {}
    findings = _findings(summary.get("findings") or ())
    folder = entry.folder
    link = ""
    if folder is not None and (folder / "report.html").is_file():
        link = report_link(folder, start, "report.html")
    return PageRow(
        entry=entry,
        link=link,
        thumbnail=None if folder is None else _thumbnail(folder),
        about=_about(summary),
        verdict=str(score.get("verdict_text") or ""),
        denervation=_score(score.get("denervation")),
        myopathy=_score(score.get("myopathy")),
        n_fibers=_n_fibers(summary),
        findings=tuple((grade, ", ".join(titles)) for grade, titles in findings.items()),
        n_findings=sum(len(titles) for titles in findings.values()),
        flags=_flags(summary, score),
        interval=interval_name(score) if score else "",
    )


def _read(folder: Path | None) -> dict[str, Any]:
    """What a folder of a section, or of a block, says of itself; empty where it says nothing."""
    found: dict[str, Any] = {}
    for name in () if folder is None else ("registration.json", "score.json", "summary.json"):
        assert folder is not None
        try:
            content = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict):
            found.update(content)
    return found


def _thumbnail(folder: Path) -> Image | None:
    # a block has none of its own, but pictures of how its sections were joined
    names = [
        "thumbnail.jpg",
        "overlay.png",
        *sorted(p.name for p in folder.glob("registration_*.png")),
    ]
    for name in names:
        found = read_picture(folder / name, THUMBNAIL_PX)
        if found is not None:
            return found
    return None


def _about(summary: Mapping[str, Any]) -> str:
    codes = summary.get("specimen") or summary
    settings = (summary.get("provenance") or {}).get("configuration") or {}
    stain = (summary.get("image") or {}).get("stain")
    parts = [codes.get("patient"), codes.get("block"), settings.get("muscle"), settings.get("side")]
    if stain not in (None, "auto", "unknown"):
        parts.append(stain_name(stain))
    return ", ".join(str(part) for part in parts if part)


def _n_fibers(summary: Mapping[str, Any]) -> int | None:
    fibers = summary.get("fibers") or {}
    n = fibers.get("n_measured", summary.get("n_fibers"))
    return int(n) if is_number(n) else None


def _score(found: Mapping[str, Any] | None) -> Score:
    value = (found or {}).get("value")
    if not is_number(value):
        return Score(MISSING, "", None)
    assert found is not None
    ends = interval(found.get("low"), found.get("high"), decimals=1)
    return Score(fixed(value, 2), ends, value)


def _findings(findings: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Titles of the findings that are there, by grade from the strongest."""
    by_grade = {
        grade: [
            str(finding.get("title") or finding.get("name"))
            for finding in findings
            if finding.get("grade") == grade
        ]
        for grade in SHOWN_GRADES
    }
    return {grade: titles for grade, titles in by_grade.items() if titles}


def _flags(summary: Mapping[str, Any], score: Mapping[str, Any]) -> tuple[str, ...]:
    flags = [str(note["text"]) for note in score.get("notes") or [] if note.get("text")]
    n = len(summary.get("warnings") or [])
    if n:
        flags.append(f"{number(n)} {'warnings' if n > 1 else 'warning'} in the report.")
    return tuple(first_upper(flag) for flag in flags)
