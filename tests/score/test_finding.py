from __future__ import annotations

import json

import numpy as np
import pytest
from drawn_tables import STAINS, draw_table, evidence_with, findings_of, with_denervation

from biopsy_ai.score import load_evidence
from biopsy_ai.score.evidence import Grades
from biopsy_ai.score.finding import GRADES, grade_of, interval_of, make_finding, plain
from biopsy_ai.score.measurement import Measurement, constant, missing


@pytest.mark.parametrize(
    ("value", "grade"),
    [
        *((2.99, "absent"), (3.0, "mild"), (7.99, "mild"), (8.0, "moderate")),
        *((19.9, "moderate"), (20.0, "severe"), (100.0, "severe"), (0.0, "absent")),
    ],
)
def test_grades_from_limits_on(value: float, grade: str) -> None:
    assert grade_of(value, Grades(above=(3, 8, 20))) == grade


@pytest.mark.parametrize(
    ("value", "grade"),
    [
        *((0.86, "absent"), (0.85, "mild"), (0.76, "mild"), (0.75, "moderate")),
        *((0.61, "moderate"), (0.6, "severe"), (0.1, "severe")),
    ],
)
def test_grades_from_limits_down(value: float, grade: str) -> None:
    assert grade_of(value, Grades(below=(0.85, 0.75, 0.6))) == grade


def test_no_limits_no_grade() -> None:
    assert grade_of(50.0, None) == "absent"


def test_limits_of_the_bundled_file() -> None:
    for name, rule in load_evidence().findings.items():
        if rule.grades is None:
            continue
        limits, sign = (rule.grades.above, 1) if rule.grades.above else (rule.grades.below, -1)
        assert limits is not None
        for limit, grade, before in zip(limits, GRADES[1:], GRADES, strict=False):
            assert grade_of(limit, rule.grades) == grade, name
            assert grade_of(limit - sign * 1e-9, rule.grades) == before, name


def test_intervals_hold_the_value() -> None:
    values = np.concatenate([[50.0], np.arange(101.0)])
    assert interval_of(values, 0.9) == pytest.approx((5.0, 95.0))
    values[0] = 99.0
    assert interval_of(values, 0.9) == pytest.approx((5.0, 99.0))
    values[0] = -1.0
    assert interval_of(values, 0.5) == pytest.approx((-1.0, 75.0))


def test_a_finding_in_full() -> None:
    values = np.concatenate([[7.44], np.linspace(5, 9, 400)])
    found = make_finding("necrosis", Measurement(values, 312, (4, 9)), load_evidence())
    assert (found.title, found.family, found.hpo) == (
        "Necrotic fibers",
        "destruction",
        "HP:0003713",
    )
    assert found.sentence == "7.4 % of 312 fibers are necrotic."
    assert (found.value, found.n, found.counted, found.unit) == (7.44, 312, "fibers", "% of fibers")
    assert (found.low, found.high) == (pytest.approx(5.2), pytest.approx(8.8))
    assert (found.grade, found.why_not, found.labels) == ("severe", "", (4, 9))
    written = found.as_dict()
    assert json.loads(json.dumps(written)) == written
    assert set(written["reference"]) == {"text", "low", "high", "source", "mark"}


def test_what_cannot_be_assessed_is_never_zero() -> None:
    found = make_finding("necrosis", missing("no H&E.", 3), load_evidence())
    assert (found.value, found.low, found.high) == (None, None, None)
    assert (found.grade, found.why_not, found.labels) == ("not assessable", "no H&E.", ())
    assert found.sentence == "Necrotic fibers: not assessable, no H&E."
    assert found.n == 3


def test_absent_has_no_labels() -> None:
    evidence = load_evidence()
    high = make_finding("necrosis", Measurement(constant(9, 401), 99, (1,), absent=True), evidence)
    low = make_finding("necrosis", Measurement(constant(0.1, 401), 99, (1,)), evidence)
    assert high.grade == low.grade == "absent"
    assert high.labels == low.labels == ()


def test_a_grade_of_its_own() -> None:
    measured = Measurement(constant(0.1, 401), 99, (1,), grade="moderate")
    assert make_finding("necrosis", measured, load_evidence()).grade == "moderate"


def test_decimals_and_words_of_sentences() -> None:
    evidence = load_evidence()
    two = Measurement(constant(3.456, 401), 99, words={"modes": "two modes"})
    assert (
        make_finding("bimodality", two, evidence).sentence
        == "The diameters of 99 fibers have two modes."
    )
    rough = evidence_with(findings={"necrosis": {"decimals": 0, "sentence": "{value} of {n}"}})
    assert make_finding("necrosis", Measurement(constant(3.6, 401), 8), rough).sentence == "4 of 8"


def test_plain() -> None:
    assert plain("It ends. ") == "It ends"
    assert plain("3.5") == "3.5"


@pytest.mark.parametrize("stain", STAINS)
def test_every_finding_of_a_section_is_told(stain: str) -> None:
    evidence = load_evidence()
    found = findings_of(with_denervation(draw_table(stain)).score())
    assert list(found) == list(evidence.findings)
    for name, finding in found.items():
        assert finding["grade"] in GRADES
        assert finding["sentence"].endswith(".")
        assert "nan" not in finding["sentence"].split()
        assert "{" not in finding["sentence"]
        reference = evidence.findings[name].reference
        assert (finding["reference"] is None) == (reference is None)
        if finding["reference"]:
            assert finding["reference"]["source"]
            assert finding["reference"]["mark"]
        if finding["value"] is None:
            assert finding["grade"] == "not assessable"
            assert finding["why_not"]
            assert finding["low"] is finding["high"] is None
        else:
            assert finding["low"] <= finding["value"] <= finding["high"]
            assert not finding["why_not"]


def test_what_a_stain_does_not_show_is_not_assessable() -> None:
    typed = {"type_grouping", "type_predominance", "type_2_atrophy", "type_1_atrophy"}
    cores = {"target_fibers", "core_like_fibers"}
    nuclei = {"internal_nuclei", "central_nuclei", "nuclear_clumps", "inflammation"}
    sick = {"necrosis", "regeneration", "hypercontraction"}
    for stain, expected in (
        ("all", cores),
        ("he", cores | typed),
        ("atpase", cores | nuclei | sick),
    ):
        found = findings_of(with_denervation(draw_table(stain)).score())
        assert {name for name, each in found.items() if each["value"] is None} == expected
