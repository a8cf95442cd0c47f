from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from drawn_cohorts import DrawnCohort, draw_cohort
from typer.testing import CliRunner

from biopsy_ai.cli import app
from biopsy_ai.errors import CalibrationError
from biopsy_ai.score import load_evidence
from biopsy_ai.score.calibrated_evidence import as_text, write_evidence
from biopsy_ai.score.calibration import Calibration, calibrate, fit, folds
from biopsy_ai.score.labeled_cohort import read_labeled_cohort


def learn(drawn: DrawnCohort, seed: int = 0) -> Calibration:
    evidence = load_evidence()
    cohort = read_labeled_cohort(drawn.cohort, drawn.labels, evidence)
    return calibrate(cohort, evidence, seed=seed)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DrawnCohort:
    return draw_cohort(tmp_path_factory.mktemp("cohort"), patients=240)


@pytest.fixture(scope="module")
def learned(drawn: DrawnCohort) -> Calibration:
    return learn(drawn)


def test_families_that_tell_get_weight_and_noise_shrinks(learned: Calibration) -> None:
    denervation, myopathy = learned.fitted
    assert denervation.change == "denervation"
    assert (denervation.n_with, denervation.n_without) == (120, 120)
    assert denervation.weights["grouping"] > 1.5
    assert myopathy.weights["nuclei"] > 1.5
    for score in learned.fitted:
        assert score.weights["interstitium"] < 0.6
        assert score.weights["size"] == pytest.approx(1.0), "nothing was seen of it"
        assert abs(score.prior) < 0.5
        assert min(score.weights.values()) >= 0


def test_figures_are_those_of_patients_not_fitted_on(learned: Calibration) -> None:
    for score in learned.fitted:
        assert score.after.brier < score.before.brier
        assert score.after.auc > score.before.auc
        assert score.after.auc_low < score.after.auc < score.after.auc_high
        assert score.after.slope == pytest.approx(1.0, abs=0.5)
        assert score.before.slope is not None
        assert score.after.intercept == pytest.approx(0.0, abs=0.3)


def test_labels_at_random_teach_nothing(tmp_path: Path) -> None:
    drawn = draw_cohort(tmp_path, patients=80)
    words = np.random.default_rng(3).permutation(["normal", "mixed"] * 40)
    drawn.relabel(
        *(f"{name},{word}" for name, word in zip(drawn.folders, words, strict=True)),
        header="folder,label",
    )
    learned = learn(drawn)
    for score in learned.fitted:
        assert 0.3 < score.after.auc < 0.7
    useless = replace(
        learned, fitted=tuple(replace(s, after=replace(s.before)) for s in learned.fitted)
    )
    with pytest.raises(CalibrationError, match="nothing was written"):
        write_evidence(tmp_path / "mine.yaml", None, load_evidence(), useless)
    assert not (tmp_path / "mine.yaml").exists()


def test_a_score_that_the_fit_does_not_help_keeps_its_weights(
    learned: Calibration, tmp_path: Path
) -> None:
    first, second = learned.fitted
    half = replace(learned, fitted=(replace(first, after=first.before), second))
    write_evidence(tmp_path / "mine.yaml", None, load_evidence(), half)
    mine = load_evidence(tmp_path / "mine.yaml")
    assert mine.families["grouping"].weight.denervation == 1.0
    assert mine.families["nuclei"].weight.myopathy > 1.5
    assert mine.calibration is not None
    assert not mine.calibration["scores"]["denervation"]["used"]


def test_the_prior_of_an_uneven_cohort_is_remarked_on(tmp_path: Path) -> None:
    drawn = draw_cohort(tmp_path, patients=80, kinds=("normal", "normal", "normal", "myopathy"))
    told = " ".join(learn(drawn).notes)
    assert "holds where 25 % of the patients have it" in told
    assert "raise it by 0.48" in told


def test_the_same_seed_gives_the_same(drawn: DrawnCohort, learned: Calibration) -> None:
    again = learn(drawn)
    assert as_text(again, load_evidence()) == as_text(learned, load_evidence())
    assert [score.weights for score in again.fitted] == [s.weights for s in learned.fitted]


