"""What makes denervation look present where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_mosaics import clumped, contacts_of, hexagons, inside, types_of
from drawn_tables import (
    NORMAL_UM,
    DrawnTable,
    draw_table,
    findings_of,
    notes_of,
    rows_of,
    width_of,
    with_denervation,
    with_type_2_atrophy,
)

from biopsy_ai.measure.reference import Limits
from biopsy_ai.patterns.type_grouping import find_type_grouping
from biopsy_ai.score import load_evidence
from biopsy_ai.score.evidence import CHANGES
from biopsy_ai.score.traps import ANGULAR

EVIDENCE = load_evidence()
TRAPS = EVIDENCE.traps
QUICK = Limits(
    {
        "largest_group_permutations": 99,
        "exploratory_permutations": 199,
        "sensitivity_perturbations": 5,
    }
)


def scattered(drawn: DrawnTable, n: int = 80) -> DrawnTable:
    return drawn.shrink(drawn.some(n))


def test_healthy_muscle_has_no_notes() -> None:
    result = draw_table(age=40, muscle="vastus lateralis").score()
    assert notes_of(result) == {}
    assert result.score["verdict"] == "no_abnormality"
    for row in rows_of(result).values():
        for change in CHANGES:
            assert row[f"{change}_log10_lr"] <= 0.05, row["finding"]


def mosaic(types: np.ndarray) -> DrawnTable:
    """Types on the lattice of a drawn section, tested as in a real one."""
    drawn = draw_table(rows=26, columns=26, side=None)
    centers, pairs = hexagons(26, 26)
    found = find_type_grouping(
        contacts_of(pairs, inside(centers)),
        types_of(types, centers),
        n_permutations=199,
        limits=QUICK,
    )
    drawn.table["type"] = np.where(types, "I", "II")
    drawn.table["group"] = found.fibers["group"].to_numpy()
    return drawn.set("patterns/type_grouping", found.summary)


def test_groups_of_a_type_that_prevails_are_no_grouping() -> None:
    for seed in range(3):
        types = np.random.default_rng(seed).random(26 * 26) < 0.85
        drawn = mosaic(types)
        largest = drawn.summary["patterns"]["type_grouping"]["largest_group"]
        assert largest["I"]["observed"] > 300
        result = drawn.score()
        assert rows_of(result)["type_grouping"]["denervation_log10_lr"] < 0
        note = notes_of(result)["type_predominance"]
        assert note.startswith(("84 %", "85 %", "86 %", "83 %", "87 %"))
        assert "of type I:" in note


def test_true_groups_of_a_type_that_prevails_are() -> None:
    rng = np.random.default_rng(0)
    _, pairs = hexagons(26, 26)
    one, other = clumped(pairs, 676, rng), clumped(pairs, 676, rng)
    result = mosaic(one | other).score()
    assert rows_of(result)["type_grouping"]["denervation_log10_lr"] > 0.8
    assert "type_predominance" in notes_of(result)


def test_shares_of_types_that_are_usual_are_not_noted() -> None:
    drawn = draw_table(rows=20, columns=20)
    for n, noted in ((200, False), (240, True), (160, True)):
        drawn.table["type"] = np.where(np.arange(400) < n, "I", "II")
        assert ("type_predominance" in notes_of(drawn.score())) is noted
    # one fiber that was typed by hand
    drawn.table["type"] = np.where(np.arange(400) < 1, "II", "")
    assert "type_predominance" not in notes_of(drawn.score())


@pytest.mark.parametrize("finding", ["type_grouping", "small_angular_fibers"])
def test_old_age_is_held_to_what_is_usual_then(finding: str) -> None:
    said = {}
    for age in (30, 59.9, 60, 85, None):
        drawn = draw_table(age=age).grouped_types(0.1)
        result = drawn.shrink(drawn.some(25)).score()
        said[age] = rows_of(result)[finding]["denervation_log10_lr"]
        assert ("age" in notes_of(result)) is (age is not None and age >= 60)
    assert said[30] == said[59.9] == said[None] > said[60] == said[85]


def test_the_age_is_told() -> None:
    assert notes_of(draw_table(age=72.5).score())["age"].startswith("At 72.5 years")


@pytest.mark.parametrize("name", ["Extensor digitorum brevis", *TRAPS.distal_muscles])
def test_distal_muscles_are_noted(name: str) -> None:
    assert name.lower() in notes_of(draw_table(muscle=name).score())["muscle"]
    assert "muscle" not in notes_of(draw_table(muscle="deltoid").score())


def test_angular_fibers_at_the_edge_of_fascicles_are_no_denervation() -> None:
    plain = with_denervation(draw_table().set("patterns/perifascicular_atrophy/ratio", 0.95))
    edge = with_denervation(draw_table().set("patterns/perifascicular_atrophy/ratio", 0.7))
    before, after = rows_of(plain.score()), rows_of(edge.score())
    for name in (*ANGULAR, "grouped_atrophy"):
        assert after[name]["denervation_log10_lr"] <= 0
        assert "edge of fascicles" in after[name]["reason"]
    assert before["small_angular_fibers"]["denervation_log10_lr"] > 0.3
    assert before["grouped_atrophy"]["denervation_log10_lr"] > 0
    assert after["perifascicular_atrophy"]["myopathy_log10_lr"] > 0.4
    assert (
        after["type_grouping"]["denervation_log10_lr"]
        == before["type_grouping"]["denervation_log10_lr"]
    )
    assert "dermatomyositis" in notes_of(edge.score())["perifascicular"]
    assert "perifascicular" not in notes_of(plain.score())


@pytest.mark.parametrize(("step", "noted"), [(-0.01, True), (0.01, False)])
def test_the_limit_of_perifascicular_atrophy(step: float, noted: bool) -> None:
    ratio = TRAPS.perifascicular_below + step
    result = draw_table().set("patterns/perifascicular_atrophy/ratio", ratio).score()
    assert ("perifascicular" in notes_of(result)) is noted


def test_small_fibers_of_type_ii_alone_are_no_denervation() -> None:
    result = with_type_2_atrophy(draw_table("atpase")).score()
    found, rows = findings_of(result), rows_of(result)
    assert found["small_angular_fibers"]["grade"] == "severe"
    for name in ANGULAR:
        assert rows[name]["denervation_log10_lr"] <= 0
        assert "type II alone" in rows[name]["reason"]
    assert result.score["verdict"] == "type2_atrophy"
    assert result.score["verdict_text"] == "Compatible with selective type II atrophy"
    assert result.score["type2_atrophy"]["present"] is True
    assert "corticosteroids" in notes_of(result)["type_2_atrophy"]


def test_small_fibers_of_both_types_are() -> None:
    result = scattered(draw_table("atpase")).score()
    assert rows_of(result)["small_angular_fibers"]["denervation_log10_lr"] > 0.4
    assert result.score["type2_atrophy"]["present"] is False
    assert "absent" in result.score["type2_atrophy"]["text"]


def test_type_ii_may_be_smaller_in_old_age() -> None:
    ratio = (TRAPS.type_2_ratio_below + TRAPS.type_2_ratio_below_elderly) / 2
    for age, present in ((40, True), (75, False)):
        drawn = draw_table("atpase", age=age)
        second = np.flatnonzero(drawn.table["type"] == "II")
        drawn.shrink(second, "plain").mark("min_feret_um", second, NORMAL_UM * ratio)
        drawn.mark("min_feret_um", np.flatnonzero(drawn.table["type"] == "I"), NORMAL_UM)
        assert drawn.score().score["type2_atrophy"]["present"] is present


def test_oblique_sections_are_noted() -> None:
    drawn = draw_table().set(
        "fibers/obliquity", {"median_feret_aspect_ratio": 1.9, "oblique": True}
    )
    result = drawn.score()
    assert "obliquely" in notes_of(result)["oblique"]
    assert findings_of(result)["obliquity"]["grade"] == "moderate"
    assert result.score["denervation"] == draw_table().score().score["denervation"]


@pytest.mark.parametrize(("percent", "noted"), [(-1.0, False), (0.0, True), (40.0, True)])
def test_fibers_that_may_be_cut_in_two_are_noted(percent: float, noted: bool) -> None:
    share = (TRAPS.long_contacts_from + percent) / 100
    drawn = draw_table().set("patterns/type_grouping/over_segmentation/share_dropped", share)
    notes = notes_of(drawn.score())
    assert ("over_segmentation" in notes) is noted
    if noted:
        assert notes["over_segmentation"].startswith(f"{100 * share:.0f} % of the contacts")


def test_tissue_that_is_left_out_is_noted() -> None:
    for percent, noted in (
        (TRAPS.excluded_note_from - 0.1, False),
        (TRAPS.excluded_note_from, True),
    ):
        result = draw_table().set("quality/excluded_percent", percent).score()
        assert ("artefact" in notes_of(result)) is noted
    spoiled = with_denervation(draw_table()).set("quality/excluded_percent", 41.0).score()
    assert spoiled.score["verdict"] == "not_enough_tissue"


def test_too_few_fibers() -> None:
    least = EVIDENCE.verdict.least_fibers
    enough = draw_table(rows=2, columns=least // 2)
    few = draw_table(rows=2, columns=least // 2)
    few.mark("excluded", np.array([0]), "cut")
    assert enough.score().score["verdict"] != "not_enough_tissue"
    result = few.score()
    assert result.score["verdict"] == "not_enough_tissue"
    assert result.score["axis"] is None
    for change in CHANGES:
        assert result.score[change] == {"value": None, "low": None, "high": None}
    assert "too_small" in notes_of(result)


def test_few_fibers_are_noted_and_widen_the_interval() -> None:
    def denervated(rows: int, columns: int) -> DrawnTable:
        drawn = draw_table(rows=rows, columns=columns, side=None)
        small = drawn.some(len(drawn) // 8)
        return drawn.shrink(small).grouped_types(0.12).grouped_atrophy(0.2)

    few, many = denervated(8, 8).score(), denervated(40, 30).score()
    assert notes_of(few)["too_small"].startswith("Only 64 fibers")
    assert notes_of(few)["too_small_for_grouping"].startswith("64 typed fibers")
    assert not {"too_small", "too_small_for_grouping"} & set(notes_of(many))
    assert width_of(few, "denervation") > 1.3 * width_of(many, "denervation")


def test_few_typed_fibers_are_noted() -> None:
    drawn = draw_table()
    drawn.mark("type", np.arange(len(drawn) - TRAPS.few_typed + 1), "")
    assert "too_small_for_grouping" in notes_of(drawn.score())
    assert "too_small" not in notes_of(drawn.score())


def test_without_types_scattered_angular_fibers_may_be_of_type_ii() -> None:
    typed, plain = scattered(draw_table()).score(), scattered(draw_table("he")).score()
    most = TRAPS.untyped_angular_most
    assert rows_of(typed)["small_angular_fibers"]["denervation_log10_lr"] > most
    held = rows_of(plain)["small_angular_fibers"]
    assert held["denervation_log10_lr"] == most
    assert "may also be selective type II atrophy" in held["reason"]
    assert "no_types" in notes_of(plain)
    assert "no_types" not in notes_of(typed)
    assert plain.score["verdict"] == "indeterminate"
    assert plain.score["type2_atrophy"]["present"] is None
    assert "not assessable" in plain.score["type2_atrophy"]["text"]


def test_without_types_grouped_angular_fibers_speak_freely() -> None:
    for excess, free in ((TRAPS.grouped_from - 0.01, False), (TRAPS.grouped_from, True)):
        result = scattered(draw_table("he")).grouped_atrophy(excess).score()
        held = rows_of(result)["small_angular_fibers"]["denervation_log10_lr"]
        assert (held > TRAPS.untyped_angular_most) is free


def test_clumps_with_many_internal_nuclei_are_noted() -> None:
    drawn = draw_table().set("nuclei/clumps", {"n": 20})
    assert "clumps" not in notes_of(drawn.score())
    drawn.with_internal_nuclei(drawn.some(60))
    assert "inclusion body myositis" in notes_of(drawn.score())["clumps"]
