from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from drawn_cohorts import DrawnCohort, draw_cohort, draw_summary

from biopsy_ai.errors import CalibrationError
from biopsy_ai.score import load_evidence
from biopsy_ai.score.labeled_cohort import LabeledCohort, read_labeled_cohort


@pytest.fixture
def drawn(tmp_path: Path) -> DrawnCohort:
    return draw_cohort(tmp_path, patients=4)


def read(drawn: DrawnCohort) -> LabeledCohort:
    return read_labeled_cohort(drawn.cohort, drawn.labels, load_evidence())


def summary_of(drawn: DrawnCohort, name: str) -> Path:
    return drawn.cohort.parent / name / "summary.json"


def test_evidence_is_summed_by_family_where_it_counts(drawn: DrawnCohort) -> None:
    rows = [
        {"family": "size", "counted": True, "denervation_log10_lr": 0.2, "myopathy_log10_lr": 0.1},
        {"family": "size", "counted": True, "denervation_log10_lr": -0.5, "myopathy_log10_lr": 0},
        {"family": "size", "counted": False, "denervation_log10_lr": 9, "myopathy_log10_lr": 9},
    ]
    summary_of(drawn, "p1_0").write_text(json.dumps(draw_summary(rows)), encoding="utf-8")
    found = read(drawn)
    at = found.families.index("size")
    assert found.evidence["denervation"][1, at] == pytest.approx(-0.3)
    assert found.evidence["myopathy"][1, at] == pytest.approx(0.1)
    assert np.count_nonzero(found.evidence["denervation"][1]) == 1
    assert found.labels == ("normal", "denervation", "myopathy", "mixed")
    assert found.has("myopathy").tolist() == [False, False, True, True]
    assert found.patients == tuple(f"patient P{k}" for k in range(4))
    assert not found.notes


def test_slides_are_found_by_path_name_and_stem(drawn: DrawnCohort) -> None:
    drawn.relabel(
        "/slides/p0_0.svs;normal", "p1_0.svs;Myopathy", "p2_0;mixed", header="Slide;Label"
    )
    found = read(drawn)
    assert found.folders == ("p0_0", "p1_0", "p2_0")
    assert found.labels == ("normal", "myopathy", "mixed")
    assert found.notes == ("without a label, left out: p3_0",)


def test_patients_come_from_the_labels_then_the_cohort_then_the_slide(drawn: DrawnCohort) -> None:
    text = drawn.cohort.read_text(encoding="utf-8").replace(",P2", ",")
    drawn.cohort.write_text(text, encoding="utf-8")
    lines = ("p0_0,anna,normal", "p1_0,,normal", "p2_0,,normal")
    drawn.relabel(*lines, header="folder,patient,label")
    found = read(drawn)
    assert found.patients == ("patient anna", "patient P1", "slide p2_0")
    assert any("each slide counts as one patient" in n and "p2_0" in n for n in found.notes)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["p0_0,normal", "p9_0,normal"], r"cohort does not have: p9_0 \(line 3\)"),
        (["p0_0,normal", "p0_0.svs,mixed"], r"labeled twice: p0_0.svs \(lines 2 and 3\)"),
        (["p0_0,tumor", "p1_0,normal"], "'tumor'.*write normal, denervation"),
        (["p0_0,"], "''"),
        ([",normal"], "no slide is named in the lines 2"),
        ([], "needs lines with the columns"),
    ],
)
def test_labels_that_do_not_fit(drawn: DrawnCohort, lines: list[str], told: str) -> None:
    drawn.relabel(*lines)
    with pytest.raises(CalibrationError, match=told):
        read(drawn)


def test_a_name_that_two_slides_have_needs_the_folder(drawn: DrawnCohort) -> None:
    with open(drawn.cohort, "a", encoding="utf-8") as file:
        file.write("/other/p0_0.svs,ok,p0_0_2,P0\n")
    drawn.relabel("p0_0,normal")
    with pytest.raises(CalibrationError, match="folders must be given: p0_0"):
        read(drawn)


def test_results_that_are_missing_or_hold_no_score_are_named(drawn: DrawnCohort) -> None:
    summary_of(drawn, "p0_0").unlink()
    summary_of(drawn, "p1_0").write_text("{}", encoding="utf-8")
    other = draw_summary([], evidence_file={"name": "mine", "sha256": "0"})
    summary_of(drawn, "p2_0").write_text(json.dumps(other), encoding="utf-8")
    with pytest.raises(CalibrationError) as error:
        read(drawn)
    told = str(error.value)
    for part in ("cannot be read (summary.json): p0_0", "without a score: p1_0", "file: p2_0"):
        assert part in told


def test_slides_without_results_or_tissue_are_left_out(drawn: DrawnCohort) -> None:
    nothing = {"value": None, "low": None, "high": None}
    few = draw_summary([], denervation=nothing, myopathy=nothing)
    summary_of(drawn, "p0_0").write_text(json.dumps(few), encoding="utf-8")
    text = drawn.cohort.read_text(encoding="utf-8").replace("ok,p1_0", "failed,")
    drawn.cohort.write_text(text, encoding="utf-8")
    drawn.relabel(*(f"p{k}_0,normal" for k in range(4)))
    found = read(drawn)
    assert found.folders == ("p2_0", "p3_0")
    assert found.notes == (
        "not analyzed, left out: /slides/p1_0.svs",
        "too little tissue for a score, left out: p0_0",
    )


def test_tables_that_are_none(drawn: DrawnCohort, tmp_path: Path) -> None:
    evidence = load_evidence()
    with pytest.raises(CalibrationError, match="cannot be read"):
        read_labeled_cohort(tmp_path / "no.csv", drawn.labels, evidence)
    with pytest.raises(CalibrationError, match="columns slide and folder"):
        read_labeled_cohort(drawn.labels, drawn.labels, evidence)
    drawn.labels.write_text("", encoding="utf-8")
    with pytest.raises(CalibrationError, match="is empty"):
        read(drawn)
