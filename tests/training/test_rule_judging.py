import numpy as np
import pytest

from biopsy_ai.evaluation import cohen_kappa
from biopsy_ai.training.judging import Interval
from biopsy_ai.training.rule_fit import Said, log_loss
from biopsy_ai.training.rule_judging import (
    Judged,
    RuleComparison,
    Scores,
    compare_rules,
    judge_rule,
    judged_condition,
    judged_types,
)


def judged(said, called, loss=0.1, groups=2) -> Judged:
    n = len(said)
    group = np.array([f"slide {k * groups // n}" for k in range(n)])
    return Judged(np.array(said), np.array(called), np.full(n, loss), group)


def comparison(old=0.5, new=0.6, low=0.01, **changes) -> RuleComparison:
    def scores(f1: float, loss: float) -> Scores:
        return Scores(0.5, 0.5, f1, f1, f1, loss)

    values = {
        "judged_by": "f1",
        "old": scores(old, 0.2),
        "new": scores(new, 0.1),
        "gain": Interval(new - old, low, 0.2),
        "loss_gain": Interval(0.1, 0.05, 0.2),
        "n": 100,
        "n_yes": 20,
        "n_groups": 3,
    }
    return RuleComparison(**(values | changes))


def test_scores_are_those_of_their_definitions():
    said = [1, 1, 1, 0, 0, 0, 0, 0, 1, 0]
    called = [1, 1, 0, 1, 0, 0, 0, 0, 2, 2]
    found = compare_rules(judged(said, called), judged(said, said, 0.02), "f1")
    assert found.old.precision == pytest.approx(2 / 3)
    assert found.old.recall == pytest.approx(2 / 4)
    assert found.old.f1 == pytest.approx(4 / 7)
    assert found.old.agreement == pytest.approx(6 / 10)
    assert found.old.kappa == pytest.approx(cohen_kappa(said, called, categories=[0, 1, 2]))
    assert found.new == Scores(1, 1, 1, 1, 1, pytest.approx(0.02))
    assert found.gain.value == pytest.approx(3 / 7)
    assert found.loss_gain.value == pytest.approx(0.08)
    assert (found.n, found.n_yes, found.n_groups) == (10, 4, 2)
    assert found.as_dict()["old"]["f1"] == round(4 / 7, 4)
    assert found == compare_rules(judged(said, called), judged(said, said, 0.02), "f1")


def test_the_interval_is_over_slides():
    said = [1, 0] * 20
    half = [1, 0] * 10 + [0, 0] * 10
    found = compare_rules(judged(said, half), judged(said, said), "f1")
    assert found.gain.low == pytest.approx(0.0)
    assert found.gain.high == pytest.approx(1.0)
    alone = compare_rules(judged(said, half, groups=1), judged(said, said, groups=1), "f1")
    assert np.isnan(alone.gain.low)
    assert alone.as_dict()["gain"]["low"] is None


def test_conditions_are_called_as_flags_are():
    told, said = np.array([0.5, 0.49, 0.9]), np.array([1.0, 1.0, 0.0])
    found = judged_condition(Said(told, said, np.array(["a", "a", "b"])))
    assert found.called.tolist() == [1, 0, 1]
    np.testing.assert_allclose(found.loss, log_loss(told, said))


def test_types_are_called_where_they_are_probable_enough():
    told, neither = np.array([0.9, 0.9, 0.05, 0.5]), np.array([0.0, 0.2, 0.1, 0.0])
    said = Said(told, np.array([1.0, 1.0, 0.0, 0.0]), np.array(["a"] * 4))
    assert judged_types(said, neither, 0.8).called.tolist() == [1, 2, 0, 2]


def test_what_is_better_is_taken_over():
    taken, text = judge_rule(comparison(), {"split": 0.0})
    assert taken
    assert "On 100 fibers of 3 held-out slides F1 went from 0.500 to 0.600 (+0.100" in text
    taken, text = judge_rule(comparison(low=float("nan"), n_groups=1), {})
    assert taken
    assert "judged on one slide or patient alone" in text


@pytest.mark.parametrize(
    ("found", "others", "words"),
    [
        (None, {}, "no slide to judge it on"),
        (comparison(n=19, n_yes=9), {}, "19 held-out fibers, 9 of the rarer kind, are too few"),
        (comparison(n_yes=4), {}, "100 held-out fibers, 4 of the rarer kind"),
        (comparison(n_yes=97), {}, "3 of the rarer kind"),
        (comparison(old=0.1, new=0.19), {}, "does not tell what people said"),
        (comparison(new=0.5), {}, "no better"),
        (comparison(low=-0.06), {}, "By the interval, it may be worse"),
        (comparison(), {"split": -0.01, "necrotic": 0.1}, "But split would be told worse"),
    ],
)
def test_what_is_not_stays_as_it_was(found, others, words):
    taken, text = judge_rule(found, others)
    assert not taken
    assert words in text


def test_types_are_better_by_their_loss_while_calls_stay():
    same = {"judged_by": "agreement", "gain": Interval(0.0, 0.0, 0.0)}
    assert comparison(**same).is_better
    assert not comparison(**same, loss_gain=Interval(0.0005, 0.0, 0.0)).is_better
    fewer = {"judged_by": "agreement", "gain": Interval(-0.01, -0.02, 0.0)}
    assert not comparison(**fewer).is_better
