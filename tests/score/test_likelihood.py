from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from drawn_tables import evidence_with

from biopsy_ai.score import Evidence, load_evidence
from biopsy_ai.score.evidence import CHANGES, FindingRule, Likelihood
from biopsy_ai.score.likelihood import (
    Weighed,
    likelihood_ratio,
    points_per_decade,
    score_of,
    to_scale,
    weigh,
)
from biopsy_ai.score.measurement import Measurement, constant, missing
from biopsy_ai.score.traps import Veto

PLAIN = FindingRule(title="", family="", unit="", counted="", sentence="")
LOG = PLAIN.model_copy(update={"scale": "log", "offset": 1.0})
SAYS = Likelihood(
    normal=2.0, normal_elderly=3.0, changed=6.0, sd=2.0, most=0.9, least=-0.4, source="", mark="E"
)


def ratio(
    *values: float, error: float = 0.0, rule: FindingRule = PLAIN, elderly: bool = False
) -> tuple[list[float], bool]:
    found, capped = likelihood_ratio(np.array(values), error, rule, SAYS, elderly=elderly)
    return found.tolist(), capped


def normal_density(x: float, mean: float, sd: float) -> float:
    return math.exp(-0.5 * ((x - mean) / sd) ** 2) / sd


def test_nothing_is_said_half_way() -> None:
    assert ratio(4.0) == ([0.0], False)
    assert ratio(4.5, elderly=True) == ([0.0], False)


@pytest.mark.parametrize("x", [3.5, 4.2, 5.0])
def test_the_ratio_of_two_normal_distributions(x: float) -> None:
    expected = math.log10(normal_density(x, 6.0, 2.0) / normal_density(x, 2.0, 2.0))
    assert ratio(x)[0] == [pytest.approx(expected)]


def test_a_value_worked_out_by_hand() -> None:
    # (6 - 2) (5 - 4) / 2² = 1 in natural logarithms
    assert ratio(5.0)[0] == [pytest.approx(0.4342945)]
    # (6 - 3) (5 - 4.5) / 2² = 0.375
    assert ratio(5.0, elderly=True)[0] == [pytest.approx(0.375 * 0.4342945)]
    # (6 - 2) (5 - 4) / (2² + 1.5²) = 0.64
    assert ratio(5.0, error=1.5)[0] == [pytest.approx(0.64 * 0.4342945)]


def test_an_error_brings_it_nearer_to_nothing() -> None:
    for x in (3.5, 5.0):
        sizes = [abs(ratio(x, error=error)[0][0]) for error in (0.0, 1.0, 3.0, 100.0)]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1] == pytest.approx(0, abs=1e-3)


def test_the_ends() -> None:
    assert ratio(60.0) == ([0.9], True)
    assert ratio(-60.0) == ([-0.4], True)
    assert ratio(5.0, 60.0, -60.0) == ([pytest.approx(0.4342945), 0.9, -0.4], False)


def test_without_an_elderly_reference_age_changes_nothing() -> None:
    says = SAYS.model_copy(update={"normal_elderly": None})
    found = [
        likelihood_ratio(np.array([5.0]), 0.0, PLAIN, says, elderly=elderly)[0][0]
        for elderly in (False, True)
    ]
    assert found[0] == found[1]


def test_the_log_scale() -> None:
    np.testing.assert_allclose(to_scale(np.array([0.0, 9.0, 99.0]), LOG), [0, 1, 2])
    assert to_scale(np.array([-5.0]), LOG)[0] == 0
    assert ratio(10**4.0 - 1, rule=LOG)[0] == [pytest.approx(0.0)]
    assert ratio(10**5.0 - 1, rule=LOG)[0] == [pytest.approx(0.4342945)]


def made_up(**findings: dict[str, Any]) -> Evidence:
    """Two families, first (cap 1 and 1) and second (cap 1 and 0), and findings in them."""
    one = {"denervation": 1.0, "myopathy": 1.0}
    rules = {}
    for name, given in findings.items():
        says = {"normal": 0.0, "changed": 1.0, "sd": 1.0, "most": 1.0, "least": -1.0}
        says |= {"source": "x", "mark": "E"}
        rule = {"title": name, "family": "first", "unit": "", "counted": "", "sentence": ""}
        change = given.pop("change", "denervation")
        rules[name] = rule | {change: says} | given
    content = load_evidence().model_dump()
    content |= {
        "tempering": 0.5,
        "families": {
            "first": {"title": "First", "cap": one},
            "second": {"title": "Second", "cap": {**one, "myopathy": 0.0}},
        },
        "findings": rules,
    }
    return Evidence(**content)


def value_for(log10_lr: float) -> float:
    """The value that says so much, of the findings of `made_up`."""
    return 0.5 + log10_lr * math.log(10)


