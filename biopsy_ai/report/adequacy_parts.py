"""Whether a section is enough for what is said of it, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from biopsy_ai.report.document import Block, Bullets, Cell, Column, Part, Row, Table, Text
from biopsy_ai.report.wording import first_upper, is_number, number, percent, sentence, source_of


def adequacy_part(summary: Mapping[str, Any]) -> Part | None:
    """What there is enough of, what was left out and why, and warnings.

    Returns
    -------
    Part or None
        None where the summary says nothing of these.
    """
    adequacy = summary.get("adequacy") or {}
    blocks: list[Block] = []
    rows = [_statistic(found) for found in (adequacy.get("statistics") or {}).values()]
    if rows:
        columns = (
            Column("For what", 2.6),
            Column("There are", 1.6),
            Column("At least", 0.8, numeric=True),
            Column("Better", 0.8, numeric=True),
            Column("Enough", 1.0),
            Column("Source of the least number", 3.0),
        )
        blocks.append(Table("Whether there is enough for each statistic", columns, tuple(rows)))
    blocks += _exclusions(summary)
    warnings = [sentence(text) for text in summary.get("warnings") or []]
    if warnings:
        blocks += [Text("Warnings:"), Bullets(tuple(warnings))]
    return Part("Adequacy and exclusions", tuple(blocks)) if blocks else None


def _statistic(found: Mapping[str, Any]) -> Row:
    minimum, better = found.get("minimum") or {}, found.get("recommended") or {}
    enough = bool(found.get("enough"))
    n = found.get("n")
    few = enough and is_number(better.get("value")) and is_number(n) and n < better["value"]
    verdict = "yes, but few" if few else "yes" if enough else "no"
    cells = (
        Cell(first_upper(str(found.get("title") or ""))),
        Cell(f"{number(n)} {found.get('counted') or ''}".strip()),
        Cell(number(minimum.get("value"))),
        Cell(number(better.get("value")) if better else ""),
        Cell(verdict),
        Cell(source_of(minimum)),
    )
    return Row(cells)


def _exclusions(summary: Mapping[str, Any]) -> list[Block]:
    blocks: list[Block] = []
    left_out = (summary.get("adequacy") or {}).get("exclusions") or {}
    total = left_out.get("excluded") or {}
    if is_number(total.get("n")) and total.get("of"):
        text = (
            f"{number(total['n'])} of {number(total['of'])} fibers "
            f"({percent(total.get('share'))}) were left out of the statistics."
        )
        blocks.append(Text(text))
        reasons = [
            f"{first_upper(reason)}: {number(found.get('n'))} fibers "
            f"({percent(found.get('share'))})."
            for reason, found in (left_out.get("by_reason") or {}).items()
        ]
        if reasons:
            blocks.append(Bullets(tuple(reasons)))
    quality = summary.get("quality") or {}
    if is_number(quality.get("excluded_percent")):
        reasons = [
            f"{reason} {number(found)} %"
            for reason, found in (quality.get("excluded") or {}).items()
        ]
        listed = f": {', '.join(reasons)}" if reasons else ""
        text = (
            f"{number(quality['excluded_percent'])} % of the tissue is not to be trusted{listed}."
        )
        blocks.append(Text(text))
    return blocks
