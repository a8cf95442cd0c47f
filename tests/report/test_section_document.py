from __future__ import annotations

from typing import Any

import pytest
from drawn_scores import summary_of

from biopsy_ai.report.document import (
    Bar,
    Bullets,
    Document,
    Facts,
    Figure,
    Image,
    Part,
    Table,
    Text,
)
from biopsy_ai.report.section_document import MAPS, Pictures, section_document

IMAGE = Image(b"jpeg", 300, 200)

TITLES = [
    "Specimen",
    "Verdict and scores",
    "Evidence for and against",
    "Findings",
    "Fiber sizes",
    "Patterns",
    "Measurements",
    "Adequacy and exclusions",
    "Methods",
    "Limits",
]


def words_of(parts: tuple[Part, ...]) -> list[str]:
    """All that is said, in order."""
    said = []
    for part in parts:
        said.append(part.title)
        for block in part.blocks:
            if isinstance(block, Text):
                said.append(block.text)
            elif isinstance(block, Bullets):
                said += block.entries
            elif isinstance(block, Facts):
                said += [word for pair in block.pairs for word in pair]
            elif isinstance(block, Table):
                said += [block.caption, *(column.title for column in block.columns)]
                for row in block.rows:
                    said += [word for cell in row.cells for word in (cell.text, cell.detail)]
            elif isinstance(block, Bar):
                said += [block.title, block.text]
            elif isinstance(block, Figure):
                said += [block.caption, block.alt]
        said += words_of(part.parts)
    return said


def text_of(document: Document) -> str:
    return "\n".join(words_of(document.parts))


def test_a_report_has_all_its_parts() -> None:
    document = section_document(summary_of(), Pictures())
    assert [part.title for part in document.parts] == TITLES
    pictures = Pictures({name: IMAGE for name in MAPS}, IMAGE)
    titles = [part.title for part in section_document(summary_of(), pictures).parts]
    assert titles == [*TITLES[:7], "Maps", *TITLES[7:]]
    assert document.made_by == "biopsy-ai 1.2.3"
    assert document.date == "2026-11-29, 06:27 UTC"


@pytest.mark.parametrize(
    "said",
    [
        "ATPase, pH 9.4 (given)",
        "0.5 µm",
        f"model muscle, version 5, weights SHA-256 {'cd' * 32}",
        "61 years",
        "deltoid",
        "Yes, but few".lower(),
        "8 of 320 fibers (2.50 %) were left out of the statistics.",
        "1.50 % of the tissue is not to be trusted: out of focus 1.50 %.",
        "The image has no name.",
        "Not assessable. No types.",
        "Scattered. p = 0.200.",
        "Nuclei: The stain shows no nuclei.",
        "below 250",
        "a book [P-ocr]",
        "Nobody has yet validated the scores on patients.",
    ],
)
def test_a_report_says(said: str) -> None:
    assert said in text_of(section_document(summary_of(), Pictures()))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("given by the user", "0.2773 µm, given by the user"),
        ("TIFF resolution", "0.2773 µm, from TIFF resolution"),
        (None, "0.2773 µm"),
    ],
)
def test_a_report_says_where_the_pixel_size_is_from(source: str | None, said: str) -> None:
    image = {"shape": [100, 100], "mpp": [0.2773, 0.2773], "mpp_source": source}
    words = words_of(section_document(summary_of(image=image), Pictures()).parts)
    assert words[words.index("Pixel size") + 1] == said


def test_only_methods_that_were_used_are_cited() -> None:
    said = text_of(section_document(summary_of(), Pictures()))
    assert "Cliff & Ord 1981" in said  # grouped atrophy was tested
    assert "Jennekens" not in said  # types were not
    assert "Zhong" not in said  # nuclei are not assessable
    types = {"type_grouping": {"assessable": True, "text": "Grouped."}}
    assert "Jennekens" in text_of(section_document(summary_of(patterns=types), Pictures()))


def test_codes_of_patient_and_block_are_shown_where_known() -> None:
    codes = {"patient": "P 7", "block": "B 2"}
    said = words_of(section_document(summary_of(specimen=codes), Pictures()).parts)
    assert said[said.index("Patient code") + 1] == "P 7"
    assert said[said.index("Block code") + 1] == "B 2"
    assert "Patient code" not in text_of(section_document(summary_of(), Pictures()))


def test_no_report_says_diagnosis() -> None:
    said = text_of(section_document(summary_of(), Pictures())).lower()
    notice = "for research use only. not for use in diagnostic procedures."
    assert "diagno" not in said.replace(notice, "")


@pytest.mark.parametrize("left", [{}, {"name": "a"}, {"provenance": None, "fibers": None}])
def test_older_results_have_a_report_as_well(left: dict[str, Any]) -> None:
    said = text_of(section_document(left, Pictures()))
    assert "no score" in said
    assert "no graded findings" in said
    assert "too few fibers for a histogram" in said


def test_a_review_is_told() -> None:
    review = {
        "reviewers": ["A", "B"],
        "last_utc": "2026-03-01T10:20:30+00:00",
        "fibers": {
            **{"before": 225, "after": 223, "removed": 4, "corrected": 14, "outline": 6},
            **{"type": 5, "condition": 0, "exclusion": 3, "accepted": 30},
        },
    }
    document = section_document(summary_of(review=review), Pictures())
    said = words_of(document.parts)
    assert said[said.index("Reviewed") + 1] == (
        "by A and B, 2026-03-01, 10:20 UTC, 14 of 223 fibers changed "
        "(outlines: 6; types: 5; left out or taken in: 3), 4 removed, 30 accepted as they were"
    )
    assert "A person reviewed the section." in text_of(document)
    without = text_of(section_document(summary_of(), Pictures()))
    assert "Reviewed" not in without
    assert "A person reviewed" not in without


@pytest.mark.parametrize("review", [{"n_edits": 1}, {"reviewers": None, "fibers": None}, "yes"])
def test_a_review_that_says_little(review: Any) -> None:
    text_of(section_document(summary_of(review=review), Pictures()))
