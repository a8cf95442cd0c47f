from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_scores import HOSTILE, finding_of, no_score, score_of, summary_of
from read_page import Page, assert_accessible, assert_stands_alone

from biopsy_ai.report.cohort_page import Entry, report_link, write_cohort_page


def write_results(folder: Path, *, report: bool = True, **changes: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(summary_of(**changes)), encoding="utf-8")
    cv2.imwrite(str(folder / "thumbnail.jpg"), np.full((90, 160, 3), 120, np.uint8))
    if report:
        (folder / "report.html").write_text("<p>")
    return folder


@pytest.fixture
def page(tmp_path: Path) -> Page:
    """Slides of all kinds, one of them with a hostile name."""
    out = tmp_path / "out"
    bare = out / "older"
    bare.mkdir(parents=True)
    (bare / "summary.json").write_text('{"fibers": {"n_measured": 5}}')
    block = out / "B 1"
    block.mkdir()
    (block / "registration.json").write_text('{"patient": "P7", "block": "B 1", "n_fibers": 1234}')
    (block / "score.json").write_text(json.dumps({"score": score_of(), "findings": []}))
    grades = [finding_of(f"f{i}", grade) for i, grade in enumerate(["mild", "severe", "absent"])]
    entries = [
        Entry("good", "ok", write_results(out / "a #1%ä", findings=grades)),
        Entry(HOSTILE, "failed", None, f"{HOSTILE}: cannot be read"),
        Entry("few", "skipped", write_results(out / "few", score=no_score(), report=False)),
        Entry("older", "ok", bare),
        Entry("B 1", "ok", block, kind="block"),
    ]
    write_cohort_page(out / "cohort.html", entries)
    return Page(out / "cohort.html")


def test_the_page_stands_alone_and_is_accessible(page: Page) -> None:
    assert_stands_alone(page)
    assert_accessible(page)
    assert len(page.all("script")) == 1  # ours
    assert "<script>alert" not in page.source
    assert HOSTILE in page.text


def test_links_to_reports_are_relative_and_encoded(page: Page) -> None:
    links = [str(link["href"]) for link in page.all("a") if link.get("class") != "skip"]
    assert links == ["a%20%231%25%C3%A4/report.html"]


def test_a_failed_slide_has_its_reason(page: Page) -> None:
    assert f"{HOSTILE}: cannot be read" in page.text
    assert "of which 1 failed" in page.text
    assert [row.get("class") for row in page.all("tr")].count("failed") == 1


def test_rows_have_scores_grades_and_flags(page: Page) -> None:
    assert "Favours denervation" in page.text
    assert "80.95" in page.text
    assert "69.0 to 90.0" in page.text
    assert "its 90 % interval" in page.text
    assert "Severe:" in page.text
    assert page.text.index("Severe:") < page.text.index("Mild:")
    assert "The age is not given." in page.text
    assert "1 warning in the report." in page.text
    assert "ATPase, pH 9.4" in page.text
    assert "1,234" in page.text


def test_cells_can_be_sorted_by_their_values(page: Page) -> None:
    heads = [head for head in page.all("th") if head.get("scope") == "col"]
    assert sum("data-sorts" in head for head in heads) == 7
    cells = [cell["data-value"] for cell in page.all("td") if "data-value" in cell]
    assert "312" in cells
    assert "1234" in cells
    assert any(cell and cell.startswith("80.95238") for cell in cells)
    assert "aria-sort" in page.source
    assert "</html>" in page.source


def test_results_without_a_score_have_a_row(page: Page) -> None:
    assert "Not enough tissue" in page.text
    assert [row for row in page.all("th") if row.get("data-value") == "older"]


def test_pictures_are_small(page: Page) -> None:
    pictures = page.all("img")
    assert len(pictures) == 2
    assert all(int(str(picture["width"])) <= 160 for picture in pictures)


def test_a_run_without_slides_has_a_page(tmp_path: Path) -> None:
    write_cohort_page(tmp_path / "cohort.html", [])
    assert "0 rows" in Page(tmp_path / "cohort.html").text


def test_a_folder_elsewhere_has_no_link(tmp_path: Path) -> None:
    assert report_link(tmp_path / "a", tmp_path / "b", "report.html") == ""
    assert report_link(tmp_path / "a" / "ü", tmp_path, "report.html") == "a/%C3%BC/report.html"
