"""``biopsy-ai models``."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.main import get_command
from typer.testing import CliRunner, Result

from biopsy_ai import RESEARCH_USE_ONLY
from biopsy_ai.cli import app
from biopsy_ai.resources import bundled
from biopsy_ai.segmentation import InstanceThresholds, load_model, save_model
from biopsy_ai.segmentation.network import FiberNet
from biopsy_ai.training.held_out import judged_samples, watched_parts

TINY = {"stem": 8, "widths": [8, 8, 8, 8, 8]}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["models", *map(str, arguments)])


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A model of one's own that has not earned its place."""
    torch.manual_seed(0)
    spec = {
        "name": "mine",
        "version": "3",
        "architecture": TINY,
        "thresholds": InstanceThresholds(),
        "trained_on": [{"image": "a", "license": "CC0"}, {"image": "b", "license": "MIT"}],
        "ready": False,
        "ready_reason": "It is worse.",
        "start": {"name": "muscle"},
        "comparison": {
            "held_out": {
                "n_slides": 2,
                "old": {"f1": 0.9, "low": 0.8, "high": 1.0},
                "new": {"f1": 0.7, "low": None, "high": None},
            },
            "samples": None,
        },
    }
    return save_model(tmp_path / "models" / "mine", FiberNet(**TINY), spec)


@pytest.mark.parametrize("name", ["", "list", "info", "verify", "export"])
def test_help(name: str) -> None:
    result = run(*[name] if name else [], "--help")
    assert result.exit_code == 0
    assert "Example:" in result.output
    assert RESEARCH_USE_ONLY in " ".join(result.output.split())
    if name:
        group = get_command(app).commands["models"]  # type: ignore[attr-defined]
        for parameter in group.commands[name].params:
            assert "Example:" in (parameter.help or ""), parameter.name


def test_models_are_listed(mine: Path) -> None:
    shipped = str(bundled("models", "muscle").resolve())
    assert [line.split("\t") for line in run("list").stdout.splitlines()] == [
        ["muscle", "8", "ready", shipped]
    ]
    (mine.parent / "broken").mkdir()
    (mine.parent / "broken" / "model.yaml").write_text("name: broken")
    listed = run("list", mine.parent)
    assert listed.stdout.splitlines()[1].split("\t") == ["mine", "3", "not ready", str(mine)]
    assert "Not a model: " in listed.stderr
    assert "broken" in listed.stderr


def test_a_model_is_described(mine: Path) -> None:
    told = dict(line.split("\t") for line in run("info", mine).stdout.splitlines())
    assert told["ready"] == "no"
    assert told["reason"] == "It is worse."
    assert told["draws"] == "fibers"
    assert told["began from"] == "muscle"
    assert told["trained on"] == "2 pictures (CC0, MIT)"
    assert told["F1 on 2 held-out slides"] == "old 0.9 (0.8 to 1.0), new 0.7"
    shipped = dict(line.split("\t") for line in run("info", "muscle").stdout.splitlines())
    assert shipped["draws"] == "fibers, nuclei, tissue"
    n_own = len(load_model("muscle").spec["trained_on"])
    assert int(shipped["trained on"].split()[0]) > n_own, "those of the models before, too"
    assert shipped["ready"] == "yes"
    assert "F1 when tuned, thresholds" in shipped
    assert run("info", "nothing").exit_code == 1


def test_a_model_is_verified(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = watched_parts(judged_samples())[:2]
    monkeypatch.setattr("biopsy_ai.training.held_out.judged_samples", lambda: samples)
    whole = run("verify", "muscle")
    assert whole.exit_code == 0
    assert "weights\twhole" in whole.stdout
    assert float(whole.stdout.splitlines()[1].split("\t")[1]) > 0.9
    useless = run("verify", mine)
    assert useless.exit_code == 1
    assert "does not outline the samples" in useless.stderr
    assert "not ready for use" in useless.stderr
    (mine / "weights.safetensors").write_bytes(b"changed")
    changed = run("verify", mine)
    assert changed.exit_code == 1
    assert "not those that" in changed.stderr


def test_a_model_is_exported(mine: Path, tmp_path: Path) -> None:
    for needed in ("onnx", "onnxruntime"):
        pytest.importorskip(needed, reason="pip install biopsy-ai[export]")
    done = run("export", mine, "--out", tmp_path / "mine.onnx")
    assert done.exit_code == 0
    assert "not ready for use" in done.stderr
    assert (tmp_path / "mine.onnx").stat().st_size > 10_000
    assert run("export", mine, "--out", tmp_path / "mine.zip").exit_code == 0
    assert (tmp_path / "mine.zip").read_bytes()[:2] == b"PK"
    assert run("export", mine, "--out", tmp_path / "no" / "m.onnx").exit_code == 1
