import numpy as np
import pandas as pd
import pytest
from drawn_reviewed_fibers import reviewed_fibers, reviewed_table

from biopsy_ai.config import RulesConfig, TypeBorder
from biopsy_ai.training.reviewed_fibers import ReviewedFibers
from biopsy_ai.training.rules import learn_rules


def learn(training, held_out, start=None):
    return learn_rules(training, held_out, start or RulesConfig(), model="mine 1")


def sections(*names, **options):
    return [reviewed_fibers(name, ord(name), **options) for name in names]


def rule(found, name):
    (one,) = [rule for rule in found.rules if rule.name == name]
    return one


def test_rules_are_learned_and_judged_on_other_slides():
    found = learn(sections(*"abc", border=1.5), sections(*"xyz", border=1.5))
    assert [one.name for one in found.rules] == ["split", "atpase:9.4"]
    split, types = found.rules
    assert split.taken
    assert found.in_force.limits == split.refitted
    assert split.refitted["cleft_share_above"] == pytest.approx(0.15, abs=0.015)
    assert split.before == {"cleft_share_above": 0.25}
    assert split.comparison.new.f1 > 0.95 > 0.8 > split.comparison.old.f1
    assert types.taken
    assert found.in_force.types == {"atpase:9.4": TypeBorder(**types.refitted)}
    assert found.in_force.source == "refitted to 600 reviewed fibers of 3 slides for mine 1"
    assert (found.n_fibers, found.n_slides) == (600, 3)
    assert found.n_corrected > 100
    assert "Split: taken over. On 600 fibers of 3 held-out slides F1 went from" in found.text
    assert "Types in atpase:9.4: taken over." in found.text
    assert found.as_dict()["refitted"][0]["numbers"]["cleft_share_above"]["old"] == 0.25


def test_each_rule_earns_its_place_by_itself():
    held_out = sections(*"xyz", border=1.5)
    by_lot = []
    for section in held_out:
        order = np.random.default_rng(1).permutation(len(section.table))
        said = section.table["condition"].to_numpy()[order]
        by_lot.append(
            ReviewedFibers(section.slide, section.group, section.table.assign(condition=said))
        )
    found = learn(sections(*"abc", border=1.5), by_lot)
    assert not rule(found, "split").taken
    assert "does not tell what people said" in rule(found, "split").reason
    assert rule(found, "atpase:9.4").taken
    assert not found.in_force.limits


@pytest.mark.parametrize("spoil", ["by lot", "exchanged"])
def test_spoiled_corrections_earn_nothing(spoil):
    rng = np.random.default_rng(0)

    def spoiled(section: ReviewedFibers) -> ReviewedFibers:
        table = section.table.copy()
        if spoil == "by lot":
            order = rng.permutation(len(table))
            for name in ("type", "condition"):
                table[name] = table[name].to_numpy()[order]
        else:
            table["type"] = table["type"].map({"I": "II", "II": "I"})
            table["condition"] = table["condition"].map({"split": "normal", "normal": "split"})
        return ReviewedFibers(section.slide, section.group, table)

    found = learn(*([spoiled(s) for s in sections(*part)] for part in ("abcd", "xyz")))
    assert len(found.rules) == 2
    assert not found.taken
    assert not found.in_force


def test_without_held_out_slides_nothing_is_taken_over():
    found = learn(sections("a"), [])
    assert found.rules[0].refitted
    assert not found.taken
    assert "no slide to judge it on" in found.text
    assert found.in_force == RulesConfig()


def test_too_few_fibers_teach_nothing():
    few = ReviewedFibers("a", "a", reviewed_table(1).iloc[:19])
    found = learn([few], sections(*"xyz"))
    assert not any(one.refitted for one in found.rules)
    assert "19 reviewed fibers" in found.text
    table = reviewed_table(2).assign(condition="normal", type="I")
    table.loc[:3, "condition"] = "split"
    table.loc[:3, "type"] = "II"
    found = learn([ReviewedFibers("a", "a", table)], sections(*"xyz"))
    assert "200 reviewed fibers, 4 of the rarer kind, are too few to learn from" in found.text
    nothing = learn([ReviewedFibers("a", "a", table.assign(reviewed=False))], [])
    assert nothing.rules == ()
    assert "nothing could be learned" in nothing.text


def test_what_was_learned_before_is_the_start_and_stays():
    start = RulesConfig(
        limits={"cleft_share_above": 0.16, "opaque_z": 3.0},
        types={"sdh": TypeBorder(offset=1.0)},
        source="refitted before",
    )
    found = learn(sections(*"ab"), sections(*"xy"), start)
    split = rule(found, "split")
    assert split.before == {"cleft_share_above": 0.16}
    assert found.in_force.limits["opaque_z"] == 3.0
    assert found.in_force.types["sdh"] == TypeBorder(offset=1.0)
    assert found.in_force.source.endswith("refitted before")


def test_a_rule_that_spoils_another_is_not_taken_over():
    """What counts as regenerating is not necrotic."""
    parts = []
    for names in ("abc", "xyz"):
        part = []
        for name in names:
            table = reviewed_table(ord(name)).assign(type="")
            n = len(table)
            sick = np.arange(n) < 30
            pale = (30 <= np.arange(n)) & (np.arange(n) < 60)
            # bluish fibers that people call regenerating, and pale bluish ones that are necrotic
            table["cleft_share"] = 0.0
            for sign in ("basophilia_z", "hematoxylin_z"):
                table[sign] = np.where(sick | pale, 2.1, 0.0)
            table["n_internal_nuclei"] = np.where(sick | pale, 4.0, 0.0)
            table["eosin_z"] = np.where(pale, -4.0, 0.0)
            table["condition"] = np.select([sick, pale], ["regenerating", "necrotic"], "normal")
            part.append(ReviewedFibers(name, name, table))
        parts.append(part)
    found = learn(*parts)
    one = rule(found, "regenerating")
    assert one.comparison.gain.value > 0
    assert not one.taken
    assert "necrotic would be told worse" in one.reason


def test_sections_without_signs_teach_types_alone():
    table = reviewed_table(1, border=1.5).drop(columns="eosin_z")
    found = learn([ReviewedFibers("a", "a", table)], sections(*"xy", border=1.5))
    assert [one.name for one in found.rules] == ["atpase:9.4"]
    assert pd.Series(found.as_dict()["refitted"][0]["numbers"]["offset"]).notna().all()