def weighed(
    evidence: Evidence,
    change: str = "denervation",
    vetoes: dict[str, Veto] | None = None,
    **said: float | Measurement,
) -> Weighed:
    n = 1 + evidence.interval.replicates
    measured = {
        name: found
        if isinstance(found, Measurement)
        else Measurement(constant(value_for(found), n), n=50)
        for name, found in said.items()
    }
    rng = np.random.default_rng(0)
    return weigh(change, measured, evidence, vetoes or {}, elderly=False, rng=rng)


def counted(found: Weighed) -> dict[str, float]:
    return {name: float(said.log10_lr[0]) for name, said in found.said.items()}


def test_the_strongest_of_a_family_counts_on_either_side() -> None:
    evidence = made_up(a={}, b={}, c={}, d={})
    found = weighed(evidence, a=0.3, b=0.7, c=-0.2, d=-0.5)
    assert counted(found) == pytest.approx({"a": 0.0, "b": 0.7, "c": 0.0, "d": -0.5})
    assert found.total[0] == pytest.approx(0.5 * 0.2)
    assert set(found.reasons) == {"a", "c"}
    assert "more for denervation already" in found.reasons["a"]
    assert "more against denervation already" in found.reasons["c"]
    assert found.said["a"].heard == pytest.approx(0.3)


@pytest.mark.parametrize("sign", [1, -1])
def test_all_on_one_side_give_one(sign: int) -> None:
    found = weighed(made_up(a={}, b={}, c={}), a=0.1 * sign, b=0.6 * sign, c=0.3 * sign)
    assert counted(found) == pytest.approx({"a": 0.0, "b": 0.6 * sign, "c": 0.0})
    assert found.total[0] == pytest.approx(0.5 * 0.6 * sign)


def test_two_that_say_the_same_count_once() -> None:
    found = weighed(made_up(a={}, b={}), a=0.6, b=0.6)
    assert sorted(counted(found).values()) == pytest.approx([0.0, 0.6])


def test_families_add_up() -> None:
    evidence = made_up(a={}, b={"family": "second"})
    assert weighed(evidence, a=0.3, b=0.4).total[0] == pytest.approx(0.5 * 0.7)


def test_a_family_never_exceeds_its_cap() -> None:
    evidence = made_up(a={}, b={})
    found = weighed(evidence, a=30.0, b=20.0)
    assert found.total[0] == pytest.approx(0.5 * 1.0)
    assert found.said["a"].capped
    assert not weighed(evidence, a=0.3, b=0.2).said["a"].capped
    assert np.abs(weighed(evidence, a=-30.0, b=30.0).total).max() <= 0.5 + 1e-12


def test_tempering_and_weights() -> None:
    evidence = made_up(a={}, b={"family": "second"})

    def total(tempering: float, first: float, second: float) -> float:
        changed = evidence.model_dump()
        changed["tempering"] = tempering
        for name, weight in (("first", first), ("second", second)):
            changed["families"][name]["weight"] = {"denervation": weight}
        return float(weighed(Evidence(**changed), a=0.3, b=0.4).total[0])

    assert total(1.0, 1.0, 1.0) == pytest.approx(0.7)
    assert total(0.7, 1.0, 1.0) == pytest.approx(0.49)
    assert total(1.0, 2.0, 0.5) == pytest.approx(0.8)
    assert total(1.0, 0.0, 1.0) == pytest.approx(0.4)
    assert total(1.0, 0.0, 0.0) == 0.0


def test_a_weight_is_of_one_change() -> None:
    evidence = made_up(a={})
    changed = evidence.model_dump()
    changed["families"]["first"]["weight"] = {"myopathy": 0.0}
    assert weighed(Evidence(**changed), a=0.3).total[0] == pytest.approx(0.15)


def test_a_finding_speaks_of_its_own_change_alone() -> None:
    evidence = made_up(a={"change": "myopathy"})
    assert weighed(evidence, a=0.6).said == {}
    assert weighed(evidence, "myopathy", a=0.6).total[0] == pytest.approx(0.3)
    with pytest.raises(ValueError, match="neuropathy is none of denervation, myopathy"):
        weighed(evidence, "neuropathy", a=0.6)


def test_a_family_that_is_not_seen_says_nothing_and_scatters() -> None:
    evidence = made_up(a={}, b={"family": "second"})
    seen = weighed(evidence, a=0.2, b=0.3)
    half = weighed(evidence, a=0.2, b=missing("no stain"))
    none = weighed(evidence, a=missing("no stain"), b=missing("no stain"))
    assert none.total[0] == 0.0
    assert half.total[0] == pytest.approx(0.5 * 0.2)
    assert seen.total.std() == pytest.approx(0, abs=1e-12)
    sd = 0.5 * evidence.interval.unseen_sd
    assert half.total[1:].std() == pytest.approx(sd, rel=0.15)
    assert none.total[1:].std() == pytest.approx(sd * math.sqrt(2), rel=0.15)
    assert "b" not in half.said


def test_a_family_that_may_say_nothing_does_not_scatter() -> None:
    evidence = made_up(a={"change": "myopathy"})
    assert weighed(evidence, "myopathy", a=0.2).total.std() == pytest.approx(0, abs=1e-12)


