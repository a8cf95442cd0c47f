"""The verdict of a report, its two scores, and the evidence that adds up to them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from biopsy_ai.report.document import (
    Bar,
    Block,
    Bullets,
    Cell,
    Column,
    Part,
    Row,
    Table,
    Text,
    Tone,
)
from biopsy_ai.report.points import DECIMALS, round_to_sum
from biopsy_ai.report.wording import (
    MISSING,
    first_upper,
    fixed,
    interval,
    is_number,
    number,
    sentence,
    setting,
)

CHANGES = ("denervation", "myopathy")
"""The two scores."""

NO_SCORE = "These results hold no score: they were made without one, so none is shown."


def verdict_part(score: Mapping[str, Any] | None) -> Part:
    """The verdict in words with the two scores, the axis, the tag and the traps.

    Parameters
    ----------
    score
        Under ``score`` in the summary; None or empty gives a sentence that there is none.
    """
    title = "Verdict and scores"
    if not score:
        return Part(title, (Text(NO_SCORE),))
    blocks: list[Block] = [
        Text(sentence(score.get("verdict_text")), "lead"),
        Text(sentence(score.get("sentence"))),
        *(_bar(name, score) for name in CHANGES),
    ]
    axis = score.get("axis")
    if axis:
        blocks.append(_axis(axis, interval_name(score)))
    blocks.append(Text(sentence((score.get("type2_atrophy") or {}).get("text"))))
    notes = [sentence(note.get("text")) for note in score.get("notes") or [] if note.get("text")]
    parts = (Part("What to keep in mind", (Bullets(tuple(notes)),)),) if notes else ()
    return Part(title, tuple(block for block in blocks if block != Text("")), parts)


def evidence_part(score: Mapping[str, Any] | None) -> Part | None:
    """What speaks for and against each change, in points that add up to its score.

    Parameters
    ----------
    score
        Under ``score`` in the summary.

    Returns
    -------
    Part or None
        None where there is no evidence to show.
    """
    if not score or not score.get("evidence"):
        return None
    rows = list(score["evidence"])
    counted = [row for row in rows if row.get("counted")]
    sums = [_sum(score, counted, name) for name in CHANGES]
    table = [_row("Before any evidence", [fixed(each.baseline, DECIMALS) for each in sums])]
    for i, row in enumerate(counted):
        seen_in = str((score.get("seen_in") or {}).get(row.get("finding")) or "")
        table.append(_evidence_row(row, [each.points[i] for each in sums], seen_in))
    if any(each.rest for each in sums):
        rest = [fixed(each.rest, DECIMALS, signed=True) for each in sums]
        table.append(_row("Not attributed to a finding", rest))
    totals = [fixed(each.total, DECIMALS) for each in sums]
    table.append(_row("Score", totals, "The sum of the above.", "strong"))
    table += [_muted_row(row) for row in rows if not row.get("counted")]
    return Part(
        "Evidence for and against",
        (
            Text(
                "Points with a plus speak for a change, points with a minus against it. What "
                "counted adds up to the score. What did not count stands below, with the reason."
            ),
            Table(
                "What each finding adds to the two scores",
                (
                    Column("Finding", 3.2),
                    Column("Denervation, points", 1.3, numeric=True),
                    Column("Myopathy, points", 1.3, numeric=True),
                    Column("Remark", 3.2),
                ),
                tuple(table),
            ),
            *_method(score),
        ),
    )


def score_text(value: Mapping[str, Any] | None) -> str:
    """A score with its interval, such as ``87.12 (61.3 to 95.0)``; a dash where there is none."""
    if not value or not is_number(value.get("value")):
        return MISSING
    ends = interval(value.get("low"), value.get("high"), decimals=1)
    return fixed(value["value"], DECIMALS) + (f" ({ends})" if ends else "")


def interval_name(score: Mapping[str, Any] | None) -> str:
    """What intervals are called, such as ``90 % interval``."""
    level = ((score or {}).get("interval") or {}).get("level")
    return f"{number(100 * level)} % interval" if is_number(level) else "interval"


def _bar(name: str, score: Mapping[str, Any]) -> Bar:
    title, found = first_upper(name), score.get(name) or {}
    value, low, high = (found.get(key) for key in ("value", "low", "high"))
    if not is_number(value):
        return Bar(title, None, None, None, "no score")
    ends = interval(low, high, decimals=1)
    text = f"{fixed(value, DECIMALS)} of 100" + (f", {interval_name(score)} {ends}" if ends else "")
    return Bar(title, value, low, high, text)


def _axis(axis: Mapping[str, Any], level: str) -> Bar:
    value, low, high = (axis.get(key) for key in ("value", "low", "high"))
    ends = interval(low, high, decimals=1)
    text = f"{fixed(value, 1)}" + (f", {level} {ends}" if ends else "")
    title = "Denervation against myopathy"
    return Bar(title, value, low, high, text, ("0 myopathy", "100 denervation"))


@dataclass(frozen=True)
class _Sum:
    """What adds up to one score, as it is shown; all None where there is no score."""

    baseline: float | None
    points: list[float | None]
    rest: float | None
    total: float | None


def _sum(score: Mapping[str, Any], counted: list[Mapping[str, Any]], name: str) -> _Sum:
    total = (score.get(name) or {}).get("value")
    if not is_number(total):
        return _Sum(None, [None] * len(counted), None, None)
    baseline = float((score.get("baseline") or {}).get(name) or 0.0)
    points = [float(row.get(name) or 0.0) for row in counted]
    rest = total - math.fsum([baseline, *points])
    if abs(rest) <= 0.5 * 10.0**-DECIMALS:
        shown = [*round_to_sum([baseline, *points], total), 0.0]
    else:
        shown = round_to_sum([baseline, *points, rest], total)
    return _Sum(shown[0], list(shown[1:-1]), shown[-1], math.fsum(shown))


def _row(title: str, points: list[str], remark: str = "", tone: Tone = "plain") -> Row:
    return Row((Cell(title), *map(Cell, points), Cell(remark)), tone)


def _evidence_row(row: Mapping[str, Any], points: list[float | None], seen_in: str) -> Row:
    remarks = ["limited to the most that this finding may count"] if row.get("capped") else []
    if row.get("reason"):
        remarks.append(str(row["reason"]))
    if seen_in:
        remarks.append(f"seen in {seen_in}")
    shown = (Cell(fixed(point, DECIMALS, signed=True)) for point in points)
    return Row((_name(row), *shown, Cell(sentence("; ".join(remarks)))))


def _muted_row(row: Mapping[str, Any]) -> Row:
    reason = sentence(row.get("reason")) or "No reason is given."
    return Row(
        (_name(row), Cell(MISSING), Cell(MISSING), Cell(f"Did not count. {reason}")), "muted"
    )


def _name(row: Mapping[str, Any]) -> Cell:
    title, family = str(row.get("title") or ""), str(row.get("family_title") or "")
    return Cell(title or family, "" if family == title else family)


def _method(score: Mapping[str, Any]) -> list[Block]:
    lines = []
    method = (score.get("interval") or {}).get("method")
    if method:
        n = (score.get("interval") or {}).get("n_replicates")
        times = f" ({number(n)} replicates)" if is_number(n) else ""
        lines.append(f"The {interval_name(score)} comes from {str(method).rstrip('.')}{times}.")
    if is_number(score.get("tempering")):
        lines.append(
            f"Evidence is tempered by {setting(score['tempering'])}, as families repeat each other."
        )
    file = score.get("evidence_file") or {}
    if file.get("name"):
        digest = f", SHA-256 {file['sha256']}" if file.get("sha256") else ""
        lines.append(f"The weights stand in {file['name']}{digest}.")
    return [Text(" ".join(lines), "note")] if lines else []
