"""The benchmark of the scores: what is drawn, how it is judged, and one small cohort to the end."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

Load = Callable[[str], Any]


def rows_of(table: str) -> list[dict[str, str]]:
    header, _, *rows = (
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in table.splitlines()
        if line.startswith("|")
    )
    return [dict(zip(header, row, strict=True)) for row in rows]


# --- what is drawn --------------------------------------------------------------------------------


def test_every_disease_is_drawn_and_can_be_drawn_again(load: Load) -> None:
    cohort = load("score_cohort")
    biopsies = [cohort.draw_biopsy(k, 1000) for k in range(96)]
    assert {b.disease for b in biopsies} == set(cohort.DISEASES)
    assert {(b.disease, b.use_case) for b in biopsies} == {
        (disease, case) for disease in cohort.DISEASES for case in cohort.USE_CASES
    }
    assert cohort.draw_biopsy(17, 1000) == biopsies[17]
    assert cohort.draw_biopsy(17, 2000).tissue != biopsies[17].tissue
    assert {b.band for b in biopsies} == {"none", *cohort.BANDS}
    for biopsy in biopsies:
        assert len(biopsy.imaging) == len(biopsy.stains) == (2 if biopsy.use_case == "both" else 1)
        assert ("he" in biopsy.stains) == (biopsy.use_case != "atpase")
        assert cohort.SIDE_UM[0] <= biopsy.size_um <= cohort.SIDE_UM[1]
        assert (biopsy.age > 70) or biopsy.disease != "ageing"


def test_a_disease_without_severity_is_normal_muscle(load: Load) -> None:
    tissue = load("score_tissue")

    def drawn(disease: str, severity: float) -> dict[str, Any]:
        rng = np.random.default_rng(5)
        values = tissue.draw_tissue(disease, severity, "male", 40, "deltoid", rng)
        return asdict(values)

    none, end = drawn("dystrophy", 0.0), drawn("dystrophy", 1.0)
    normal = drawn("normal", 0.0)
    changed = {name for name in normal if none[name] != normal[name]}
    # what the disease does to its few small fibers
    assert changed <= {"angular_share", "fibrosis_um"}
    for name in ("internal_nuclei", "diameter_cv", "endomysium_um", "necrotic", "rounding"):
        assert end[name] > normal[name]
    denervated = drawn("active_denervation", 1.0)
    assert max(denervated["motor_units_lost"], denervated["atrophic_share"]) > 0.2
    assert drawn("type2_atrophy", 1.0)["diameter_um"][1] < 0.75 * normal["diameter_um"][1]


def test_the_score_does_not_know_the_cohort() -> None:
    import biopsy_ai

    package = Path(biopsy_ai.__file__).parent / "score"
    for module in package.glob("*.py"):
        text = module.read_text(encoding="utf-8")
        assert "score_tissue" not in text
        assert "biopsy_ai.synthesis" not in text


# --- measures -------------------------------------------------------------------------------------


def test_area_under_the_curve(load: Load) -> None:
    auc = load("score_metrics").auc
    truth = np.array([False, False, True, True])
    assert auc(np.array([1.0, 2.0, 3.0, 4.0]), truth) == 1
    assert auc(np.array([4.0, 3.0, 2.0, 1.0]), truth) == 0
    assert auc(np.ones(4), truth) == 0.5
    assert auc(np.array([1.0, 3.0, 2.0, 4.0]), truth) == 0.75
    assert auc(np.array([1.0, 2.0, 2.0, 4.0]), truth) == 0.875
    assert math.isnan(auc(np.ones(2), np.array([True, True])))


def test_brier_and_calibration(load: Load) -> None:
    metrics = load("score_metrics")
    values, truth = np.array([0.0, 100.0, 50.0, 50.0]), np.array([False, True, True, False])
    assert metrics.brier(values, truth) == pytest.approx(0.125)
    bins = metrics.calibration(values, truth, n_bins=3)
    assert sum(group.n for group in bins) == 4
    assert [(group.said, group.seen) for group in bins] == [(0, 0), (50, 50), (100, 100)]
    assert metrics.calibration_error(bins) == 0
    wrong = metrics.calibration(np.full(10, 90.0), np.arange(10) < 3)
    assert metrics.calibration_error(wrong) == pytest.approx(60)
    # odds of 1 to 3 before anything is seen
    assert metrics.with_prior(np.array([50.0, 75.0]), 0.25) == pytest.approx([25, 50])


def test_coverage_of_right_intervals(load: Load) -> None:
    metrics = load("score_metrics")
    rng = np.random.default_rng(0)
    true = rng.normal(0, 0.4, 20_000)

    def section(scale: float) -> np.ndarray:
        odds = true + rng.normal(0, 0.2, len(true))
        half = 1.6449 * 0.2 * scale
        ends = 10.0 ** np.column_stack([odds, odds - half, odds + half])
        return 100 * ends / (1 + ends)

    right = metrics.covered(section(1), section(1))
    assert right[0].mean() == pytest.approx(0.90, abs=0.01)
    assert right[1].mean() == pytest.approx(0.755, abs=0.01)
    narrow = metrics.covered(section(0.5), section(0.5))
    assert narrow[0].mean() < 0.65
    # scores at the ends are not infinitely far from each other
    ends = np.array([[100.0, 99.0, 100.0]])
    assert metrics.covered(ends, ends)[0].all()


def test_bootstrap_holds_the_value(load: Load) -> None:
    metrics = load("score_metrics")
    rng = np.random.default_rng(1)
    truth = np.arange(80) % 2 == 0
    values = truth + rng.normal(0, 1, 80)
    low, high = metrics.bootstrap(metrics.auc, values, truth, n=200)
    assert low < metrics.auc(values, truth) < high
    assert metrics.bootstrap(metrics.auc, values, truth, n=200) == (low, high)


def test_myopath_by_hand(load: Load) -> None:
    myopath = load("myopath")
    summary = {
        "fibers": {"quantities": {"area_um2": {"cv": 0.5}, "circularity": {"mean": 0.8}}},
        "nuclei": {
            "centralization": {"index": 0.05},
            "nuclei_per_fiber": 2.0,
            "interstitial": {"per_mm2_tissue": 1000.0},
        },
        "tissue": {"fat_percent": 10.0, "connective_percent": 20.0},
    }
    # -9.17 + 1.3555 + 1.98 + 6.576 + 0.17 + 0.86 + 0.246 + 0.001 = 2.0185
    found = myopath.myopath_score(myopath.myopath_measures(summary))
    assert found == pytest.approx(100 / (1 + math.exp(-2.0185)))
    del summary["nuclei"]["centralization"]
    assert math.isnan(myopath.myopath_score(myopath.myopath_measures(summary)))


# --- tables ---------------------------------------------------------------------------------------


def made_up(load: Load, *, wrong: bool = False) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What a score without a fault, or the opposite, says of a cohort of 48."""
    cohort, results = load("score_cohort"), load("score_results")
    described = []
    for part in ("first", "second"):
        for k in range(48):
            biopsy = cohort.draw_biopsy(k, 1000)
            row: dict[str, Any] = {
                "number": k,
                "part": part,
                "n_fibers": 300,
                "myopath": 50.0 + k % 7,
                "tempering": 0.5,
                "verdict": "indeterminate" if wrong else results.RIGHT[biopsy.disease],
            }
            row |= {
                name: getattr(biopsy, name) for name in ("disease", "severity", "band", "use_case")
            }
            evidence = {"family": "size", "counted": True}
            for change in results.CHANGES:
                present = biopsy.disease in results.PRESENT[change]
                weight = 2.0 if present != wrong else -2.0
                odds = 10 ** (0.5 * weight)
                row[change] = round(100 * odds / (1 + odds), 2)
                row |= {f"{change}_low": row[change] - 5, f"{change}_high": row[change] + 5}
                row[f"{change}_baseline"] = 50.0
                evidence[f"{change}_log10_lr"] = weight
            described.append(row | {"evidence": [evidence, evidence | {"counted": False}]})
    return results.frames_of(described)


