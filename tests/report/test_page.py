from __future__ import annotations

from pathlib import Path

import pytest
from drawn_scores import HOSTILE, finding_of, row_of, score_of, summary_of
from read_page import Page, assert_accessible, assert_stands_alone

from biopsy_ai.errors import OutputError
from biopsy_ai.report.document import Document, Image
from biopsy_ai.report.finding_parts import Sheet
from biopsy_ai.report.page import css_string, write_page
from biopsy_ai.report.section_document import MAPS, Pictures, section_document

IMAGE = Image(b"\xff\xd8jpeg", 300, 200)


def full_document(name: str = "section 1") -> Document:
    labels = [4, 7]
    summary = summary_of(
        name=name,
        specimen={"patient": name, "block": name},
        warnings=[name],
        research_use_only=name,
        score=score_of(row_of(name, 3.0, -2.0, title=name, family_title=name, reason=name)),
        findings=[finding_of("a", title=name, labels=labels, sentence=name, unit=name)],
    )
    sheet = Sheet(IMAGE, tuple(labels), name, 20.0)
    pictures = Pictures({file: IMAGE for file in MAPS}, IMAGE, {"a": sheet})
    return section_document(summary, pictures)


@pytest.fixture
def hostile(tmp_path: Path) -> Page:
    write_page(tmp_path / "report.html", full_document(HOSTILE))
    return Page(tmp_path / "report.html")


def test_hostile_names_stay_text(hostile: Page) -> None:
    assert not hostile.all("script")
    assert "<script>alert" not in hostile.source
    assert HOSTILE in hostile.text
    assert len(hostile.all("style")) == 1
    assert_stands_alone(hostile)
    assert_accessible(hostile)


def test_a_report_stands_alone_and_is_accessible(tmp_path: Path) -> None:
    write_page(tmp_path / "report.html", full_document())
    page = Page(tmp_path / "report.html")
    assert_stands_alone(page)
    assert_accessible(page)
    assert len(page.all("img")) == len(MAPS) + 2
    (policy,) = (each for each in page.all("meta") if "http-equiv" in each)
    assert "default-src 'none'" in str(policy["content"])


def test_links_to_parts_lead_somewhere(tmp_path: Path) -> None:
    write_page(tmp_path / "report.html", full_document())
    page = Page(tmp_path / "report.html")
    ids = {attributes.get("id") for _, attributes in page.tags}
    links = [str(link["href"]) for link in page.all("a")]
    assert len(links) > 10
    assert all(link[1:] in ids for link in links if link.startswith("#"))


def test_results_without_a_score_have_a_page(tmp_path: Path) -> None:
    write_page(tmp_path / "report.html", section_document({"name": "a"}, Pictures()))
    page = Page(tmp_path / "report.html")
    assert "hold no score" in page.text
    assert_accessible(page)


def test_the_same_document_gives_the_same_page(tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        write_page(tmp_path / name, full_document(HOSTILE))
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_lone_surrogates_are_written(tmp_path: Path) -> None:
    write_page(tmp_path / "report.html", full_document("a\udc80b"))
    assert "a\\udc80b" in Page(tmp_path / "report.html").text


def test_nothing_ends_a_string_of_css() -> None:
    assert css_string('a"</style>') == '"a\\000022\\00003c\\00002fstyle\\00003e"'


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"report\.html"):
        write_page(tmp_path / "none" / "report.html", full_document())
