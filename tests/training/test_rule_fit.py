import numpy as np
import pandas as pd
import pytest
from drawn_reviewed_fibers import reviewed_fibers, reviewed_table

from biopsy_ai.config import TypeBorder
from biopsy_ai.measure.condition import CONDITIONS
from biopsy_ai.measure.reference import DEFAULTS, Limits, check_limits
from biopsy_ai.training.reviewed_fibers import ReviewedFibers
from biopsy_ai.training.rule_fit import (
    LIMITS_OF,
    SLIP,
    border_told,
    conditions_told,
    fit_border,
    fit_condition,
    log_loss,
    soft_f1,
)


def test_a_limit_goes_to_where_people_see_it():
    sections = [reviewed_fibers(name, seed) for seed, name in enumerate("abc")]
    found = fit_condition("split", sections, DEFAULTS)
    assert found == {"cleft_share_above": pytest.approx(0.15, abs=0.012)}
    assert found == fit_condition("split", sections, DEFAULTS), "the same each time"
    check_limits(found)


def test_a_limit_that_is_right_stays():
    sections = [reviewed_fibers(name, seed, split_from=0.25) for seed, name in enumerate("abc")]
    found = fit_condition("split", sections, DEFAULTS)["cleft_share_above"]
    assert found == pytest.approx(0.25, abs=0.02)


def test_few_corrections_change_little():
    moved = [
        0.25
        - fit_condition("split", [ReviewedFibers("a", "a", table)], DEFAULTS)["cleft_share_above"]
        for table in (reviewed_table(1).iloc[:6], reviewed_table(1))
    ]
    assert 0 < moved[0] < 0.3 * moved[1]


@pytest.mark.parametrize("name", LIMITS_OF)
def test_every_condition_can_be_fitted(name):
    rng = np.random.default_rng(4)
    n = 300
    table = reviewed_table(n=n)
    sick = np.arange(n) < 40
    signs = {
        "regenerating": {"basophilia_z": 1.8, "hematoxylin_z": 1.8, "n_internal_nuclei": 2},
        "necrotic": {"eosin_z": -1.5, "n_internal_nuclei": 4},
        "hypercontracted": {"eosin_z": 1.8, "circularity": 0.97},
        "split": {"cleft_share": 0.18},
        "vacuolated": {"clear_share": 0.02},
    }[name]
    table["cleft_share"] = 0.02
    for column, value in signs.items():
        noise = rng.normal(0, 0.05 * abs(value), n)
        table[column] = np.where(sick, value, 0.0) + noise
    table["condition"] = np.where(sick, name, "normal")
    sections = [ReviewedFibers("a", "a", table)]
    limits = Limits(learned=fit_condition(name, sections, DEFAULTS))
    before, after = (conditions_told(sections, [name], each)[name] for each in (DEFAULTS, limits))
    assert ((before.told >= 0.5) == sick).mean() < 0.9
    assert ((after.told >= 0.5) == sick).mean() > 0.97


def test_fibers_that_cannot_be_judged_do_not_count():
    table = reviewed_table(n=40)
    table.loc[:9, "cleft_share"] = np.nan
    table.loc[10:19, "reviewed"] = False
    found = conditions_told([ReviewedFibers("a", "a", table)], CONDITIONS, DEFAULTS)
    assert len(found["split"].said) == 20
    assert set(found["split"].group) == {"a"}
    table["in_artefact"] = True
    found = conditions_told([ReviewedFibers("a", "a", table)], CONDITIONS, DEFAULTS)
    assert len(found["necrotic"].said) == 0
    assert len(found["split"].said) == 20, "a cleft shows in a fold, too"


def test_holes_of_ice_crystals_are_told_by_all_fibers():
    table = reviewed_table(n=60)
    table["clear_share"] = np.where(np.arange(60) < 20, 0.1, 0.0)
    # a third of the fibers have holes, but only these were looked at
    table["reviewed"] = np.arange(60) >= 10
    told = conditions_told([ReviewedFibers("a", "a", table)], ["vacuolated"], DEFAULTS)
    assert (told["vacuolated"].told < 0.5).all()


def test_a_border_goes_to_where_people_see_it():
    sections = [reviewed_fibers(name, seed, border=1.5) for seed, name in enumerate("abcd")]
    found = fit_border(sections, TypeBorder())
    # type I is seen from this logit on
    assert -found.offset / found.slope == pytest.approx(1.5, abs=0.25)
    assert found == fit_border(sections, TypeBorder())
    unmoved = fit_border([reviewed_fibers(n, k) for k, n in enumerate("abcd")], TypeBorder())
    assert unmoved.offset == pytest.approx(0.0, abs=0.3)


def test_posteriors_that_are_too_sure_become_less_so():
    table = reviewed_table(5, n=400)
    rng = np.random.default_rng(0)
    logits = np.log(table["type_i_share"] / (1 - table["type_i_share"]))
    table["type"] = np.where(rng.random(400) < 1 / (1 + np.exp(-0.4 * logits)), "I", "II")
    found = fit_border([ReviewedFibers("a", "a", table)], TypeBorder())
    assert found.slope == pytest.approx(0.4, abs=0.1)


def test_a_few_types_change_little():
    table = reviewed_table(2, border=1.5).iloc[:6]
    found = fit_border([ReviewedFibers("a", "a", table)], TypeBorder())
    assert abs(found.offset) < 1.0
    assert 0.6 < found.slope < 1.6


def test_no_single_word_decides():
    loss = log_loss(np.array([1.0, 1.0, 0.5, np.nan]), np.array([1.0, 0.0, 1.0, 1.0]))
    np.testing.assert_allclose(loss[:3], -np.log([1 - SLIP, SLIP, 0.5]))
    assert np.isnan(loss[3])


def test_soft_f1_is_f1_where_all_is_sure():
    told, said = np.array([1.0, 1.0, 0.0, 0.0]), np.array([1.0, 0.0, 1.0, 0.0])
    assert soft_f1(told, said) == pytest.approx(0.5)
    assert soft_f1(said, said) == 1.0
    assert soft_f1(0.9 * said, said) > soft_f1(0.8 * said, said)


def test_types_that_the_stain_does_not_tell_are_left_out():
    table = reviewed_table(n=30)
    table.loc[:4, "type_i_share"] = np.nan
    table.loc[5:9, "type"] = "I/IIA"
    told = border_told([ReviewedFibers("a", "a", table)], TypeBorder())
    assert len(told.said) == 20
    assert len(border_told([], TypeBorder()).said) == 0
    assert pd.Series(told.said).isin([0.0, 1.0]).all()
