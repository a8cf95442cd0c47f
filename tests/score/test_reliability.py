from __future__ import annotations

import numpy as np
import pytest

from biopsy_ai.score.reliability import LN10, area_under_curve, judge


def test_area_under_the_curve_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    values, truth = rng.integers(0, 6, 40).astype(float), rng.random(40) < 0.4
    weight = rng.uniform(0.5, 2.0, 40)
    above = (values[truth][:, None] > values[~truth]) + 0.5 * (
        values[truth][:, None] == values[~truth]
    )
    pairs = weight[truth][:, None] * weight[~truth]
    expected = (above * pairs).sum() / pairs.sum()
    assert area_under_curve(values, truth, weight) == pytest.approx(expected)


def test_figures_of_right_and_of_distorted_scores() -> None:
    rng = np.random.default_rng(1)
    log_odds = 1.5 * rng.standard_normal(6000)
    truth = rng.random(6000) < 1 / (1 + np.exp(-log_odds))
    patients = np.arange(6000)
    right = judge(log_odds / LN10, truth, patients, rng)
    assert right.slope == pytest.approx(1.0, abs=0.08)
    assert right.intercept == pytest.approx(0.0, abs=0.04)
    extreme = judge(2 * log_odds / LN10 - 0.5, truth, patients, rng)
    assert extreme.slope == pytest.approx(0.5, abs=0.05)
    assert extreme.intercept is not None
    assert extreme.intercept > 0.2
    assert extreme.brier > right.brier
    assert extreme.auc == pytest.approx(right.auc)


def test_intervals_draw_patients_and_not_slides() -> None:
    rng = np.random.default_rng(2)
    truth = np.arange(40) % 2 > 0
    values = truth + 1.2 * rng.standard_normal(40)
    once = judge(values, truth, np.arange(40), np.random.default_rng(0))
    times = np.repeat(np.arange(40), 10)
    often = judge(values[times], truth[times], times, np.random.default_rng(0))
    assert often.as_dict() == pytest.approx(once.as_dict())


def test_scores_that_part_the_classes_have_no_slope() -> None:
    truth = np.arange(40) >= 20
    found = judge(np.where(truth, 1.0, -1.0), truth, np.arange(40), np.random.default_rng(0))
    assert (found.auc, found.accuracy, found.slope) == (1.0, 1.0, None)
