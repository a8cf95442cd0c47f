from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawn_tables import (
    MYOPATHIC,
    STAINS,
    DrawnTable,
    draw_table,
    evidence_with,
    rows_of,
    width_of,
    with_denervation,
    with_myopathy,
    with_type_2_atrophy,
)

from biopsy_ai import RESEARCH_USE_ONLY, AnalysisConfig, analyze
from biopsy_ai.errors import OutputError
from biopsy_ai.formats.tables import to_json_ready
from biopsy_ai.resources import sample_slides
from biopsy_ai.score import SectionScore, load_evidence, score_block, score_folder, score_section
from biopsy_ai.score.evidence import CHANGES
from biopsy_ai.score.verdict import TEXTS


def text_of(result: SectionScore) -> str:
    return json.dumps(result.summary(), allow_nan=False)


def assert_adds_up(score: dict[str, Any]) -> None:
    for change in CHANGES:
        points = sum(row[change] for row in score["evidence"])
        assert score["baseline"][change] + points == pytest.approx(score[change]["value"], abs=1e-6)
        for row in score["evidence"]:
            assert row["counted"] or row[change] == 0.0
            assert row["counted"] or row["reason"]


def random_section(seed: int) -> DrawnTable:
    """Some of everything, as it comes."""
    rng = np.random.default_rng(seed)
    drawn = draw_table(
        STAINS[seed % len(STAINS)],
        rows=int(rng.integers(6, 26)),
        columns=int(rng.integers(6, 22)),
        side=None if rng.random() < 0.3 else 10.0,
        age=float(rng.integers(20, 90)),
    )
    n = len(drawn)
    for shape in ("angular", "round", "plain"):
        drawn.shrink(drawn.some(int(rng.integers(0, n // 6)), seed), shape)
    drawn.enlarge(drawn.some(int(rng.integers(0, n // 6)), seed + 1))
    drawn.grouped_atrophy(float(rng.uniform(-0.1, 0.5)))
    patterns = drawn.summary["patterns"]
    if patterns["type_grouping"]["assessable"]:
        drawn.grouped_types(float(rng.uniform(-0.1, 0.4)))
    if patterns["perifascicular_atrophy"]["assessable"]:
        drawn.set("patterns/perifascicular_atrophy/ratio", float(rng.uniform(0.6, 1.1)))
    if drawn.summary["nuclei"]["assessable"]:
        drawn.with_internal_nuclei(drawn.some(int(rng.integers(0, n // 3)), seed))
        drawn.sicken("necrotic", drawn.some(int(rng.integers(0, n // 20)), seed + 2))
        drawn.set("nuclei/clumps", {"n": int(rng.integers(0, 9))})
    if drawn.summary["tissue"]["assessable"]:
        drawn.set("tissue/endomysium_of_muscle_percent", float(rng.uniform(4, 40)))
        drawn.set("tissue/fat_percent", float(rng.uniform(0, 40)))
    return drawn


@pytest.mark.parametrize("seed", range(12))
def test_contributions_add_up_to_the_scores(seed: int) -> None:
    score = random_section(seed).score().score
    assert score["verdict"] != "not_enough_tissue"
    assert_adds_up(score)
    for change in CHANGES:
        found = score[change]
        assert 0 <= found["low"] <= found["value"] <= found["high"] <= 100
    assert any(row["counted"] for row in score["evidence"])


def test_contributions_add_up_with_another_prior_and_weights() -> None:
    evidence = evidence_with(
        prior={"denervation": -1.0, "myopathy": 0.4},
        families={"shape": {"weight": {"denervation": 1.7}}, "nuclei": {"weight": {"myopathy": 0}}},
    )
    score = with_myopathy(with_denervation(draw_table())).score(evidence).score
    assert score["baseline"]["denervation"] == pytest.approx(100 / 11)
    assert_adds_up(score)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_same_section_gives_the_same_bytes(seed: int) -> None:
    first, again = random_section(seed), random_section(seed)
    assert text_of(first.score()) == text_of(again.score())
    again.table = again.table.sample(frac=1, random_state=0)
    again.pairs = again.pairs[::-1]
    again.pairs = again.pairs[np.lexsort(again.pairs.T[::-1])]
    assert text_of(first.score()) == text_of(again.score())


@pytest.mark.parametrize("side", [5.0, 10.0, None])
def test_a_section_that_is_turned_has_the_same_scores(side: float | None) -> None:
    def turned(turn: int, mirrored: bool) -> SectionScore:
        drawn = with_denervation(draw_table(rows=24, columns=25, side=side))
        place = drawn.table["centroid_y_um"] + 1j * drawn.table["centroid_x_um"]
        place = (np.conj(place) if mirrored else place) * 1j**turn
        drawn.table["centroid_y_um"] = place.map(np.real)
        drawn.table["centroid_x_um"] = place.map(np.imag)
        return drawn.score()

    first = text_of(turned(0, False))
    for turn, mirrored in itertools.product(range(4), (False, True)):
        assert text_of(turned(turn, mirrored)) == first


def test_another_seed_moves_the_interval_and_not_the_value() -> None:
    first, other = (with_denervation(draw_table(seed=seed)).score() for seed in (0, 1))
    for change in CHANGES:
        # the value is held to the scatter of the replicates, which is drawn
        assert other.score[change]["value"] == pytest.approx(first.score[change]["value"], abs=0.5)
    assert other.score["denervation"]["low"] != first.score["denervation"]["low"]
    for one, two in zip(first.findings, other.findings, strict=True):
        assert one.value == two.value
        assert one.grade == two.grade
    lows = [[found.low for found in result.findings] for result in (first, other)]
    assert lows[0] != lows[1]


def test_all_that_is_told() -> None:
    evidence = load_evidence()
    score = with_denervation(draw_table()).score().score
    assert set(score) == {
        *("denervation", "myopathy", "axis", "verdict", "verdict_text", "sentence"),
        *("type2_atrophy", "baseline", "evidence", "notes", "interval", "prior", "tempering"),
        *("calibrated", "evidence_file", "limits_of_use"),
    }
    assert score["baseline"] == {"denervation": 50.0, "myopathy": 50.0}
    assert score["verdict_text"] == TEXTS[score["verdict"]]
    assert score["evidence_file"] == {"name": "default", "sha256": evidence.sha256}
    assert score["interval"]["level"] == 0.9
    assert score["interval"]["n_replicates"] == evidence.interval.replicates
    assert "neighborhoods of fibers" in score["interval"]["method"]
    assert score["limits_of_use"][0] == RESEARCH_USE_ONLY
    assert any("synthetic" in text and "patients" in text for text in score["limits_of_use"])
    assert score["calibrated"] is False
    for row in score["evidence"]:
        assert row["family_title"] == evidence.families[row["family"]].title
        assert row["title"] == evidence.findings[row["finding"]].title


def test_every_finding_that_speaks_has_its_row() -> None:
    evidence = load_evidence()
    speaks = [
        name
        for name, rule in evidence.findings.items()
        if any(rule.of(change) is not None for change in CHANGES)
    ]
    for stain in STAINS:
        assert list(rows_of(draw_table(stain).score())) == speaks


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda drawn: drawn, "no_abnormality"),
        (with_denervation, "denervation"),
        (with_myopathy, "myopathy"),
        (with_type_2_atrophy, "type2_atrophy"),
        (lambda drawn: with_myopathy(with_denervation(drawn)), "mixed"),
    ],
)
def test_verdicts(change: Any, verdict: str) -> None:
    score = change(draw_table()).score().score
    assert score["verdict"] == verdict
    assert (score["axis"] is not None) == (verdict in CHANGES)


def test_the_sentence_tells_what_speaks() -> None:
    def told(drawn: DrawnTable) -> str:
        return str(drawn.score().score["sentence"])

    assert told(draw_table()) == "Nothing speaks for either change."
    both = told(with_myopathy(with_denervation(draw_table())))
    first, second = both.split(" For myopathy: ")
    assert first.startswith("For denervation: ")
    assert "fiber type grouping" in first
    assert "internal nuclei" in second
    assert "For myopathy" not in told(with_denervation(draw_table()))


@pytest.mark.parametrize("stain", ["all", "he"])
@pytest.mark.parametrize("name", [*MYOPATHIC, "all of them"])
def test_myopathic_change_never_cancels_denervation(stain: str, name: str) -> None:
    plain = with_denervation(draw_table(stain)).score()
    drawn = with_denervation(draw_table(stain))
    beside = (with_myopathy if name == "all of them" else MYOPATHIC[name])(drawn).score()
    assert beside.score["denervation"] == plain.score["denervation"]
    assert beside.score["myopathy"]["value"] > plain.score["myopathy"]["value"]


def test_nor_do_fibers_whose_size_is_not_judged_for_they_are_sick() -> None:
    plain = with_denervation(draw_table())
    sick = with_denervation(draw_table())
    rows = np.flatnonzero(~sick.table["is_atrophic"])[::12]
    sick.sicken("necrotic", rows)
    for column in ("is_atrophic", "is_angular_atrophic", "is_hypertrophic"):
        sick.mark(column, rows, pd.NA)
    before, after = plain.score().score["denervation"], sick.score().score["denervation"]
    # fewer fibers are behind the shares, which are then a little less sure
    assert after["value"] == pytest.approx(before["value"], abs=0.5)


def test_signs_of_denervation_are_none_of_myopathy() -> None:
    """But for what both have in common, the variability of size."""
    before, after = rows_of(draw_table().score()), rows_of(with_denervation(draw_table()).score())
    for name in before:
        if name != "size_variability":
            assert after[name]["myopathy_log10_lr"] <= before[name]["myopathy_log10_lr"], name


@pytest.mark.parametrize(
    ("path", "family", "change"),
    [
        ("nuclei/assessable", "nuclei", "myopathy"),
        ("tissue/assessable", "interstitium", "myopathy"),
        ("patterns/type_grouping/assessable", "grouping", "denervation"),
    ],
)
def test_what_a_stain_does_not_show_says_nothing_and_widens(
    path: str, family: str, change: str
) -> None:
    # muscle so healthy that what is seen says the least, whatever is resampled
    seen = draw_table(rows=30, columns=30)
    unseen = draw_table(rows=30, columns=30).set(path, False)
    if family == "grouping":
        seen.grouped_types(-0.5)
    first, again = seen.score(), unseen.score()
    of_family = [row for row in rows_of(again).values() if row["family"] == family]
    assert of_family
    for row in of_family:
        assert row["denervation"] == row["myopathy"] == 0.0
        assert not row["counted"]
        assert row["reason"].startswith("not assessable: ")
    assert again.score[change]["value"] > first.score[change]["value"]
    assert width_of(again, change) > width_of(first, change)
    assert_adds_up(again.score)


def test_a_family_without_weight_has_no_part_in_the_score() -> None:
    none = {"weight": {"denervation": 0.0, "myopathy": 0.0}}
    evidence = evidence_with(families={"shape": none})
    with_shape = with_denervation(draw_table()).score(evidence)
    drawn = draw_table()
    drawn.shrink(drawn.some(70), "plain").grouped_atrophy(0.25).grouped_types(0.25)
    without = drawn.score(evidence)
    for change in CHANGES:
        assert with_shape.score[change] == without.score[change]
    for row in rows_of(with_shape).values():
        if row["family"] == "shape":
            assert row["denervation"] == row["myopathy"] == 0.0


def test_more_evidence_never_lowers_the_score() -> None:
    last = {"denervation": 0.0, "myopathy": 0.0}
    for n in (0, 5, 10, 20, 40, 80):
        drawn = draw_table()
        drawn.shrink(drawn.some(n)).with_internal_nuclei(drawn.some(n, 2)).grouped_types(n / 200)
        found = drawn.score().score
        for change in CHANGES:
            assert found[change]["value"] >= last[change] - 1e-9
            last[change] = found[change]["value"]
    assert last["denervation"] > 60
    assert last["myopathy"] > 25


def test_numbers_are_ready_for_json() -> None:
    result = with_myopathy(with_denervation(draw_table("all"))).score()
    assert json.loads(text_of(result)) == result.summary()


def test_a_section_without_fibers_is_too_little() -> None:
    drawn = draw_table(rows=4, columns=4)
    drawn.table, drawn.pairs = drawn.table[:0], drawn.pairs[:0]
    result = drawn.score()
    assert result.score["verdict"] == "not_enough_tissue"
    assert text_of(result)


class TestFolder:
    @pytest.mark.parametrize("stain", STAINS)
    def test_results_give_the_same_score(self, tmp_path: Path, stain: str) -> None:
        drawn = with_denervation(draw_table(stain, age=61))
        again = score_folder(drawn.save(tmp_path))
        expected = drawn.score()
        assert again.score["verdict"] == expected.score["verdict"]
        for change, end in itertools.product(CHANGES, ("value", "low", "high")):
            found = again.score[change][end]
            assert found == pytest.approx(expected.score[change][end], abs=1e-6)
        assert [found.labels for found in again.findings] == [
            found.labels for found in expected.findings
        ]

    def test_another_evidence_file(self, tmp_path: Path) -> None:
        folder = draw_table().save(tmp_path)
        evidence = evidence_with(prior={"denervation": 1.0})
        assert score_folder(folder, evidence).score["baseline"]["denervation"] > 90

    def test_no_results(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match=tmp_path.name):
            score_folder(tmp_path)


class TestBlock:
    def test_one_section_alone_is_a_section(self) -> None:
        section = with_denervation(draw_table()).section()
        assert text_of(score_block([section])) == text_of(score_section(section))
        named = score_block([section], names=["one"])
        assert set(named.score["seen_in"].values()) == {"one"}

    def test_each_finding_is_taken_where_it_is_seen(self) -> None:
        he = with_myopathy(draw_table("he", rows=26, columns=24))
        atpase = with_denervation(draw_table("atpase"))
        result = score_block([he.section(), atpase.section()], names=["he", "atpase"])
        seen, found = result.score["seen_in"], {each.name: each for each in result.findings}
        for name in ("internal_nuclei", "necrosis", "inflammation", "endomysial_fibrosis"):
            assert seen[name] == "he"
        for name in ("type_grouping", "type_2_atrophy", "small_angular_fibers", "size_variability"):
            assert seen[name] == "atpase"
        assert found["internal_nuclei"].n == 26 * 24
        assert found["small_angular_fibers"].n == 480
        assert result.score["verdict"] == "mixed"
        assert_adds_up(result.score)
        assert "no_types" not in [note["name"] for note in result.score["notes"]]

    def test_the_order_of_sections_does_not_matter(self) -> None:
        he = with_myopathy(draw_table("he", rows=26, columns=24)).section()
        atpase = with_denervation(draw_table("atpase")).section()
        first, second = score_block([he, atpase]), score_block([atpase, he])
        for change in CHANGES:
            assert first.score[change] == second.score[change]
        assert "seen_in" not in first.score

    def test_of_two_alike_that_with_more_fibers_counts(self) -> None:
        sections = [draw_table("he", rows=rows).section() for rows in (12, 24, 24)]
        seen = score_block(sections, names=["a", "b", "c"]).score["seen_in"]
        assert seen["size_variability"] == seen["internal_nuclei"] == "b"

    def test_types_of_one_section_free_the_others(self) -> None:
        """Scattered angular fibers may not be of type II where types are known."""
        he, atpase = draw_table("he"), draw_table("atpase")
        he.shrink(he.some(80))
        alone = he.score().score["denervation"]["value"]
        atpase.shrink(atpase.some(80))
        both = score_block([he.section(), atpase.section()])
        assert both.score["denervation"]["value"] > alone
        assert "type II atrophy" not in rows_of(both)["small_angular_fibers"]["reason"]

    def test_the_better_section_decides_whether_there_is_enough(self) -> None:
        few = draw_table("he", rows=3, columns=4).section()
        block = score_block([few, draw_table("atpase").section()])
        assert block.score["verdict"] == "no_abnormality"
        assert "too_small" in [note["name"] for note in block.score["notes"]]

    def test_no_section(self) -> None:
        with pytest.raises(ValueError, match="at least one section"):
            score_block([])


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", sample_slides(), ids=lambda path: path.stem)
def test_samples_from_their_pixels(path: Path, tmp_path: Path) -> None:
    with (path.parent / "sections.csv").open(encoding="utf-8") as sheet:
        stains = {row["path"]: row["stain"] for row in csv.DictReader(sheet)}
    with analyze(path, AnalysisConfig(stain=stains[path.name], device="cpu")) as analysis:
        folder = analysis.save(tmp_path / "results")
        score = analysis.summary["score"]
    assert_adds_up(score)
    saved = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert saved["score"] == to_json_ready(score)
    again = score_folder(folder)
    assert again.score["verdict"] == score["verdict"]
    for change, end in itertools.product(CHANGES, ("value", "low", "high")):
        # tables are written with six digits
        assert again.score[change][end] == pytest.approx(score[change][end], abs=1e-3)
    if path.stem.startswith("normal"):
        assert score["verdict"] == "no_abnormality"
