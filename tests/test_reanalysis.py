"""A section measured again, with and without what a person corrected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from drawn_sections import DrawnSection

import biopsy_ai
from biopsy_ai import AnalysisConfig, analyze, read_analysis
from biopsy_ai.corrections import SET_IN_REVIEW, Corrections
from biopsy_ai.errors import Cancelled, NoTissueError, SlideReadError
from biopsy_ai.formats.tables import to_json_ready
from biopsy_ai.pipeline import reanalyze
from biopsy_ai.saved import SavedAnalysis

DIGITS = 5e-6
NEW = 13


@pytest.fixture
def saved(section: DrawnSection, fake_network: None, tmp_path: Path) -> SavedAnalysis:
    with analyze(section.image, AnalysisConfig(stain="he", sex="female")) as analysis:
        return read_analysis(analysis.save(tmp_path / "results"))


def same(one: Any, other: Any) -> bool:
    """Whether parts of summaries are the same but for rounding."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == (pytest.approx(other, rel=1e-9) if isinstance(other, float) else other)


def assert_reproduced(saved: SavedAnalysis) -> None:
    with reanalyze(saved, saved.labels, Corrections()) as analysis:
        pd.testing.assert_frame_equal(analysis.fibers, saved.fibers, rtol=DIGITS)
        assert analysis.patterns is not None
        contacts = analysis.patterns.contacts.table()
        pd.testing.assert_frame_equal(contacts, saved.contacts, rtol=DIGITS)
        assert (analysis.nuclei is None) == (saved.nuclei is None)
        if analysis.nuclei is not None:
            pd.testing.assert_frame_equal(analysis.nuclei, saved.nuclei, rtol=DIGITS)
        again, before = to_json_ready(analysis.summary), saved.summary
    assert before.keys() - again.keys() == {"files"}
    for part in again.keys() - {"provenance"}:
        assert same(again[part], before[part]), part
    made, made_before = again["provenance"], before["provenance"]
    assert made.keys() == made_before.keys()
    for key in made.keys() - {"utc_time", "seconds"}:
        assert made[key] == made_before[key], key


def test_without_corrections_it_is_the_first_analysis(saved: SavedAnalysis) -> None:
    assert_reproduced(saved)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("dystrophy_he", AnalysisConfig(stain="he", sex="male", age=50.0)),
        ("chronic_reinnervation_atpase", AnalysisConfig(stain="atpase:9.4", mpp=0.5)),
        (
            "dystrophy_he",
            AnalysisConfig(stain="he", region=((99.0, 99.0), (99.0, 700.0), (800.0, 650.0))),
        ),
    ],
)
def test_a_sample_is_reproduced(name: str, config: AnalysisConfig, tmp_path: Path) -> None:
    (slide,) = (path for path in biopsy_ai.sample_slides() if path.stem == name)
    with analyze(slide, config) as analysis:
        folder = analysis.save(tmp_path / "results")
    assert_reproduced(read_analysis(folder))


@pytest.mark.usefixtures("fake_network")
def test_outlines_of_the_user_are_reproduced(section: DrawnSection, tmp_path: Path) -> None:
    """The files that they came from are gone, and so is the table of types."""
    types = tmp_path / "types.csv"
    types.write_text("label,type\n1,I\n2,IIA\n3,I/IIA\n4,II\n")
    for number, slide in enumerate((section.image, None)):
        path = section.labels.with_name(f"{number}.tif")
        path.write_bytes(section.labels.read_bytes())
        analysis = analyze(slide, fibers=path, types=types)
        folder = analysis.save(tmp_path / str(number))
        path.unlink()
        assert_reproduced(read_analysis(folder))


@pytest.mark.usefixtures("fake_network")
def test_warnings_stand_there_once(section: DrawnSection, tmp_path: Path) -> None:
    with analyze(section.image, AnalysisConfig(mpp=2.0)) as analysis:
        folder = analysis.save(tmp_path / "results")
    saved = read_analysis(folder)
    assert len(saved.summary["warnings"]) == 2
    assert_reproduced(saved)


