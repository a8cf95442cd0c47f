from __future__ import annotations

from drawn_scores import finding_of

from biopsy_ai.report.document import Figure, Image, Table, Text
from biopsy_ai.report.finding_parts import Sheet, fibers_part, findings_part

IMAGE = Image(b"jpeg", 300, 200)


def test_findings_have_grade_value_interval_number_and_source() -> None:
    part = findings_part(
        [finding_of("small_angular_fibers", "severe", hpo="HP:1")], "90 % interval"
    )
    table = part.blocks[0]
    assert isinstance(table, Table)
    name, grade, value, counted, reference = table.rows[0].cells
    assert name.text == "Small angular fibers"
    assert name.detail == "7.4 % of 312 fibers show small_angular_fibers. (HP:1)"
    assert grade.text == "Severe"
    assert (value.text, value.detail) == ("7.40 %", "of fibers; 5.10 to 9.90")
    assert counted.text == "312 fibers"
    assert (reference.text, reference.detail) == ("Below 2 %", "no published limit [E]")
    assert table.columns[2].title == "Value and 90 % interval"


def test_one_number_has_no_interval() -> None:
    part = findings_part([finding_of("fat", low=7.4, high=7.4, unit="")])
    table = part.blocks[0]
    assert isinstance(table, Table)
    assert table.rows[0].cells[2].detail == ""


def test_findings_without_a_grade_stand_apart_with_the_reason() -> None:
    found = [
        finding_of("target_fibers", "not assessable"),
        finding_of("hypertrophy", "absent"),
        finding_of("type_predominance", "not assessable", why_not="", value=48.0),
    ]
    graded, others = (block for block in findings_part(found).blocks if isinstance(block, Table))
    assert [row.cells[0].text for row in graded.rows] == ["Hypertrophy"]
    assert [row.cells[1].text for row in others.rows] == [
        "This stain shows none.",
        "7.4 % of 312 fibers show type_predominance. There is nothing to grade it by.",
    ]


def test_results_without_findings_say_so() -> None:
    for nothing in (None, []):
        (text,) = findings_part(nothing).blocks
        assert isinstance(text, Text)
        assert "no graded findings" in text.text


def test_a_contact_sheet_names_its_labels_scale_and_order() -> None:
    found = [finding_of("small_angular_fibers", labels=list(range(20))), finding_of("fat")]
    sheet = Sheet(IMAGE, (7, 4), "the most angular", 20.0)
    part = fibers_part(found, {"small_angular_fibers": sheet})
    assert part is not None
    (inner,) = part.parts
    figure = inner.blocks[1]
    assert isinstance(figure, Figure)
    assert figure.caption == (
        "2 of 20 fibers, the most angular first; the numbers are the labels in fibers.csv: 7, 4. "
        "The bar is 20 µm."
    )
    assert "7, 4" in figure.alt
    assert fibers_part(found, {}) is None