@pytest.mark.parametrize("seed", range(5))
def test_no_patient_is_parted_and_no_fold_lacks_a_class(seed: int) -> None:
    rng = np.random.default_rng(seed)
    patients = rng.integers(0, 40, 150)
    patients[:40] = np.arange(40)
    strata = (patients % 4).astype(np.int64)
    truth = strata == 0
    left_out = np.zeros(150, int)
    for test in folds(patients, truth, strata, rng):
        left_out += test
        assert not set(patients[test]) & set(patients[~test])
        assert truth[test].any()
        assert not truth[test].all()
        kinds = np.unique(strata[np.unique(patients[test])], return_counts=True)[1]
        assert kinds.min() == kinds.max() == 2, "each kind is dealt to all folds alike"
    assert (left_out == 1).all()


def test_slides_of_a_patient_count_as_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, truth = rng.standard_normal((30, 2)), rng.random(30) < 0.5
    start, patients = np.ones(2), np.arange(30)
    once = fit(x, truth, patients, start, 0.01)
    at = np.r_[np.arange(30), [4] * 9]
    np.testing.assert_allclose(fit(x[at], truth[at], patients[at], start, 0.01), once, atol=1e-4)
    assert fit(x, truth, patients, start, 1e6)[1:] == pytest.approx(1.0, abs=1e-3)


def test_small_cohorts_are_refused(tmp_path: Path) -> None:
    drawn = draw_cohort(tmp_path, patients=8, slides=4)
    with pytest.raises(CalibrationError, match="10 patients with it and 10 without.* 4 and 4"):
        learn(drawn)


def test_one_score_may_be_fitted_by_itself(tmp_path: Path) -> None:
    drawn = draw_cohort(tmp_path, patients=40, kinds=("normal", "myopathy"))
    learned = learn(drawn)
    assert [score.change for score in learned.fitted] == ["myopathy"]
    assert any("not fitted: denervation" in note and "0 and 40" in note for note in learned.notes)
    out = tmp_path / "mine.yaml"
    write_evidence(out, None, load_evidence(), learned)
    mine = load_evidence(out)
    assert mine.families["nuclei"].weight.denervation == 1.0
    assert mine.families["nuclei"].weight.myopathy != 1.0


def test_the_file_is_one_for_evidence(learned: Calibration, tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"
    default = load_evidence()
    write_evidence(out, None, default, learned, date=datetime.date(2030, 1, 2))
    mine = load_evidence(out)
    for score in learned.fitted:
        assert mine.prior.of(score.change) == pytest.approx(score.prior, abs=1e-4)
        for family, weight in score.weights.items():
            found = mine.families[family].weight.of(score.change)
            assert found == pytest.approx(weight, abs=1e-4)
    assert mine.findings == default.findings
    assert (mine.tempering, mine.traps, mine.interval) == (
        default.tempering,
        default.traps,
        default.interval,
    )
    assert mine.name == "default, calibrated"
    said = yaml.safe_load(out.read_text(encoding="utf-8"))["calibration"]
    assert said == mine.calibration
    assert said["date"] == "2030-01-02"
    assert said["n_patients"] == 240
    assert set(said["inputs"]) == {"cohort_sha256", "labels_sha256", "evidence_sha256"}
    assert said["scores"]["myopathy"]["out_of_fold"]["auc"] > 0.8


def test_the_command(drawn: DrawnCohort, tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"

    def run(*options: object) -> tuple[int, str]:
        words = ["calibrate", drawn.cohort, "--labels", drawn.labels, *options]
        result = CliRunner().invoke(app, [str(word) for word in words])
        return result.exit_code, result.output

    code, told = run("--out", out)
    assert code == 0
    assert "calibrated, out of fold" in told
    assert "120 patients with it, 120 without" in told
    assert load_evidence(out).calibration is not None
    code, told = run("--out", drawn.labels)
    assert code != 0
    assert "would replace a file that is read" in told
    code, told = run("--out", tmp_path / "other.yaml", "--evidence", out)
    assert code == 1
    assert "another evidence file" in told
