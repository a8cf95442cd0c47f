from __future__ import annotations

from types import SimpleNamespace

import pytest

from biopsy_ai.config import AnalysisConfig, RulesConfig, TypeBorder, make_config
from biopsy_ai.errors import ConfigError, ModelError
from biopsy_ai.learned_rules import rules_of, with_rules

RULES = {
    "limits": {"pale_z": 1.5},
    "types": {"sdh": {"slope": 0.8, "offset": -0.5}},
    "source": "refitted to 300 fibers",
    "refitted": [{"name": "necrotic"}],
}


def model(rules):
    return SimpleNamespace(spec={"name": "mine", **({"rules": rules} if rules else {})})


def test_the_rules_of_a_model_are_taken_up():
    config = with_rules(AnalysisConfig(stain="he"), model(RULES))
    assert config.stain == "he"
    assert config.rules.types["sdh"] == TypeBorder(slope=0.8, offset=-0.5)
    limits = config.limits_in_force
    assert limits["pale_z"] == 1.5
    reference = limits.reference("pale_z")
    assert reference.mark == "learned"
    assert reference.source.startswith("refitted to 300 fibers; the default is 2 (")


def test_the_user_wins_over_the_model_and_the_model_over_what_was_there():
    given = AnalysisConfig(
        measurement={"limits": {"pale_z": 3.0}}, rules=RulesConfig(limits={"opaque_z": 9.0})
    )
    limits = with_rules(given, model(RULES)).limits_in_force
    assert limits["pale_z"] == 3.0
    assert limits.reference("pale_z").mark == "user"
    assert limits["opaque_z"] == 2.5, "that of another model"
    assert not with_rules(given, model(None)).rules
    assert not with_rules(given, None).rules


def test_settings_read_as_they_did_where_nothing_is_learned():
    plain = AnalysisConfig()
    assert "rules" not in plain.model_dump(mode="json")
    assert with_rules(plain, model(None)) is plain
    learned = with_rules(plain, model(RULES))
    again = make_config(**learned.model_dump(mode="json"))
    assert again == learned
    assert hash(again.rules) == hash(learned.rules)


@pytest.mark.parametrize(
    "rules",
    [
        {"limits": {"unheard_of": 1.0}, "types": {}, "source": ""},
        {"limits": {"pale_z": -1.0}, "types": {}, "source": ""},
        {"limits": {}, "types": {"sdh": {"slope": 0.0, "offset": 0.0}}, "source": ""},
        {"limits": {}},
        ["pale_z"],
    ],
)
def test_rules_of_another_version_are_refused(rules):
    with pytest.raises(ModelError, match="the rules cannot be read"):
        rules_of({"rules": rules})


def test_settings_with_wrong_rules_are_refused():
    with pytest.raises(ConfigError, match=r"rules\.limits"):
        make_config(rules={"limits": {"unheard_of": 1.0}})
