from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from drawn_datasets import write_pair
from drawn_reviewed_fibers import reviewed_table, write_measured

from biopsy_ai.config import RulesConfig
from biopsy_ai.errors import ConfigError, TrainingDataError
from biopsy_ai.learned_rules import rules_of
from biopsy_ai.segmentation import InstanceThresholds, load_model, save_model
from biopsy_ai.segmentation.network import FiberNet
from biopsy_ai.training.relearning import relearn_rules
from biopsy_ai.training.retrained import learned_from

TINY = {"stem": 8, "widths": [8, 8, 8, 8, 8]}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    spec = {
        "name": "tiny",
        "version": "7",
        "architecture": TINY,
        "thresholds": InstanceThresholds(),
        "trained_on": [{"image": "old", "license": "CC0"}],
        "start": None,
    }
    return save_model(tmp_path_factory.mktemp("models") / "tiny", FiberNet(**TINY), spec)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for number in range(1, 6):
        table = reviewed_table(number, border=1.5)
        write_measured(folder / f"slide{number}", number, table)
    return folder


@pytest.fixture
def relearn(base, data, tmp_path):
    def one(path=data, out="mine", **options):
        return relearn_rules(path, tmp_path / out, **({"start": base} | options))

    return one


def test_rules_go_on_learning_and_the_network_stays(relearn, base):
    told = []
    made = relearn(held_out=["slide4", "slide5"], told=told.append)
    (checked,) = told
    assert checked.reviewed["reviewed_fibers"] == 1000
    assert made.verdict.ready
    assert (made.held_out, made.samples) == (None, None)
    old, new = load_model(base), load_model(made.folder)
    assert new.weights_sha256 == old.weights_sha256
    assert (new.name, new.spec["version"], new.warning) == ("mine", "1", "")
    rules = rules_of(new.spec)
    assert rules == made.rules.in_force
    assert rules.limits["cleft_share_above"] == pytest.approx(0.15, abs=0.02)
    assert rules.types["atpase:9.4"].offset < -1
    part = new.spec["rules"]
    assert part["network_of"] == {"name": "tiny", "version": "7"}
    assert [one["image"] for one in part["learned_from"]] == ["slide1", "slide2", "slide3"]
    assert part["held_out"][0]["measured_sha256"]
    card = (made.folder / "README.md").read_text(encoding="utf-8")
    assert "The network is that of tiny 7." in card
    assert "| split | cleft_share_above 0.25 → 0.1" in card
    expected = "2 of 2 rules earned their place: split, types in atpase:9.4."
    assert made.verdict.text == new.spec["ready_reason"] == expected
    assert "Split: taken over." in made.rules.text
    assert "In force: `cleft_share_above` 0.1" in card


def test_what_was_learned_from_is_not_judged_on_later(relearn, data):
    first = relearn(held_out=["slide4", "slide5"])
    told = []
    second = relearn(start=first.folder, out="next", told=told.append)
    held = {told[0].items[k].item.name for k in told[0].held_out}
    assert held <= {"slide4", "slide5"}
    spec = load_model(second.folder).spec
    assert spec["rules"]["before"]["network_of"] == {"name": "tiny", "version": "7"}
    assert {f"{n:064x}" for n in (1, 2, 3)} <= learned_from(spec)


def test_one_slide_is_never_ready(relearn, data, tmp_path):
    write_measured(tmp_path / "data" / "one", 1)
    made = relearn(tmp_path / "data")
    assert not made.verdict.ready
    assert "No rule was learned" in made.verdict.text
    model = load_model(made.folder)
    assert rules_of(model.spec) == RulesConfig()
    assert "no slide to judge it on" in model.warning
    assert "No rule was taken over" in (made.folder / "README.md").read_text(encoding="utf-8")


def test_problems_are_told_at_once(relearn, tmp_path):
    write_pair(tmp_path / "data", "pair")
    with pytest.raises(TrainingDataError, match="no review tells what was measured"):
        relearn(tmp_path / "data")
    good = write_measured(tmp_path / "data" / "good", 1)
    (good / "measured.csv").write_text("label\n1\n")
    write_measured(tmp_path / "data" / "gone", 2)
    (tmp_path / "data" / "gone" / "measured.csv").unlink()
    with pytest.raises(TrainingDataError, match="2 problems with the data") as raised:
        relearn(tmp_path / "data")
    assert "Export the review again" in str(raised.value)
    assert not (tmp_path / "mine").exists()


def test_a_model_is_not_written_over_unasked(relearn, base):
    made = relearn()
    with pytest.raises(ConfigError, match="stands there already"):
        relearn()
    with pytest.raises(ConfigError, match="the model to begin from"):
        relearn(start=made.folder, overwrite=True)
    assert relearn(overwrite=True, version="2").folder == made.folder
    spec = yaml.safe_load((made.folder / "model.yaml").read_text(encoding="utf-8"))
    assert spec["version"] == "2"


def test_a_model_that_is_not_ready_does_not_become_so(relearn, base, tmp_path):
    model = load_model(base)
    spec = {**model.spec, "ready": False, "ready_reason": "Too few slides."}
    unready = save_model(tmp_path / "unready", model.unfolded(), spec)
    made = relearn(start=unready, held_out=["slide4", "slide5"])
    assert made.rules.taken
    assert not made.verdict.ready
    assert "Too few slides." in made.verdict.text
