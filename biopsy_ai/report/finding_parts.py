"""The findings of a report: grades, references, and the fibers behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from biopsy_ai.report.document import (
    Block,
    Cell,
    Column,
    Figure,
    Image,
    Part,
    Row,
    Table,
    Text,
)
from biopsy_ai.report.wording import (
    MARKS,
    MISSING,
    first_upper,
    interval,
    is_number,
    number,
    sentence,
    source_of,
    with_unit,
)

NOT_ASSESSABLE = "not assessable"

NO_FINDINGS = "These results hold no graded findings: they were made without a score."


@dataclass(frozen=True)
class Sheet:
    """A contact sheet: pictures of the fibers that show a finding.

    Attributes
    ----------
    image
        All of them in one picture.
    labels
        Of the fibers, in order.
    order
        Which come first, such as ``"the most angular"``; empty where the order says nothing.
    bar_um
        Length of the bar in the first picture, µm; None where there is none.
    width
        Share of the width of the page.
    """

    image: Image
    labels: tuple[int, ...]
    order: str = ""
    bar_um: float | None = None
    width: float = 1.0


def findings_part(
    findings: Sequence[Mapping[str, Any]] | None,
    level: str = "interval",
    seen_in: Mapping[str, str] | None = None,
) -> Part:
    """A table of all findings, those that can be assessed before those that cannot.

    Parameters
    ----------
    findings
        Under ``findings`` in the summary; None or empty gives a sentence that there are none.
    level
        What their intervals are called.
    seen_in
        Name of the section that each finding was seen in, where there are several.
    """
    if not findings:
        return Part("Findings", (Text(NO_FINDINGS),))
    assessed = [each for each in findings if each.get("grade") != NOT_ASSESSABLE]
    others = [each for each in findings if each.get("grade") == NOT_ASSESSABLE]
    blocks: list[Block] = []
    if assessed:
        columns: tuple[Column, ...] = (
            Column("Finding", 3.4),
            Column("Grade", 1.0),
            Column(f"Value and {level}", 1.7),
            Column("Counted", 1.1),
            Column("Reference and its source", 2.8),
        )
        rows = tuple(_assessed(each, seen_in or {}) for each in assessed)
        blocks.append(Table("Findings with their grades", columns, rows))
    if others:
        columns = (Column("Finding", 1.0), Column("Why it has no grade", 2.2))
        rows = tuple(Row((_name(each), Cell(_why_not(each)))) for each in others)
        blocks.append(Table("Findings without a grade", columns, rows))
    blocks.append(marks_text())
    return Part("Findings", tuple(blocks))


def marks_text() -> Text:
    """What the marks behind sources mean."""
    known = "; ".join(f"[{mark}] {meaning}" for mark, meaning in MARKS.items())
    return Text(f"Marks say how far a number can be trusted: {known}.", "note")


def fibers_part(
    findings: Sequence[Mapping[str, Any]] | None, sheets: Mapping[str, Sheet]
) -> Part | None:
    """The fibers behind each finding.

    Parameters
    ----------
    findings
        Under ``findings`` in the summary.
    sheets
        Contact sheet of each finding that has one, by its name.

    Returns
    -------
    Part or None
        None where no finding has a contact sheet.
    """
    parts = []
    for finding in findings or ():
        sheet = sheets.get(str(finding.get("name")))
        if sheet is None:
            continue
        title = _title(finding)
        labels = ", ".join(str(label) for label in sheet.labels)
        of = len(finding.get("labels") or ())
        shown = (
            f"{len(sheet.labels)} of {of:,} fibers" if of > len(sheet.labels) else f"{of:,} fibers"
        )
        order = f", {sheet.order} first" if sheet.order and of > 1 else ""
        bar = "" if sheet.bar_um is None else f" The bar is {number(sheet.bar_um)} µm."
        caption = f"{shown}{order}; the numbers are the labels in fibers.csv: {labels}.{bar}"
        alt = f"Pictures of {len(sheet.labels)} fibers that show: {title}. Labels {labels}."
        figure = Figure(sheet.image, caption, alt, sheet.width)
        parts.append(Part(title, (Text(sentence(finding.get("sentence"))), figure)))
    if not parts:
        return None
    lead = Text(
        "Each picture shows one fiber in the middle, outlined in orange; other fibers that show "
        "the same are outlined in black. All pictures of one finding have the same scale."
    )
    return Part("The fibers behind the findings", (lead,), tuple(parts))


def _title(finding: Mapping[str, Any]) -> str:
    return str(finding.get("title") or finding.get("name") or "")


def _name(finding: Mapping[str, Any]) -> Cell:
    hpo = str(finding.get("hpo") or "")
    return Cell(_title(finding), hpo)


def _why_not(finding: Mapping[str, Any]) -> str:
    if finding.get("why_not"):
        return sentence(finding["why_not"])
    return f"{sentence(finding.get('sentence'))} There is nothing to grade it by.".strip()


def _assessed(finding: Mapping[str, Any], seen_in: Mapping[str, str]) -> Row:
    name = _name(finding)
    said = sentence(finding.get("sentence"))
    section = str(seen_in.get(str(finding.get("name"))) or "")
    beside = "; ".join(part for part in (name.detail, section and f"seen in {section}") if part)
    detail = f"{said} ({beside})" if said and beside else said or beside
    n, counted = finding.get("n"), str(finding.get("counted") or "")
    return Row(
        (
            Cell(name.text, detail),
            Cell(first_upper(str(finding.get("grade") or MISSING))),
            _value(finding),
            Cell(f"{number(n)} {counted}".strip() if is_number(n) else MISSING),
            _reference(finding.get("reference")),
        )
    )


def _value(finding: Mapping[str, Any]) -> Cell:
    value, unit = number(finding.get("value")), str(finding.get("unit") or "")
    if unit.startswith("%"):
        value, unit = with_unit(value, "%"), unit[1:].strip()
    low, high = finding.get("low"), finding.get("high")
    # one number has no scatter
    ends = interval(low, high) if low != high else ""
    return Cell(value, "; ".join(part for part in (unit, ends) if part))


def _reference(reference: Mapping[str, Any] | None) -> Cell:
    if not reference:
        return Cell(MISSING)
    text = str(reference.get("text") or "")
    if not text:
        text = interval(reference.get("low"), reference.get("high"))
    return Cell(first_upper(text) or MISSING, source_of(reference))
