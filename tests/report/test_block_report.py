from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pypdf
import pytest
from drawn_scores import HOSTILE, finding_of, score_of, summary_of
from drawn_sections import DrawnSection, draw_section
from read_page import Page, assert_accessible, assert_stands_alone

from biopsy_ai import RESEARCH_USE_ONLY
from biopsy_ai.config import AnalysisConfig
from biopsy_ai.report.block_report import write_block_report


def write_section(folder: Path, drawn: DrawnSection) -> Path:
    """Results of a section, as far as the report of its block reads them."""
    folder.mkdir(parents=True)
    shutil.copy(drawn.labels, folder / "fibers.tif")
    rows = "\n".join(f"{label},{300.0 + label},19.5," for label in range(1, 13))
    (folder / "fibers.csv").write_text(f"label,area_um2,min_feret_um,excluded\n{rows}\n")
    (folder / "summary.json").write_text(json.dumps(summary_of(name=folder.name)))
    shutil.copy(drawn.image.with_suffix(".png"), folder / "overlay.png")
    (folder / "report.html").write_text("<p>")
    return folder


@pytest.fixture
def drawn(tmp_path: Path) -> DrawnSection:
    import cv2
    import numpy as np

    drawn = draw_section(tmp_path / "slides")
    cv2.imwrite(str(drawn.image.with_suffix(".png")), np.full((60, 80, 3), 200, np.uint8))
    return drawn


REGISTRATION: dict[str, Any] = {
    "patient": HOSTILE,
    "block": "B 2",
    "biopsy_ai_version": "1.2.3",
    "sections": [
        {"name": "a ä", "stain": "atpase:9.4", "n_fibers": 12, "joined": True},
        {"name": "b", "stain": None, "n_fibers": 12, "joined": False},
    ],
    "pairs": [{"fixed": "a ä", "moving": "b", "fits": False, "why_not": f"no fit {HOSTILE}"}],
    "n_fibers": 12,
    "types": {"n_agree": 3, "n_contradict": 1},
}

SCORED: dict[str, Any] = {
    "score": score_of(seen_in={"small_angular_fibers": "a ä", "fat": "b"}),
    "findings": [
        finding_of("small_angular_fibers", "severe", labels=[3, 5]),
        finding_of("fat", "mild"),
    ],
}


@pytest.mark.parametrize("with_slides", [True, False])
def test_a_block_has_a_report(tmp_path: Path, drawn: DrawnSection, with_slides: bool) -> None:
    out = tmp_path / "out"
    sections = {name: write_section(out / name, drawn) for name in ("a ä", "b")}
    folder = out / "B 2"
    folder.mkdir()
    shutil.copy(drawn.image.with_suffix(".png"), folder / "registration_atpase_he.png")
    slides = {"a ä": (drawn.image, AnalysisConfig())} if with_slides else None
    written = write_block_report(folder, REGISTRATION, SCORED, sections, slides=slides)
    assert written == ("report.html", "report.pdf")
    page = Page(folder / "report.html")
    assert_stands_alone(page)
    assert_accessible(page)
    assert not page.all("script")
    for said in (HOSTILE, "seen in a ä", "ATPase, pH 9.4", "No fit", "labels in fibers.csv: 3, 5"):
        assert said in page.text
    links = [str(link["href"]) for link in page.all("a") if ".html" in str(link["href"])]
    assert links == ["../a%20%C3%A4/report.html", "../b/report.html"]
    pictures = [str(picture["alt"]) for picture in page.all("img")]
    assert len(pictures) == 4  # one sheet, both laid on each other, a map of each section
    pages = pypdf.PdfReader(folder / "report.pdf").pages
    assert all(RESEARCH_USE_ONLY in page.extract_text() for page in pages)


def test_what_is_missing_is_left_out(tmp_path: Path) -> None:
    sections = {"a ä": tmp_path / "none", "b": tmp_path / "nowhere"}
    write_block_report(tmp_path, {"sections": REGISTRATION["sections"]}, {}, sections)
    text = Page(tmp_path / "report.html").text
    assert "hold no score" in text
    assert "a ä" in text
    write_block_report(tmp_path, REGISTRATION, SCORED, sections, slides={})
    assert "Favours denervation" in Page(tmp_path / "report.html").text