def test_a_perfect_score_meets_the_goals(load: Load) -> None:
    score = load("score")
    biopsies, evidence = made_up(load)
    goals = rows_of(score.goal_table(biopsies))
    assert len(goals) == 11
    assert {row["what"]: row[""] for row in goals if row[""] != "met"} == {
        f"90 % interval of {change} covers": "not met" for change in ("denervation", "myopathy")
    }  # all pairs agree, which is more than 95 %
    text = score.report(biopsies, evidence)
    assert "48 biopsies" in text
    confusion = {row["disease"]: row for row in rows_of(score.verdict_table(biopsies))}
    assert confusion["mixed"]["mixed"] == confusion["mixed"]["n"]


def test_a_useless_score_is_seen(load: Load) -> None:
    score = load("score")
    biopsies, _ = made_up(load, wrong=True)
    goals = {row["what"]: row for row in rows_of(score.goal_table(biopsies))}
    assert goals["AUC denervation, clear biopsies"][""] == "not met"
    assert goals["AUC denervation, clear biopsies"]["found"].startswith("0.000")
    assert goals["indeterminate, all biopsies"]["found"] == "100.0 % of 48"
    assert goals["normal and ageing called abnormal"][""] == "met"


def test_leaving_out_the_only_family_leaves_nothing(load: Load) -> None:
    results = load("score_results")
    biopsies, evidence = made_up(load)
    for change in results.CHANGES:
        again = results.without_family(biopsies, evidence, change, None)
        assert again == pytest.approx(biopsies[change].to_numpy(), abs=0.01)
        assert results.without_family(biopsies, evidence, change, "size") == pytest.approx(50)
        assert results.without_family(biopsies, evidence, change, "nuclei") == pytest.approx(again)


# --- from pixels ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_small_biopsies_to_the_end(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort, sections, results = load("score_cohort"), load("score_sections"), load("score_results")
    monkeypatch.setattr(cohort, "SIDE_UM", (300.0, 300.0))
    for number in (4, 8):
        sections.make_part(tmp_path, number, 1000, "first")
    assert not list(tmp_path.glob("*/.*"))
    parts = results.part_folders(tmp_path)
    assert [part.parent.name for part in parts] == ["0004_dystrophy", "0008_normal"]
    truth = json.loads((parts[0] / "truth.json").read_text(encoding="utf-8"))
    assert truth["seed"] == 1004
    assert truth["true"]["he"]["n"] > 5
    for part, stain in zip(parts, ("he", "atpase"), strict=True):
        assert {path.name for path in (part / stain).iterdir()} == {
            "fibers.csv",
            "contacts.csv",
            "summary.json",
        }
    scorer = results.package_scorer()
    biopsies, _ = results.frames_of(results.describe_part(part, scorer) for part in parts)
    assert set(biopsies["verdict"]) <= set(results.VERDICTS)
    assert biopsies["myopath"].notna().tolist() == [True, False]
    assert "dystrophy" in load("score").verdict_table(biopsies)
