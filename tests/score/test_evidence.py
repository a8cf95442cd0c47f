from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from drawn_tables import draw_table

from biopsy_ai.errors import ConfigError
from biopsy_ai.score import load_evidence
from biopsy_ai.score.evidence import CHANGES, WORDS
from biopsy_ai.score.scoring import measure_section

MARKS = {"P", "P-ocr", "S", "M", "D", "E"}


def content() -> dict[str, Any]:
    from importlib.resources import files

    text = files("biopsy_ai.score").joinpath("evidence.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def written(folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A copy of the bundled file with one thing changed."""
    given = content()
    change(given)
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(given, allow_unicode=True), encoding="utf-8")
    return path


def test_the_bundled_file_is_complete() -> None:
    evidence = load_evidence()
    assert evidence.name == "default"
    assert re.fullmatch("[0-9a-f]{64}", evidence.sha256)
    assert list(evidence.families) == [
        *("grouping", "grouped_atrophy", "shape", "size", "nuclei", "destruction", "interstitium")
    ]
    for change in CHANGES:
        assert sum(rule.of(change) is not None for rule in evidence.findings.values()) >= 5


def test_every_number_has_a_source_and_a_mark() -> None:
    for name, rule in load_evidence().findings.items():
        if rule.reference is not None:
            assert rule.reference.source, name
            assert rule.reference.mark in MARKS, name
            assert (rule.reference.low, rule.reference.high) != (None, None), name
        for change in CHANGES:
            says = rule.of(change)
            if says is not None:
                assert says.source, name
                assert says.mark in MARKS, name


def test_a_term_has_seven_digits_and_stands_once() -> None:
    terms = [rule.hpo for rule in load_evidence().findings.values() if rule.hpo is not None]
    assert len(terms) >= 10
    assert len(set(terms)) == len(terms)
    for term in terms:
        assert re.fullmatch(r"HP:\d{7}", term), term


def test_nothing_says_more_than_its_family() -> None:
    evidence = load_evidence()
    for name, rule in evidence.findings.items():
        for change in CHANGES:
            says = rule.of(change)
            if says is not None:
                cap = evidence.families[rule.family].cap.of(change)
                assert -cap <= says.least <= 0 <= says.most <= cap, name


def test_grades_agree_with_the_reference() -> None:
    """What is usual is never graded as more than absent."""
    for name, rule in load_evidence().findings.items():
        if rule.grades is None or rule.reference is None or rule.family == "quality":
            continue
        if rule.grades.above is not None:
            assert rule.reference.high == rule.grades.above[0], name
        else:
            assert rule.grades.below is not None
            assert rule.reference.low == rule.grades.below[0], name


def test_every_finding_is_measured() -> None:
    evidence = load_evidence()
    measured = measure_section(draw_table().section(), evidence)
    assert set(measured) == set(evidence.findings)


def test_families_have_titles_for_people() -> None:
    evidence = load_evidence()
    assert evidence.title_of("grouping") == "Type grouping"
    assert evidence.title_of("quality") == "Quality of the section"


def test_a_copy_says_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, lambda given: None)
    again = load_evidence(path)
    assert again.model_copy(update={"sha256": ""}) == load_evidence().model_copy(
        update={"sha256": ""}
    )
    assert again.sha256 != load_evidence().sha256
    assert load_evidence(str(path)).sha256 == again.sha256


def test_a_checksum_in_the_file_is_not_believed(tmp_path: Path) -> None:
    path = written(tmp_path, lambda given: given.update(sha256="0" * 64))
    assert load_evidence(path).sha256 != "0" * 64


def _put(*way: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    def change(given: dict[str, Any]) -> None:
        part = given
        for name in way[:-1]:
            part = part[name]
        part[way[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            _put("findings", "necrosis", "family", value="ruin"),
            "finding necrosis: there is no family ruin",
        ),
        (
            _put("findings", "necrosis", "myopathy", "most", value=5.0),
            "finding necrosis: more than the cap of its family",
        ),
        (
            _put("findings", "type_grouping", "denervation", "least", value=-1.5),
            "finding type_grouping: more than the cap of its family, 1.0",
        ),
        (
            _put("findings", "necrosis", "family", value="quality"),
            "finding necrosis: family quality holds no evidence",
        ),
        (
            _put("findings", "necrosis", "grades", value={"above": [2, 1, 5]}),
            "findings.necrosis.grades: .*from mild to severe",
        ),
        (
            _put("findings", "perifascicular_atrophy", "grades", value={"below": [0.5, 0.7, 0.9]}),
            "findings.perifascicular_atrophy.grades: .*from mild to severe",
        ),
        (
            _put("findings", "necrosis", "grades", value={"above": [1, 2, 3], "below": [3, 2, 1]}),
            "findings.necrosis.grades: .*either 'above' or 'below'",
        ),
        (_put("findings", "necrosis", "grades", value={}), "findings.necrosis.grades"),
        (_put("findings", "necrosis", "offset", value=0.0), "findings.necrosis: .*offset above 0"),
        (_put("findings", "necrosis", "sentense", value="x"), "findings.necrosis.sentense"),
        (
            _put("findings", "necrosis", "myopathy", "sd", value=0.0),
            "findings.necrosis.myopathy.sd",
        ),
        (
            _put("findings", "necrosis", "myopathy", "changed", value=float("nan")),
            "findings.necrosis.myopathy.changed",
        ),
        (
            _put("findings", "necrosis", "myopathy", "source", value=None),
            "necrosis.myopathy.source",
        ),
        (
            _put("findings", "necrosis", "sentence", value="{percent} % of {n}"),
            "finding necrosis: its sentence can hold {value}, {n} and nothing else.*percent",
        ),
        (
            _put("findings", "necrosis", "sentence", value="{modes} of {n}"),
            "finding necrosis: its sentence",
        ),
        (
            _put("findings", "necrosis", "sentence", value="{value"),
            "finding necrosis: its sentence",
        ),
        (_put("families", "size", "weight", value={"myopathy": -1.0}), "families.size.weight"),
        (_put("tempering", value=0), "tempering"),
        (_put("schema_version", value=2), "schema_version"),
        (_put("interval", "replicates", value=3), "interval.replicates"),
        (_put("verdict", "present_above", value=100), "verdict.present_above"),
        (_put("traps", "distal", value=["thumb"]), "traps.distal"),
        (_put("prior", value=None), "prior"),
    ],
)
def test_the_place_of_an_error_is_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=rf"mine\.yaml: .*{told}"):
        load_evidence(written(tmp_path, change))


def test_many_errors_are_told_in_short(tmp_path: Path) -> None:
    def worsen(given: dict[str, Any]) -> None:
        for name in list(given["findings"])[:8]:
            given["findings"][name]["wrong"] = 1

    with pytest.raises(ConfigError, match="and 3 more") as told:
        load_evidence(written(tmp_path, worsen))
    assert str(told.value).count("wrong") == 5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("families: [1, 2\n", "cannot be read"),
        ("- a list\n", "expected a YAML mapping"),
        ("", "expected a YAML mapping"),
        ("1: 2\n", "mine.yaml"),
    ],
)
def test_what_is_no_evidence_file(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        load_evidence(path)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: the evidence file cannot be read"):
        load_evidence(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_evidence(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_evidence(tmp_path / "binary.yaml")


def test_words_of_sentences_are_those_that_are_measured() -> None:
    drawn = draw_table()
    measured = measure_section(drawn.section(), load_evidence())
    assert {name: tuple(found.words) for name, found in measured.items() if found.words} == WORDS