def test_codes_of_the_specimen_stay(saved: SavedAnalysis) -> None:
    coded = replace(saved, summary={**saved.summary, "specimen": {"patient": "P 7"}})
    with reanalyze(coded, saved.labels, Corrections()) as analysis:
        assert analysis.summary["specimen"] == {"patient": "P 7"}


def corrected(saved: SavedAnalysis) -> tuple[np.ndarray, Corrections]:
    """Fiber 1 is parted, 4 and 3 are one, 12 is gone, and a person decided on others."""
    labels = np.asarray(saved.labels).copy()
    y0, x0, y1, x1 = saved.segmentation.boxes[0]
    middle = int(x0 + x1) // 2
    labels[y0:y1, middle] = 0
    right = labels[y0:y1, middle + 1 : x1]
    right[right == 1] = NEW
    labels[labels == 4] = 3
    labels[labels == 12] = 0
    return labels, Corrections(
        types={2: "I", 5: "IIA", 6: "I/IIA"},
        conditions={7: "necrotic"},
        exclusions={8: "torn"},
        outlines=frozenset({1, 3, NEW}),
        accepted=frozenset({9}),
        record={
            "n_edits": 8,
            "reviewers": ["Dr <b>A</b>", "B"],
            "last_utc": "2026-03-01T10:20:30+00:00",
        },
    )


def test_what_a_person_decided_wins(saved: SavedAnalysis, tmp_path: Path) -> None:
    labels, decided = corrected(saved)
    with reanalyze(saved, labels, decided) as analysis:
        analysis.save(tmp_path / "reviewed")
        table, summary = analysis.fibers.set_index("label"), analysis.summary
    assert table.index.tolist() == [1, 2, 3, *range(5, 12), NEW]
    area = saved.fibers.set_index("label")["area_um2"]
    assert table.loc[1, "area_um2"] == pytest.approx(area[1] / 2, rel=0.05)
    assert table.loc[NEW, "area_um2"] == pytest.approx(area[1] / 2, rel=0.1)
    assert table.loc[3, "area_um2"] == pytest.approx(2 * area[3])
    assert table["confidence"].isna()[lambda gone: gone].index.tolist() == [1, 3, NEW]

    assert table.loc[[2, 5, 6, 7], "type"].tolist() == ["I", "IIA", "I/IIA", ""]
    np.testing.assert_array_equal(table.loc[[2, 5, 6, 7], "type_posterior"], [1, 1, 1, np.nan])
    np.testing.assert_array_equal(table.loc[[2, 5, 6, 7], "type_i_posterior"], [1, 0, 0.5, np.nan])
    assert summary["types"]["typing"]["source"] == "review"
    assert summary["types"]["counts"]["IIA"] == 1

    assert table.loc[7, ["condition", "condition_reason"]].tolist() == ["necrotic", SET_IN_REVIEW]
    assert summary["condition"]["necrotic"]["n"] == 1
    assert table.loc[8, "excluded"] == "excluded in review: torn"
    assert summary["fibers"]["excluded"] == {"excluded in review: torn": 1}
    assert summary["fibers"]["n_fibers"] == 11

    expected = {1: "outline", 2: "type", 3: "outline", 5: "type", 6: "type", 7: "condition"}
    expected |= {8: "exclusion", 9: "accepted", NEW: "outline"}
    told = table["corrected"]
    assert told[told != ""].to_dict() == expected
    assert analysis.fibers.columns[-2:].tolist() == ["corrected", "excluded"]
    review = summary["review"]
    assert review["n_edits"] == 8
    assert review["fibers"]["removed"] == 2
    assert review["fibers"]["corrected"] == 8

    again = read_analysis(tmp_path / "reviewed")
    pd.testing.assert_frame_equal(again.fibers, analysis.fibers, rtol=DIGITS)
    assert again.summary["review"] == to_json_ready(review)
    np.testing.assert_array_equal(again.labels, labels)
    page = (tmp_path / "reviewed" / "report.html").read_text(encoding="utf-8")
    assert "Reviewed" in page
    assert "Dr &lt;b&gt;A&lt;/b&gt; and B" in page
    assert "8 of 11 fibers changed" in page
    assert "A person reviewed the section" in page


