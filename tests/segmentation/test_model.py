from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import load, save

from biopsy_ai.errors import ConfigError, ModelError
from biopsy_ai.segmentation import device as device_room
from biopsy_ai.segmentation.device import choose_device
from biopsy_ai.segmentation.model import load_model, save_model
from biopsy_ai.segmentation.thresholds import InstanceThresholds

torch = pytest.importorskip("torch")

ARCHITECTURE = {"stem": 8, "widths": [8, 8], "blocks": 1}


def spec(**changes: Any) -> dict[str, Any]:
    return {
        "name": "small",
        "version": "1.0",
        "description": "untrained",
        "architecture": ARCHITECTURE,
        "thresholds": InstanceThresholds(border=0.4).as_dict(),
        **changes,
    }


@pytest.fixture
def network() -> Any:
    from biopsy_ai.segmentation.network import FiberNet

    torch.manual_seed(0)
    return FiberNet(**ARCHITECTURE).eval()


@pytest.fixture
def folder(tmp_path: Path, network: Any) -> Path:
    return save_model(tmp_path / "small", network, spec(), card="# small\n")


def rewrite_spec(folder: Path, **changes: Any) -> None:
    content = yaml.safe_load((folder / "model.yaml").read_text(encoding="utf-8"))
    content.update(changes)
    (folder / "model.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def rewrite_weights(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    payload = save(arrays)
    (folder / "weights.safetensors").write_bytes(payload)
    rewrite_spec(folder, weights_sha256=hashlib.sha256(payload).hexdigest())


def test_saved_model_predicts_as_before(folder: Path, network: Any) -> None:
    model = load_model(folder)
    assert (model.name, model.working_mpp, model.thresholds.border) == ("small", 0.5, 0.4)
    assert len(model.weights_sha256) == 64
    assert {path.name for path in folder.iterdir()} == {
        "model.yaml",
        "weights.safetensors",
        "README.md",
    }
    picture = torch.rand(1, 3, 64, 128)
    with torch.inference_mode():
        expected = network(picture).fibers
        found = model.network("cpu")(picture.to(choose_device("cpu").dtype)).fibers.float()
    assert found.shape == (1, 3, 64, 128)
    assert torch.allclose(found, expected, atol=0.05)


def test_weights_are_half_precision(folder: Path) -> None:
    arrays = load((folder / "weights.safetensors").read_bytes())
    assert {array.dtype for array in arrays.values() if array.dtype.kind == "f"} == {
        np.dtype(np.float16)
    }


def test_saving_keeps_an_existing_card(folder: Path, network: Any) -> None:
    save_model(folder, network, spec())
    assert (folder / "README.md").read_text(encoding="utf-8") == "# small\n"


def test_unknown_name_lists_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("biopsy_ai.resources.list_models", lambda: ["heart", "muscle"])
    with pytest.raises(ModelError, match=r"liver.*heart, muscle"):
        load_model("liver")


def test_bundled_name_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("biopsy_ai.resources.list_models", lambda: ["small"])
    monkeypatch.setattr("biopsy_ai.resources.bundled", lambda kind, name: folder)
    assert load_model("small").folder == folder


@pytest.mark.parametrize("name", ["nowhere/model", "../model"])
def test_missing_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        load_model(tmp_path / name)


def test_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model\.yaml"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "expected a mapping"),
        ("name: [", "cannot be read"),
        ("name: x", "lacks version"),
        ("!!python/object/apply:os.system ['true']", "cannot be read"),
    ],
)
def test_damaged_description(folder: Path, text: str, message: str) -> None:
    (folder / "model.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        load_model(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": {**ARCHITECTURE, "depth": 3}}, "unknown architecture setting depth"),
        ({"architecture": {**ARCHITECTURE, "self": 3}}, "unknown architecture setting self"),
        ({"architecture": {**ARCHITECTURE, "stem": 16}}, "do not fit the architecture"),
        ({"architecture": {**ARCHITECTURE, "stem": "many"}}, "cannot be built"),
        ({"architecture": []}, "architecture must be a mapping"),
        ({"thresholds": {"border": 0.5, "luck": 1}}, "unknown threshold luck"),
        ({"thresholds": {"border": 1.5}}, "between 0 and 1"),
        ({"working_mpp": 1.0}, "works at 1.0"),
    ],
)
def test_description_of_another_version(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    rewrite_spec(folder, **changes)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(folder)
    assert str(folder) in str(caught.value)


def test_missing_weights(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(folder)


def test_changed_weights(folder: Path) -> None:
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="SHA-256"):
        load_model(folder)


def test_weights_that_are_no_safetensors(folder: Path) -> None:
    payload = b"version https://git-lfs.github.com/spec/v1"
    (folder / "weights.safetensors").write_bytes(payload)
    rewrite_spec(folder, weights_sha256=hashlib.sha256(payload).hexdigest())
    with pytest.raises(ModelError, match="damaged"):
        load_model(folder)


def test_weights_that_are_not_finite(folder: Path) -> None:
    arrays = load((folder / "weights.safetensors").read_bytes())
    arrays["head.bias"][0] = np.nan
    rewrite_weights(folder, arrays)
    with pytest.raises(ModelError, match=r"not finite \(head\.bias\)"):
        load_model(folder)


def test_weights_that_are_incomplete(folder: Path) -> None:
    arrays = load((folder / "weights.safetensors").read_bytes())
    del arrays["head.bias"]
    rewrite_weights(folder, arrays)
    with pytest.raises(ModelError, match=r"1 differ, such as head\.bias"):
        load_model(folder)


def test_weights_too_large_for_half_precision_are_not_saved(tmp_path: Path, network: Any) -> None:
    network.head.bias.data[0] = 1e6
    with pytest.raises(ModelError, match="not finite in half precision"):
        save_model(tmp_path / "large", network, spec())


def test_incomplete_description_is_not_saved(tmp_path: Path, network: Any) -> None:
    with pytest.raises(ModelError, match="lacks name"):
        save_model(tmp_path / "small", network, {"version": "1"})
    assert not (tmp_path / "small" / "model.yaml").exists()


def test_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="available: .*cpu"):
        choose_device("cuda")


def test_precision_follows_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_room, "has_bfloat16", lambda: True)
    assert choose_device("cpu").dtype == torch.bfloat16
    monkeypatch.setattr(device_room, "has_bfloat16", lambda: False)
    assert choose_device("cpu").dtype == torch.float32


def test_accelerators_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device().name == "cuda"
    assert choose_device().dtype == torch.float16
    assert choose_device("cpu").is_cpu


def test_a_model_that_others_use_is_not_tried_and_needs_no_torch(folder: Path) -> None:
    code = (
        "import sys\n"
        "from biopsy_ai.segmentation import load_model\n"
        f"model = load_model({str(folder)!r}, check=False)\n"
        "assert 'torch' not in sys.modules\n"
        "print(model.name, model.weights_sha256)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["small", load_model(folder).weights_sha256]
    rewrite_spec(folder, architecture={**ARCHITECTURE, "depth": 3})
    load_model(folder, check=False)
    with pytest.raises(ModelError, match="unknown architecture"):
        load_model(folder)
