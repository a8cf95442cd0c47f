"""Models as packages of the BioImage Model Zoo."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from biopsy_ai.segmentation import load_model
from biopsy_ai.segmentation.bioimage_package import write_package

pytest.importorskip("onnx", reason="pip install biopsy-ai[export]")
runtime = pytest.importorskip("onnxruntime", reason="pip install biopsy-ai[export]")


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    return write_package(load_model("muscle"), tmp_path_factory.mktemp("package") / "muscle.zip")


def test_a_package_holds_all_that_it_names(package: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    described = yaml.safe_load(files["bioimageio.yaml"])
    named = [described["documentation"], described["weights"]["onnx"]]
    named += [tensor["test_tensor"] for tensor in described["inputs"] + described["outputs"]]
    assert {one["source"] for one in named} == files.keys() - {"bioimageio.yaml"}
    for one in named:
        assert hashlib.sha256(files[one["source"]]).hexdigest() == one["sha256"]
    assert "research use only" in described["description"]
    assert described["config"]["biopsy_ai"]["ready"] is True
    assert described["config"]["biopsy_ai"]["thresholds"]["foreground"] == 0.63


def test_the_network_draws_the_test_tensors(package: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        described = yaml.safe_load(archive.read("bioimageio.yaml"))
        session = runtime.InferenceSession(
            archive.read("network.onnx"), providers=["CPUExecutionProvider"]
        )

        def tensor(part: dict) -> np.ndarray:
            return np.load(io.BytesIO(archive.read(part["test_tensor"]["source"])))

        (given,) = described["inputs"]
        names = [output["id"] for output in described["outputs"]]
        drawn = session.run(names, {given["id"]: tensor(given)})
        for output, found in zip(described["outputs"], drawn, strict=True):
            expected = tensor(output)
            np.testing.assert_allclose(found, expected, atol=1e-4)
            (channels,) = (axis for axis in output["axes"] if axis["type"] == "channel")
            assert len(channels["channel_names"]) == expected.shape[1]
            assert expected.max() > 0.5


def test_a_package_is_valid(package: Path) -> None:
    spec = pytest.importorskip("bioimageio.spec", reason="pip install bioimageio.spec")
    loaded = spec.load_description(package)
    assert loaded.validation_summary.status in ("valid-format", "passed")


def test_the_same_model_makes_the_same_package(package: Path, tmp_path: Path) -> None:
    again = write_package(load_model("muscle"), tmp_path / "again.zip")
    with zipfile.ZipFile(package) as one, zipfile.ZipFile(again) as other:
        assert one.read("network.onnx") == other.read("network.onnx")