def test_what_was_saved_stays_as_it_is(saved: SavedAnalysis) -> None:
    labels, decided = corrected(saved)
    before, table = np.array(saved.labels), saved.fibers.copy()
    given = labels.copy()
    reanalyze(saved, labels, decided).close()
    np.testing.assert_array_equal(saved.labels, before)
    np.testing.assert_array_equal(labels, given)
    pd.testing.assert_frame_equal(saved.fibers, table)
    assert "review" not in saved.summary


def test_a_reviewed_section_can_be_measured_again(saved: SavedAnalysis, tmp_path: Path) -> None:
    """From what a review led to: the outlines stay, what was decided has to be said again."""
    labels, decided = corrected(saved)
    with reanalyze(saved, labels, decided) as analysis:
        folder = analysis.save(tmp_path / "reviewed")
    reviewed = read_analysis(folder)
    with reanalyze(reviewed, reviewed.labels, decided) as again:
        pd.testing.assert_frame_equal(again.fibers, reviewed.fibers, rtol=DIGITS)


@pytest.mark.usefixtures("fake_network")
def test_fibers_taken_in_again_count(section: DrawnSection, tmp_path: Path) -> None:
    """The border of the image cuts the four fibers of the first row."""
    pixels = tifffile.imread(section.image)[24:]
    tifffile.imwrite(section.image, pixels, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
    with analyze(section.image) as analysis:
        saved = read_analysis(analysis.save(tmp_path / "results"))
    assert saved.summary["fibers"]["excluded"] == {"cut by the image border": 4}
    with reanalyze(saved, saved.labels, Corrections(exclusions={2: ""})) as analysis:
        assert analysis.summary["fibers"]["excluded"] == {"cut by the image border": 3}
        assert analysis.summary["fibers"]["n_measured"] == 9


def test_the_slide_is_opened_and_closed(saved: SavedAnalysis, section: DrawnSection) -> None:
    with reanalyze(saved, saved.labels, Corrections()) as analysis:
        assert analysis.slide is not None
        analysis.slide.read_region(0, 0, 0, 8, 8)
    with pytest.raises(SlideReadError, match="closed"):
        analysis.slide.read_region(0, 0, 0, 8, 8)
    with biopsy_ai.open_slide(section.image) as slide:
        reanalyze(saved, saved.labels, Corrections(), slide=slide).close()
        slide.read_region(0, 0, 0, 8, 8)


def test_a_slide_that_was_moved(saved: SavedAnalysis, section: DrawnSection) -> None:
    moved = section.image.rename(section.image.with_name("moved.tif"))
    with pytest.raises(SlideReadError, match=r"section\.tif.*not there"):
        reanalyze(replace(saved, slide_path=None), saved.labels, Corrections())
    reanalyze(saved, saved.labels, Corrections(), slide=moved).close()


def test_a_slide_that_was_changed(saved: SavedAnalysis, section: DrawnSection) -> None:
    pixels = tifffile.imread(section.image)
    pixels[0, 0] = 0
    tifffile.imwrite(section.image, pixels, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
    with pytest.raises(SlideReadError, match=r"section\.tif: has changed"):
        reanalyze(saved, saved.labels, Corrections())
    with (
        biopsy_ai.open_slide(section.image) as slide,
        pytest.raises(SlideReadError, match="has changed"),
    ):
        reanalyze(saved, saved.labels, Corrections(), slide=slide)


def test_no_fiber_left(saved: SavedAnalysis) -> None:
    with pytest.raises(NoTissueError, match="no fiber is left"):
        reanalyze(saved, np.zeros_like(saved.labels), Corrections())


def test_stages_and_cancelling(saved: SavedAnalysis) -> None:
    seen: list[str] = []

    def stop(stage: str, done: int, total: int) -> None:
        seen.append(stage)
        if stage == "patterns":
            raise Cancelled(stage)

    with pytest.raises(Cancelled):
        reanalyze(saved, saved.labels, Corrections(), progress=stop)
    stages = ["open", "tissue", "measure", "contacts", "patterns"]
    assert list(dict.fromkeys(seen)) == stages
