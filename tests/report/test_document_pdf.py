from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pypdf
import pytest
from drawn_scores import HOSTILE, finding_of, row_of, score_of, summary_of

from biopsy_ai import RESEARCH_USE_ONLY
from biopsy_ai.errors import OutputError
from biopsy_ai.report.document import Document, Image
from biopsy_ai.report.document_pdf import write_pdf
from biopsy_ai.report.embedding import as_jpeg
from biopsy_ai.report.finding_parts import Sheet
from biopsy_ai.report.section_document import MAPS, Pictures, section_document

JPEG = as_jpeg(np.full((300, 400, 3), 120, np.uint8))
TALL = as_jpeg(np.full((1200, 100, 3), 120, np.uint8))
PNG = Image(cv2.imencode(".png", np.full((40, 90, 3), 9, np.uint8))[1].tobytes(), 90, 40, "png")


def full_document(name: str = "section 1", n: int = 3) -> Document:
    rows = [row_of(f"finding {i}", 10 / 3, -1 / 3, reason=name) for i in range(n)]
    findings = [finding_of(f"f{i}", title=name, labels=[1], sentence=name) for i in range(n)]
    sheets = {f"f{i}": Sheet(JPEG, (1,), name, 20.0, 0.4) for i in range(3)}
    maps = {**dict.fromkeys(MAPS, JPEG), "overlay_types.png": TALL}
    summary = summary_of(name=name, warnings=[name], score=score_of(*rows), findings=findings)
    return section_document(summary, Pictures(maps, PNG, sheets))


def pages_of(path: Path) -> list[str]:
    return [page.extract_text() for page in pypdf.PdfReader(path).pages]


def test_every_page_is_a4_and_says_research_use_only(tmp_path: Path) -> None:
    write_pdf(tmp_path / "report.pdf", full_document())
    pages = pypdf.PdfReader(tmp_path / "report.pdf").pages
    assert len(pages) > 5
    for number, page in enumerate(pages, 1):
        assert [float(side) for side in page.mediabox[2:]] == pytest.approx([595.3, 841.9], abs=0.1)
        text = page.extract_text()
        assert RESEARCH_USE_ONLY in text
        assert str(number) in text
    assert sum(len(page.images) for page in pages) >= len(MAPS)


def test_the_content_is_that_of_the_page(tmp_path: Path) -> None:
    document = full_document()
    write_pdf(tmp_path / "report.pdf", document)
    text = "\n".join(pages_of(tmp_path / "report.pdf"))
    for part in document.parts:
        assert part.title in text
    assert "Favours denervation" in text
    assert "+3.33" in text or "+3.34" in text
    assert "−0.33" in text or "−0.34" in text


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    name = HOSTILE + ' <para> <font size="90"> &lt; \x00\x07 \udc80 ' + "x" * 400
    write_pdf(tmp_path / "report.pdf", full_document(name))
    text = "".join(pages_of(tmp_path / "report.pdf"))
    assert "<script>alert(\"x\")</script> & 'Müller'" in text.replace("\n", " ")
    assert "&lt;" in text  # as it was given


def test_long_tables_go_on_over_pages(tmp_path: Path) -> None:
    write_pdf(tmp_path / "report.pdf", full_document(n=120))
    pages = pages_of(tmp_path / "report.pdf")
    assert (
        sum("points" in page and "Remark" in page for page in pages) > 2
    )  # the header is repeated


def test_the_same_document_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.pdf", "b.pdf"):
        write_pdf(tmp_path / name, full_document())
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


def test_results_without_a_score_have_a_pdf(tmp_path: Path) -> None:
    write_pdf(tmp_path / "report.pdf", section_document({"name": "a"}, Pictures()))
    assert "hold no score" in "".join(pages_of(tmp_path / "report.pdf"))


def test_a_pdf_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"report\.pdf"):
        write_pdf(tmp_path / "none" / "report.pdf", full_document())
