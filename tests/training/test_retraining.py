from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from drawn_datasets import drawn_section, shifted, write_pair, write_reviewed
from drawn_reviewed_fibers import write_measured

from biopsy_ai.errors import Cancelled, ConfigError, TrainingDataError
from biopsy_ai.segmentation import InstanceThresholds, load_model, save_model
from biopsy_ai.segmentation.network import FiberNet
from biopsy_ai.training import TrainConfig, retraining
from biopsy_ai.training.bank import write_bank_section
from biopsy_ai.training.held_out import JudgedSlide
from biopsy_ai.training.judging import Verdict
from biopsy_ai.training.retrained import learned_from
from biopsy_ai.training.retraining import retrain

pytest.importorskip("torchvision", reason="pip install biopsy-ai[train]")

TINY = {"stem": 8, "widths": [8, 8, 8, 8, 8], "nuclei": True, "tissue": True}

CONFIG = TrainConfig(
    steps=4, batch=2, crop_px=64, workers=0, checkpoint_every=2, real_share=0.5, warmup=1
)


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A model that has not learned anything."""
    torch.manual_seed(0)
    spec = {
        "name": "tiny",
        "version": "7",
        "architecture": TINY,
        "thresholds": InstanceThresholds(),
        "enzyme_thresholds": InstanceThresholds(foreground=0.4),
        "trained_on": [{"image": "old", "license": "CC0", "image_sha256": "0" * 64}],
        "start": None,
    }
    return save_model(tmp_path_factory.mktemp("models") / "tiny", FiberNet(**TINY), spec)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for number in (1, 2, 3):
        write_reviewed(folder / f"slide{number}", number, license="CC-BY")
    return folder


@pytest.fixture
def train(base, data, tmp_path, monkeypatch):
    """Retrain the tiny model quickly; takes what `retrain` takes."""
    section = drawn_section(6)
    picture = (section.image / 255).astype(np.float16)
    sample = JudgedSlide("sample", "sample", "thresholds", picture, section.labels, None)
    monkeypatch.setattr(retraining, "judged_samples", lambda: [sample])
    monkeypatch.setattr(retraining, "render_bank", _render)

    def one(path=data, out="mine", **options):
        values = {"start": base, "config": CONFIG, "sections": 1, "device": "cpu"}
        return retrain(path, tmp_path / out, **(values | options))

    return one


def _render(folder, count, **_):
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{seed}.npz" for seed in range(count)]
    for seed, path in enumerate(paths):
        write_bank_section(path, drawn_section(20 + seed))
    return paths


def test_a_model_is_retrained_compared_and_described(train, data, base) -> None:
    steps, stages, told = [], set(), []
    made = train(
        report=steps.append,
        told=told.append,
        progress=lambda stage, *_: stages.add(stage),
    )
    assert stages == {"check", "compare", "train"}
    (checked,) = told
    assert checked.n_fibers == sum(one.n_fibers for one in checked.items)
    assert checked.reviewers == ["Ada"]
    assert (len(checked.training), len(checked.held_out)) == (2, 1)

    assert [step.step for step in steps] == [0, 4]
    assert steps[0].loss is None
    assert steps[-1].loss > 0
    assert all(step.held_out_f1 is not None for step in steps)

    model = load_model(made.folder)
    spec = model.spec
    assert (spec["name"], spec["version"]) == ("mine", "1")
    # A network that draws nothing has not earned anything.
    assert spec["ready"] is made.verdict.ready is False
    assert spec["ready_reason"] in model.warning
    assert "mine is not ready for use" in model.warning
    assert spec["architecture"] == load_model(base).spec["architecture"]
    assert model.thresholds_for("enzyme_thresholds").foreground == 0.4
    assert spec["comparison"]["held_out"]["n_slides"] == 1
    assert spec["comparison"]["samples"]["slides"][0]["slide"] == "sample"
    assert spec["start"]["weights_sha256"] == load_model(base).weights_sha256
    trained = {item["image"]: item for item in spec["trained_on"]}
    held = {item["image"] for item in spec["held_out"]}
    assert trained.keys() | held == {"slide1", "slide2", "slide3"}
    assert not trained.keys() & held
    one = next(iter(trained.values()))
    assert (one["license"], one["reviewers"], one["n_edits"]) == ("CC-BY", ["Ada"], 3)

    card = (made.folder / "README.md").read_text(encoding="utf-8")
    assert "**Not ready for use.**" in card
    assert "| held out (1) |" in card
    assert "| synthetic samples (1) |" in card
    assert "Licenses: CC0 (1), CC-BY (2)." in card
    assert "Thresholds are those of tiny 7." in card
    assert "began from the weights of tiny 7" in card
    assert not (data / "work").exists()
    assert not (made.folder.with_name("mine-work") / "items").exists()


def test_rules_are_learned_beside_the_network(train, tmp_path) -> None:
    for number in (1, 2, 3):
        write_measured(tmp_path / "data" / f"slide{number}", number)
    made = train(tmp_path / "data", held_out=["slide3"])
    spec = load_model(made.folder).spec
    assert spec["rules"]["limits"] == made.rules.in_force.limits
    assert made.rules.in_force.limits["cleft_share_above"] < 0.2
    assert "network_of" not in spec["rules"]
    assert "Split: taken over." not in spec["ready_reason"], "outlines alone decide here"
    card = (made.folder / "README.md").read_text(encoding="utf-8")
    assert "## Rules of conditions and types" in card
    # a network that goes on learning keeps them
    told = train(tmp_path / "data", start=made.folder, out="next", rules=False)
    assert told.rules is None
    assert load_model(told.folder).spec["rules"] == spec["rules"]


def test_weights_change_and_statistics_do_not(train, base) -> None:
    before, after = load_model(base).unfolded(), load_model(train().folder).unfolded()
    kept = {name: value for name, value in before.named_buffers() if "running" in name}
    assert kept
    for name, value in after.named_buffers():
        if name in kept:
            torch.testing.assert_close(value, kept[name])
    moved = [
        not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True)
    ]
    assert sum(moved) > len(moved) / 2


def test_class_weights_are_taken_off_only_once(train, base, monkeypatch) -> None:
    """Where nothing is learned, the tissue classes stay as they are."""
    made = train(config=TrainConfig(**(vars(CONFIG) | {"learning_rate": 0.0})))
    before, after = load_model(base).unfolded(), load_model(made.folder).unfolded()
    for a, b in zip(before.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=2e-3)


def test_one_slide_is_trained_on_and_never_ready(train, tmp_path, monkeypatch) -> None:
    write_reviewed(tmp_path / "data" / "one", 1)
    made = train(tmp_path / "data")
    assert made.held_out is None
    assert not made.verdict.ready
    assert "no slide to judge the model on" in made.verdict.text
    spec = load_model(made.folder).spec
    assert spec["comparison"]["held_out"] is None
    assert spec["held_out"] == []
    assert "| held out | none |" in (made.folder / "README.md").read_text(encoding="utf-8")


def test_a_model_that_earns_its_place_is_ready(train, monkeypatch) -> None:
    monkeypatch.setattr(retraining, "judge", lambda *_: Verdict(True, ("Better.",)))
    model = load_model(train().folder)
    assert model.spec["ready"] is True
    assert model.warning == ""
    assert "Ready for use. Better." in (model.folder / "README.md").read_text(encoding="utf-8")


def test_problems_stop_before_anything_is_made(train, tmp_path) -> None:
    labels = drawn_section(1).labels
    write_pair(tmp_path / "data", "good", 2)
    write_pair(tmp_path / "data", "shifted", labels=shifted(labels, 20, 14))
    write_pair(tmp_path / "data", "small", labels=labels[:100, :100])
    told = []
    with pytest.raises(TrainingDataError) as raised:
        train(tmp_path / "data", told=told.append)
    text = str(raised.value)
    assert text.startswith("2 problems with the data:\n")
    assert "shifted_fibers.tif: the labels look shifted" in text
    assert "small_fibers.tif: " in text
    assert "--skip-problems" in text
    assert len(told[0].dataset.problems) == 2
    assert not (tmp_path / "mine").exists()
    made = train(tmp_path / "data", skip_problems=True)
    assert [item["image"] for item in load_model(made.folder).spec["trained_on"]] == ["good"]


def test_a_model_is_not_written_over_unasked(train, base) -> None:
    made = train()
    with pytest.raises(ConfigError, match="stands there already.*--overwrite"):
        train()
    card = made.folder / "README.md"
    card.write_text(card.read_text(encoding="utf-8") + "Misses fat.\n", encoding="utf-8")
    train(overwrite=True, version="2", work=made.folder.with_name("again"))
    assert load_model(made.folder).spec["version"] == "2"
    assert card.read_text(encoding="utf-8").endswith("Misses fat.\n")
    with pytest.raises(ConfigError, match="the model to begin from"):
        train(start=made.folder, overwrite=True)


def test_a_stopped_training_goes_on(train, tmp_path) -> None:
    undisturbed = load_model(train(out="a", config=_longer(6)).folder)

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "train" and done == 3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        train(out="b", config=_longer(6), progress=stop)
    assert not (tmp_path / "b" / "model.yaml").exists()
    steps = []
    made = train(
        out="b",
        config=_longer(6),
        progress=lambda stage, done, _: steps.append(done) if stage == "train" else None,
    )
    assert steps == [3, 4, 5, 6]
    assert load_model(made.folder).spec["training"] == undisturbed.spec["training"]


def _longer(steps: int) -> TrainConfig:
    return TrainConfig(**(vars(CONFIG) | {"steps": steps}))


def test_the_work_of_another_training_is_refused(train, tmp_path, data) -> None:
    train(out="a", work=tmp_path / "work")
    with pytest.raises(ConfigError, match="was made otherwise"):
        train(out="b", work=tmp_path / "work", held_out=["slide1"], sections=2)


def test_other_data_begin_anew_where_no_work_folder_was_named(train, tmp_path) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if stage == "train" and done == 3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        train(held_out=["slide1"], progress=stop)
    assert not (tmp_path / "mine-work" / "items").exists()
    steps = []
    made = train(
        held_out=["slide2"],
        progress=lambda stage, done, _: steps.append(done) if stage == "train" else None,
    )
    assert steps == [1, 2, 3, 4]
    assert load_model(made.folder).spec["held_out"][0]["image"] == "slide2"


def test_slides_are_not_learned_and_then_judged_on(train, tmp_path) -> None:
    first = train(held_out=["slide3"])
    seen = learned_from(load_model(first.folder).spec)
    assert {f"{1:064x}", f"{2:064x}", "0" * 64} <= seen
    told = []
    train(start=first.folder, out="next", told=told.append)
    held = [told[0].items[k].item.name for k in told[0].held_out]
    assert held == ["slide3"]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_killed_training_goes_on(base, data, tmp_path) -> None:
    """A real SIGKILL in the middle, through the command line."""
    code = (
        "import biopsy_ai.training.retraining as room\n"
        "from biopsy_ai.training.held_out import watched_parts\n"
        "samples = room.judged_samples\n"
        "room.judged_samples = lambda: watched_parts(samples())[:1]\n"
        "from biopsy_ai.cli import main\n"
        "if __name__ == '__main__':\n"
        "    main()\n"
    )
    (tmp_path / "quick.py").write_text(code)
    command = [sys.executable, str(tmp_path / "quick.py"), "train", str(data), "--from", str(base)]
    command += ["--out", str(tmp_path / "mine"), "--steps", "40", "--batch", "1", "--crop", "64"]
    command += ["--sections", "1", "--log", "json", "--device", "cpu", "--held-out", "slide3"]
    checkpoint = tmp_path / "mine-work" / "checkpoint.pt"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 150
        while not checkpoint.exists() and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.02)
        assert checkpoint.exists()
    finally:
        os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        process.wait()
    assert not (tmp_path / "mine" / "model.yaml").exists()
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    steps = [e["done"] for e in events if e["event"] == "progress" and e["stage"] == "train"]
    assert steps[0] > 25 - 1
    assert steps[-1] == 40
    (model,) = [e for e in events if e["event"] == "model"]
    assert model["ready"] is False
    assert model["folder"] == str(tmp_path / "mine")
    assert model["held_out"]["slides"][0]["slide"] == "slide3"
    spec = yaml.safe_load((tmp_path / "mine" / "model.yaml").read_text(encoding="utf-8"))
    assert spec["ready_reason"] == model["reason"]
    trained = [e for e in events if e["event"] == "training"]
    assert trained[0]["step"] == 0
    assert trained[-1]["step"] == trained[-1]["steps"] == 40
