"""The network as ONNX draws what it draws in torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from biopsy_ai.errors import ConfigError
from biopsy_ai.segmentation import InstanceThresholds, Model, fiber_maps, load_model, save_model
from biopsy_ai.segmentation.instances import label_maps
from biopsy_ai.segmentation.network import FiberNet, fold_normalization
from biopsy_ai.segmentation.onnx_graph import write_onnx
from biopsy_ai.segmentation.picture import normalize

onnx = pytest.importorskip("onnx", reason="pip install biopsy-ai[export]")
runtime = pytest.importorskip("onnxruntime", reason="pip install biopsy-ai[export]")


def tiny(folder: Path, **architecture: Any) -> Model:
    """A small network with random weights, and statistics as after training."""
    torch.manual_seed(1)
    network = FiberNet(**architecture)
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(2, 3, 128, 128))
    spec = {"name": "tiny", "version": "1", "architecture": architecture}
    return load_model(save_model(folder, network, spec | {"thresholds": InstanceThresholds()}))


def drawn_by_onnx(path: Path, picture: np.ndarray) -> dict[str, np.ndarray]:
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"picture": picture}), strict=True))


def drawn_by_torch(model: Model, picture: np.ndarray) -> dict[str, np.ndarray]:
    network = fold_normalization(model.unfolded())
    with torch.inference_mode():
        logits = network(torch.from_numpy(picture))
    drawn = {"fibers": logits.fibers.sigmoid()}
    if logits.nuclei is not None:
        drawn["nuclei"] = logits.nuclei.sigmoid()
    if logits.tissue is not None:
        drawn["tissue"] = logits.tissue.softmax(1)
    return {name: value.numpy() for name, value in drawn.items()}


@pytest.mark.parametrize(
    "architecture",
    [
        {"stem": 8, "widths": [8, 12, 16, 16, 16]},
        {"stem": 8, "widths": [8, 8, 8, 8, 8], "fine": 2, "blocks": 2},
        {"stem": 8, "widths": [8, 8, 8, 8, 8], "nuclei": True, "tissue": True},
    ],
    ids=["plain", "more blocks", "heads"],
)
def test_any_network_draws_the_same(tmp_path: Path, architecture: dict[str, Any]) -> None:
    model = tiny(tmp_path / "tiny", **architecture)
    path = write_onnx(model, tmp_path / "tiny.onnx")
    for size in ((64, 64), (128, 192)):
        picture = np.random.default_rng(0).random((2, 3, *size), np.float32)
        found, expected = drawn_by_onnx(path, picture), drawn_by_torch(model, picture)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, atol=1e-5)


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    model = tiny(tmp_path / "tiny", stem=8, widths=[8, 8, 8, 8, 8])
    proto = onnx.load(write_onnx(model, tmp_path / "tiny.onnx"))
    facts = {entry.key: entry.value for entry in proto.metadata_props}
    assert facts["weights_sha256"] == model.weights_sha256
    assert "research use only" in facts["use"]


def test_onnx_gives_the_same_fibers(tmp_path: Path) -> None:
    """The shipped model on a sample, from the picture to the labels."""
    import tifffile

    from biopsy_ai import sample_slides

    path = next(path for path in sample_slides() if path.stem == "dystrophy_he")
    pixels = tifffile.imread(path)[:768, :832].astype(np.float32)
    low, high = np.percentile(pixels, (0.5, 99.5))
    picture = normalize(pixels, low, high).transpose(2, 0, 1)[None]
    model = load_model("muscle")
    onnx_file = write_onnx(model, tmp_path / "muscle.onnx")
    labels = []
    for drawn in (drawn_by_onnx(onnx_file, picture), drawn_by_torch(model, picture)):
        planes = np.rint(drawn["fibers"][0] * 255).astype(np.uint8)
        nuclei = np.rint(drawn["nuclei"][0] * 255).astype(np.uint8)
        tissue = drawn["tissue"][0].argmax(0).astype(np.uint8)
        maps = fiber_maps(*planes, nuclei=(nuclei[0], nuclei[1]), tissue=tissue)
        labels.append(label_maps(maps, pixels.shape[:2], model.thresholds, mpp=0.5).labels)
    assert labels[0].max() > 20
    np.testing.assert_array_equal(*labels)


def test_what_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ConfigError, match=r"biopsy-ai\[export\]"):
        write_onnx(load_model("muscle"), tmp_path / "a.onnx")
