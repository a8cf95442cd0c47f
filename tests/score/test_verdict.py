from __future__ import annotations

import numpy as np
import pytest

from biopsy_ai.score import load_evidence
from biopsy_ai.score.evidence import CHANGES
from biopsy_ai.score.likelihood import score_of
from biopsy_ai.score.verdict import TEXTS, Verdict, find_verdict

EVIDENCE = load_evidence()
MIDDLE, FAR = EVIDENCE.verdict.present_above, EVIDENCE.verdict.outweighs_from


def around(score: float, spread: float) -> np.ndarray:
    """Evidence of that score, and of replicates around it that go as far as `spread` decades."""
    middle = np.log10(score / (100 - score))
    return np.concatenate([[middle], middle + np.linspace(-spread, spread, 401)])


def conclude(
    denervation: float,
    myopathy: float,
    spread: float = 0.05,
    *,
    n: int = 400,
    excluded: float = 0.0,
    type_2: bool | None = False,
    other_spread: float | None = None,
) -> Verdict:
    totals = {
        "denervation": around(denervation, spread),
        "myopathy": around(myopathy, spread if other_spread is None else other_spread),
    }
    return find_verdict(
        {change: score_of(total, 0.0) for change, total in totals.items()},
        totals,
        n_measured=n,
        excluded_percent=excluded,
        type_2_atrophy=type_2,
        evidence=EVIDENCE,
    )


@pytest.mark.parametrize(
    ("denervation", "myopathy", "options", "name"),
    [
        (20, 20, {}, "no_abnormality"),
        (90, 20, {}, "denervation"),
        (20, 90, {}, "myopathy"),
        (20, 20, {"type_2": True}, "type2_atrophy"),
        (90, 85, {}, "mixed"),
        (52, 20, {"spread": 0.4}, "indeterminate"),
        (20, 48, {"spread": 0.4}, "indeterminate"),
        (90, 20, {"n": 19}, "not_enough_tissue"),
        (90, 20, {"excluded": 41}, "not_enough_tissue"),
    ],
)
def test_each_verdict(denervation: float, myopathy: float, options: dict, name: str) -> None:
    found = conclude(denervation, myopathy, **options)
    assert found.name == name
    written = found.as_dict()
    assert set(written) == {*CHANGES, "axis", "verdict", "verdict_text"}
    assert (written["axis"] is not None) == (name in CHANGES)
    assert (written["denervation"]["value"] is None) == (name == "not_enough_tissue")


def test_all_verdicts_have_words_that_do_not_diagnose() -> None:
    assert len(TEXTS) == 7
    for text in TEXTS.values():
        assert not {"diagnosis", "diagnosed", "disease", "detected"} & set(text.lower().split())


def test_limits_of_enough_tissue() -> None:
    least, most = EVIDENCE.verdict.least_fibers, EVIDENCE.traps.excluded_most
    assert conclude(90, 20, n=least, excluded=most).name == "denervation"
    assert conclude(90, 20, n=least - 1, excluded=most).name == "not_enough_tissue"
    assert conclude(90, 20, n=least, excluded=most + 0.01).name == "not_enough_tissue"


def test_nothing_is_told_of_too_little_tissue() -> None:
    written = conclude(90, 20, n=3).as_dict()
    for change in CHANGES:
        assert written[change] == {"value": None, "low": None, "high": None}
    assert written["axis"] is None


def test_presence_is_of_the_whole_interval() -> None:
    sure = around(60, 0.1)
    reach = np.percentile(sure[1:] - sure[0], 95)
    evidence_at_middle = np.log10(60 / 40)
    assert conclude(60, 20, 0.1 * 0.99 * evidence_at_middle / reach).name == "denervation"
    assert conclude(60, 20, 0.1 * 1.01 * evidence_at_middle / reach).name == "indeterminate"


def test_the_interval_of_each_score() -> None:
    written = conclude(70, 30, 0.2).as_dict()
    low, high = score_of(np.log10(70 / 30) + np.array([-0.18, 0.18]), 0.0)
    assert written["denervation"] == {
        "value": pytest.approx(70),
        "low": pytest.approx(low),
        "high": pytest.approx(high),
    }


def test_the_axis_compares_both() -> None:
    found = conclude(90, 20, 0.0).as_dict()
    odds = (90 / 10) / (20 / 80)
    assert found["axis"]["value"] == pytest.approx(100 * odds / (1 + odds))
    assert found["axis"]["low"] <= found["axis"]["value"] <= found["axis"]["high"]
    mirrored = conclude(20, 90, 0.0).as_dict()
    assert mirrored["axis"]["value"] == pytest.approx(100 - found["axis"]["value"])


def test_of_two_that_are_present_one_may_outweigh_the_other() -> None:
    odds = (60 / 40) * (FAR / (100 - FAR))
    near, far = (100 * odds * k / (1 + odds * k) for k in (0.95, 1.05))
    assert conclude(near, 60, 0.0).name == "mixed"
    assert conclude(far, 60, 0.0).name == "denervation"
    assert conclude(60, far, 0.0).name == "myopathy"
    assert conclude(60, near, 0.0).name == "mixed"


def test_a_change_is_not_named_where_the_other_scores_higher() -> None:
    found = conclude(65, 75, 0.1, other_spread=0.8)
    assert found.scores["denervation"]["low"] > MIDDLE
    assert found.scores["myopathy"]["low"] < MIDDLE
    assert found.name == "indeterminate"
    assert found.axis is None
    assert conclude(75, 65, 0.1, other_spread=0.8).name == "denervation"
    for denervation, myopathy in ((65, 75), (75, 65)):
        swapped = find_verdict(
            {
                "denervation": score_of(around(denervation, 0.8), 0.0),
                "myopathy": score_of(around(myopathy, 0.1), 0.0),
            },
            {"denervation": around(denervation, 0.8), "myopathy": around(myopathy, 0.1)},
            n_measured=400,
            excluded_percent=0.0,
            type_2_atrophy=False,
            evidence=EVIDENCE,
        )
        assert swapped.name == ("myopathy" if myopathy > denervation else "indeterminate")


def test_type_2_atrophy_gives_way_to_either_change() -> None:
    assert conclude(90, 20, type_2=True).name == "denervation"
    assert conclude(20, 90, type_2=True).name == "myopathy"
    assert conclude(52, 20, 0.4, type_2=True).name == "indeterminate"
    assert conclude(48, 20, 0.4, type_2=True).name == "type2_atrophy"
    assert conclude(20, 20, type_2=None).name == "no_abnormality"