def test_what_is_not_seen_moves_no_replicate_of_others() -> None:
    evidence = made_up(a={"measurement_sd": 0.3}, b={"family": "second"})
    with_b = weighed(evidence, a=0.2, b=0.3)
    without = weighed(evidence, a=0.2, b=missing("no stain"))
    np.testing.assert_array_equal(with_b.said["a"].log10_lr, without.said["a"].log10_lr)


def test_errors_of_measurement_scatter_and_weaken() -> None:
    exact = weighed(made_up(a={}), a=0.4)
    rough = weighed(made_up(a={"measurement_sd": 0.5}), a=0.4)
    assert rough.total[0] == pytest.approx(exact.total[0] / (1 + 0.5**2))
    assert rough.total[1:].std() > 0.05
    few = Measurement(constant(value_for(0.4), 401), n=4, least_sd=0.5)
    assert weighed(made_up(a={}), a=few).total[0] == pytest.approx(rough.total[0])


def test_few_fibers_prove_little() -> None:
    evidence = made_up(a={"fiber_sd": 2.0})

    def total(n: int) -> float:
        found = Measurement(constant(value_for(0.4), 401), n=n)
        return float(weighed(evidence, a=found).total[0])

    assert total(16) == pytest.approx(0.5 * 0.4 / (1 + 0.5**2))
    assert total(10**8) == pytest.approx(0.5 * 0.4)


def test_scatter_of_the_replicates_is_an_error_too() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([[value_for(0.4)], value_for(0.4) + rng.normal(0, 0.7, 400)])
    found = weighed(made_up(a={}), a=Measurement(values, 50))
    spread = values[1:].std()
    assert found.total[0] == pytest.approx(0.5 * 0.4 / (1 + spread**2))


def test_scatter_on_the_log_scale() -> None:
    evidence = made_up(a={"scale": "log", "offset": 1.0, "measurement_sd": 0.5})
    found = weighed(evidence, a=Measurement(constant(10 ** value_for(0.4) - 1, 401), 50))
    assert found.total[0] == pytest.approx(0.5 * 0.4 / (1 + 0.5**2))
    zero = weighed(evidence, a=Measurement(constant(0.0, 401), 50))
    assert np.isfinite(zero.total).all()


def test_what_is_absent_says_the_least() -> None:
    absent = Measurement(constant(99.0, 401), 50, absent=True)
    found = weighed(made_up(a={}), a=absent)
    assert counted(found) == {"a": -1.0}
    assert not found.said["a"].capped


def test_vetoes() -> None:
    evidence = made_up(a={}, b={})
    veto = {"a": Veto("denervation", 0.1, "a trap")}
    found = weighed(evidence, vetoes=veto, a=0.8, b=-0.3)
    assert counted(found) == pytest.approx({"a": 0.1, "b": -0.3})
    assert found.reasons == {"a": "a trap"}
    less = weighed(evidence, vetoes=veto, a=0.05, b=-0.3)
    assert counted(less) == pytest.approx({"a": 0.05, "b": -0.3})
    assert less.reasons == {}
    other = weighed(evidence, vetoes={"a": Veto("myopathy", 0.0, "a trap")}, a=0.8)
    assert counted(other) == pytest.approx({"a": 0.8})


def test_a_veto_lets_another_of_the_family_speak() -> None:
    veto = {"a": Veto("denervation", 0.0, "a trap")}
    found = weighed(made_up(a={}, b={}), vetoes=veto, a=0.8, b=0.3)
    assert counted(found) == pytest.approx({"a": 0.0, "b": 0.3})


def test_scores() -> None:
    np.testing.assert_allclose(score_of(np.array([0.0, 1.0, -1.0]), 0.0), [50, 1000 / 11, 100 / 11])
    np.testing.assert_allclose(score_of(np.array([0.0]), -1.0), [100 / 11])
    found = score_of(np.array([1e9, -1e9]), 0.0)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, [100, 0], atol=1e-12)


@pytest.mark.parametrize("prior", [-1.0, 0.0, 0.7])
@pytest.mark.parametrize("total", [-2.0, -1e-4, 0.0, 1e-12, 0.3, 2.5])
def test_points_lead_from_the_baseline_to_the_score(total: float, prior: float) -> None:
    start, end = score_of(np.array([0.0, total]), prior)
    assert start + total * points_per_decade(total, prior) == pytest.approx(end, abs=1e-9)
    assert points_per_decade(total, prior) > 0


def test_points_of_no_evidence_are_the_slope_there() -> None:
    near = [points_per_decade(total, 0.3) for total in (-1e-5, 0.0, 1e-5)]
    assert near[1] == pytest.approx(near[0], rel=1e-3)
    assert near[1] == pytest.approx(near[2], rel=1e-3)


def test_weights_of_both_changes_in_the_bundled_file_are_one() -> None:
    evidence = evidence_with()
    for family in evidence.families.values():
        assert [family.weight.of(change) for change in CHANGES] == [1.0, 1.0]
