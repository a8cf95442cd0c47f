from __future__ import annotations

import random
from typing import Any

import pytest
from drawn_scores import no_score, row_of, score_of

from biopsy_ai.report.document import Bar, Bullets, Part, Row, Table, Text
from biopsy_ai.report.score_parts import evidence_part, score_text, verdict_part


def table_of(part: Part | None) -> Table:
    assert part is not None
    (table,) = (block for block in part.blocks if isinstance(block, Table))
    return table


def texts(row: Row) -> list[str]:
    return [cell.text for cell in row.cells]


def in_hundredths(text: str) -> int:
    return round(100 * float(text.replace("−", "-")))


def assert_adds_up(score: dict[str, Any]) -> None:
    table = table_of(evidence_part(score))
    end = next(i for i, row in enumerate(table.rows) if row.tone == "strong")
    bars = [block.text for block in verdict_part(score).blocks if isinstance(block, Bar)]
    for column in (1, 2):
        shown = [in_hundredths(texts(row)[column]) for row in table.rows[:end]]
        total = texts(table.rows[end])[column]
        assert sum(shown) == in_hundredths(total)
        assert bars[column - 1].startswith(f"{total} of 100")


def test_the_contributions_add_up_to_the_scores_as_shown() -> None:
    assert_adds_up(score_of())
    rng = random.Random(0)
    for _ in range(200):
        rows = [row_of(f"f{i}", rng.gauss(0, 6), rng.gauss(0, 6)) for i in range(rng.randrange(9))]
        assert_adds_up(score_of(*rows, row_of("g", 0.0, 0.0, counted=False)))


def test_a_baseline_of_many_decimals_adds_up_as_well() -> None:
    score = score_of(baseline={"denervation": 66.6139, "myopathy": 50.0})
    score["denervation"]["value"] += 16.6139
    assert_adds_up(score)


def test_what_belongs_to_no_finding_has_a_row_of_its_own() -> None:
    score = score_of()
    score["denervation"]["value"] += 1.5
    assert_adds_up(score)
    rows = table_of(evidence_part(score)).rows
    (rest,) = (texts(row) for row in rows if row.cells[0].text.startswith("Not attributed"))
    assert rest[1:3] == ["+1.50", "0.00"]


def test_what_did_not_count_is_muted_with_its_reason() -> None:
    last = table_of(evidence_part(score_of())).rows[-1]
    assert last.tone == "muted"
    assert texts(last)[1:] == ["–", "–", "Did not count. Not assessable: no types."]


def test_signs_tell_for_from_against() -> None:
    rows = {texts(row)[0]: texts(row) for row in table_of(evidence_part(score_of())).rows}
    assert rows["Small angular fibers"][1].startswith("+")
    assert rows["Small angular fibers"][2].startswith("−")
    assert rows["Small angular fibers"][3] == "Limited to the most that this finding may count."
    assert rows["Before any evidence"][1] == "50.00"


def test_a_block_tells_where_a_finding_was_seen() -> None:
    score = score_of(seen_in={"grouped_atrophy": "section <2>"})
    rows = {texts(row)[0]: texts(row) for row in table_of(evidence_part(score)).rows}
    assert rows["Grouped atrophy"][3] == "Seen in section <2>."


def test_the_verdict_stands_first_in_words() -> None:
    part = verdict_part(score_of())
    assert part.blocks[0] == Text("Favours denervation.", "lead")
    bars = [block for block in part.blocks if isinstance(block, Bar)]
    assert [bar.title for bar in bars] == [
        "Denervation",
        "Myopathy",
        "Denervation against myopathy",
    ]
    assert "90 % interval 69.0 to 90.0" in bars[0].text
    assert Text("Selective type II atrophy: not assessable.") in part.blocks
    assert part.parts == (Part("What to keep in mind", (Bullets(("The age is not given.",)),)),)


def test_too_little_tissue_has_no_numbers() -> None:
    score = no_score()
    bars = [block for block in verdict_part(score).blocks if isinstance(block, Bar)]
    assert [bar.value for bar in bars] == [None, None]
    rows = table_of(evidence_part(score)).rows
    assert {cell for row in rows for cell in texts(row)[1:3]} == {"–"}
    assert score_text(score["denervation"]) == "–"


@pytest.mark.parametrize("score", [None, {}])
def test_results_without_a_score_say_so(score: Any) -> None:
    (text,) = verdict_part(score).blocks
    assert isinstance(text, Text)
    assert "no score" in text.text
    assert evidence_part(score) is None
