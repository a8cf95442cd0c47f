"""``biopsy-ai train DATASET``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from biopsy_ai.cli import app


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def retrained(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options that retraining is asked for; it takes no time and finds that nothing changed."""
    pytest.importorskip("torchvision")
    import biopsy_ai.training.retraining as room
    from biopsy_ai.training.judging import Counts, SlideScore, compare, judge

    asked: dict[str, Any] = {}

    def retrain(path: Path, out: Path, *, told: Any, report: Any, **options: Any) -> Any:
        asked.update(options, path=path, out=out)
        report(room.TrainingStep(0, 50, None, 0.5))
        report(room.TrainingStep(25, 50, 0.7, None))
        same = Counts(90, 10, 10)
        slides = compare([SlideScore(name, name, same, same) for name in "ab"])
        return room.Retrained(out, judge(slides, slides), slides, slides, 61.0)

    monkeypatch.setattr(room, "retrain", retrain)
    return asked


def test_train_on_own_slides(retrained: dict[str, Any], tmp_path: Path) -> None:
    from biopsy_ai.training.settings import FINE_TUNING

    done = run("train", tmp_path / "slides", "--out", tmp_path / "mine")
    assert done.exit_code == 0
    assert retrained["path"] == tmp_path / "slides"
    assert (retrained["start"], retrained["config"]) == ("muscle", FINE_TUNING)
    assert "Step 0 of 50: held-out F1 0.500" in done.stderr
    assert "F1 on held-out slides: old 0.900" in done.stderr
    assert "mine, ready for use (1.0 min)." in done.stderr

    options = ["--from", "other", "--mpp", "0.25", "--channels", "border=3", "--partly"]
    options += ["--license", "MIT", "--held-out", "a", "--held-out", "b", "--steps", "7"]
    done = run("train", tmp_path, "--out", tmp_path / "mine", *options, "--log", "json")
    assert retrained["start"] == "other"
    given = retrained["options"]
    assert (given.mpp, given.channel, given.license, given.partly) == (0.25, 3, "MIT", True)
    assert (list(retrained["held_out"]), retrained["config"].steps) == (["a", "b"], 7)
    first, second, last = (json.loads(line) for line in done.stdout.splitlines())
    assert first == {
        "event": "training", "step": 0, "steps": 50, "loss": None, "held_out_f1": 0.5,
    }  # fmt: skip
    assert second["held_out_f1"] is None
    assert (last["event"], last["ready"], last["folder"]) == ("model", True, str(tmp_path / "mine"))
    assert last["held_out"]["gain"]["f1"] == 0


def test_rules_alone_are_learned_without_training(tmp_path: Path) -> None:
    import torch
    from drawn_reviewed_fibers import reviewed_table, write_measured

    from biopsy_ai.segmentation import InstanceThresholds, save_model
    from biopsy_ai.segmentation.network import FiberNet

    architecture = {"stem": 8, "widths": [8, 8, 8, 8, 8]}
    torch.manual_seed(0)
    spec = {"name": "tiny", "version": "1", "architecture": architecture}
    spec["thresholds"] = InstanceThresholds()
    model = save_model(tmp_path / "tiny", FiberNet(**architecture), spec)  # type: ignore[arg-type]
    for number in (1, 2, 3):
        write_measured(tmp_path / "data" / f"s{number}", number, reviewed_table(number))
    command = ["train", tmp_path / "data", "--learn", "rules", "--from", model]
    done = run(*command, "--check")
    assert "600 fibers were looked at, of which" in done.stderr
    done = run(*command, "--out", tmp_path / "mine", "--held-out", "s3")
    assert done.exit_code == 0, done.stderr
    assert "Split: taken over." in done.stderr
    assert done.stderr.count("Split: ") == 1
    assert "mine, ready for use" in done.stderr
    done = run(*command, "--out", tmp_path / "more", "--log", "json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    found = next(event for event in events if event["event"] == "dataset")
    assert (found["reviewed_fibers"], found["with_type"]) == (600, 600)
    last = events[-1]
    assert (last["event"], last["held_out"]) == ("model", None)
    assert last["rules"]["refitted"][0]["name"] == "split"
    told = run("models", "info", tmp_path / "mine").stdout
    assert "learned limit\tcleft_share_above 0.1" in told
    assert "rules\trefitted to 400 reviewed fibers of 2 slides for mine 1" in told


def test_train_says_which_options_go_together(tmp_path: Path) -> None:
    for arguments, words in [
        (["--mpp", "0.5", "--partly"], "--mpp, --partly: only with DATASET"),
        ([tmp_path, "--real", "a.yaml"], "--real: not with DATASET"),
        ([tmp_path, "--learn", "all"], "--learn all: choose outlines, rules, or outlines,rules"),
        (["--learn", "rules"], "--learn: only with DATASET"),
        ([tmp_path, "--channels", "I=2"], "border=3"),
        ([tmp_path], "--out is missing"),
        ([], "--out is missing"),
        ([tmp_path, "--crop", "100"], "a multiple of 64"),
    ]:
        done = run("train", *arguments)
        assert done.exit_code == 2
        assert words in done.stderr


def test_train_checks_data_alone(tmp_path: Path) -> None:
    from drawn_datasets import write_pair, write_reviewed

    write_reviewed(tmp_path / "one", 1)
    write_reviewed(tmp_path / "two", 2)
    done = run("train", tmp_path, "--check")
    assert done.exit_code == 0
    assert "2 pictures of 2 patients or slides" in done.stderr
    assert "corrected by Ada" in done.stderr
    write_pair(tmp_path, "a")
    (tmp_path / "a.tif").unlink()
    done = run("train", tmp_path, "--check", "--log", "json")
    assert done.exit_code == 1
    events = [json.loads(line) for line in done.stdout.splitlines()]
    (found,) = [event for event in events if event["event"] == "dataset"]
    assert (found["pictures"], found["slides"], found["reviewers"]) == (2, 2, ["Ada"])
    assert found["fibers"] > 40
    assert "no picture of this name" in found["problems"][0]
    assert events[-1]["event"] == "error"


def test_what_the_old_model_has_learned_from_is_not_judged_on(tmp_path: Path) -> None:
    import torch
    from drawn_datasets import write_reviewed

    from biopsy_ai.segmentation import InstanceThresholds, save_model
    from biopsy_ai.segmentation.network import FiberNet

    architecture = {"stem": 8, "widths": [8, 8, 8, 8, 8]}
    torch.manual_seed(0)
    spec = {"name": "mine", "version": "1", "architecture": architecture}
    spec["thresholds"] = InstanceThresholds()
    spec["trained_on"] = [{"image": "one", "license": "MIT", "slide": f"{1:064x}"}]
    model = save_model(tmp_path / "mine", FiberNet(**architecture), spec)  # type: ignore[arg-type]
    for number, name in ((1, "one"), (2, "two")):
        write_reviewed(tmp_path / "data" / name, number)
    for seed in range(4):
        done = run("train", tmp_path / "data", "--from", model, "--check", "--seed", seed)
        assert "Judged on: two." in done.stderr
