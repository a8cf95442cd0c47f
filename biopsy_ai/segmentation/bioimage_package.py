"""A model as a package of the BioImage Model Zoo (bioimage.io), with its network as ONNX."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from biopsy_ai import RESEARCH_USE_ONLY
from biopsy_ai.errors import ConfigError
from biopsy_ai.formats.files import replacing
from biopsy_ai.segmentation.model import Model
from biopsy_ai.segmentation.onnx_graph import INPUT, OPSET, OUTPUTS, build_graph
from biopsy_ai.segmentation.tiles import STRIDE_PX
from biopsy_ai.tissue_classes import TISSUE_CLASSES

FORMAT_VERSION = "0.5.4"
"""Of the description, https://bioimage.io."""

TEST_PX = 256
"""Side of the picture that comes with the package to test it by."""

DESCRIPTION_FILE = "bioimageio.yaml"

_EPOCH = (1980, 1, 1, 0, 0, 0)

_CHANNELS = {
    "fibers": ["foreground", "border", "distance"],
    "nuclei": ["foreground", "distance"],
    "tissue": list(TISSUE_CLASSES),
}

_WORDS = {
    "fibers": "Inside of a fiber, border between two fibers, and distance to the outline",
    "nuclei": "Inside of a nucleus, and distance to its outline",
    "tissue": "Share of each tissue class, with half as many pixels a side",
}


def write_package(model: Model, path: str | Path) -> Path:
    """Write a model as a bioimage.io package, a zip file.

    Raises
    ------
    ConfigError
        The packages onnx or onnxruntime are not installed.
    OutputError
        The file cannot be written.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError("this needs onnxruntime: pip install 'biopsy-ai[export]'") from error
    network = build_graph(model).SerializeToString()
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    picture = _test_picture()
    names = [output.name for output in session.get_outputs()]
    drawn = dict(zip(names, session.run(names, {INPUT: picture}), strict=True))
    card = model.folder / "README.md"
    files = {
        "network.onnx": network,
        "README.md": card.read_bytes() if card.is_file() else RESEARCH_USE_ONLY.encode(),
        f"test_{INPUT}.npy": _npy(picture),
        **{f"test_{name}.npy": _npy(array) for name, array in drawn.items()},
    }
    text = yaml.safe_dump(_description(model, names, files), sort_keys=False, allow_unicode=True)
    files = {DESCRIPTION_FILE: text.encode("utf-8"), **files}
    with (
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return Path(path)


def _description(model: Model, outputs: list[str], files: dict[str, bytes]) -> dict[str, Any]:
    spec = model.spec
    ready = f" {model.warning}" if model.warning else ""
    description: dict[str, Any] = {
        "type": "model",
        "format_version": FORMAT_VERSION,
        "name": f"biopsy-ai {model.name}",
        "description": f"{spec.get('description', 'Fibers of skeletal muscle cross-sections.')} "
        f"{RESEARCH_USE_ONLY}{ready}"[:1024],
        "authors": [{"name": "The biopsy-ai developers"}],
        "documentation": _file("README.md", files),
        "tags": ["muscle", "histology", "instance-segmentation", "onnx"],
        "inputs": [_input(files)],
        "outputs": [_output(name, files) for name in outputs],
        "weights": {"onnx": {**_file("network.onnx", files), "opset_version": OPSET}},
        "config": {
            "biopsy_ai": {
                "model_version": str(spec["version"]),
                "weights_sha256": model.weights_sha256,
                "ready": bool(spec.get("ready", True)),
                **{key: spec[key] for key in spec if key.endswith("thresholds")},
            }
        },
    }
    if "license" in spec:
        description["license"] = spec["license"]
    return description


def _input(files: dict[str, bytes]) -> dict[str, Any]:
    percentiles = {"min_percentile": 0.5, "max_percentile": 99.5, "axes": ["channel", "y", "x"]}
    return {
        "id": INPUT,
        "description": "Color at 0.5 µm per pixel, or the border channel three times; percentiles "
        "are those of the slide.",
        "axes": [
            {"type": "batch"},
            {"type": "channel", "id": "channel", "channel_names": ["red", "green", "blue"]},
            *(
                {
                    "type": "space",
                    "id": side,
                    "size": {"min": STRIDE_PX, "step": STRIDE_PX},
                    "unit": "micrometer",
                    "scale": 0.5,
                }
                for side in ("y", "x")
            ),
        ],
        "test_tensor": _file(f"test_{INPUT}.npy", files),
        "data": {"type": "float32", "range": [None, None]},
        "preprocessing": [{"id": "scale_range", "kwargs": percentiles}],
    }


def _output(name: str, files: dict[str, bytes]) -> dict[str, Any]:
    scale = 1.0 if name == "tissue" else 0.5
    sides: list[dict[str, Any]] = []
    for side in ("y", "x"):
        size = {"tensor_id": INPUT, "axis_id": side}
        sides.append(
            {"type": "space", "id": side, "size": size, "unit": "micrometer", "scale": scale}
        )
    assert len(_CHANNELS[name]) == OUTPUTS[name]
    return {
        "id": name,
        "description": _WORDS[name],
        "axes": [
            {"type": "batch"},
            {"type": "channel", "id": "channel", "channel_names": _CHANNELS[name]},
            *sides,
        ],
        "test_tensor": _file(f"test_{name}.npy", files),
        "data": {"type": "float32", "range": [0.0, 1.0]},
    }


def _test_picture() -> NDArray[np.float32]:
    """Discs with a dark dot in a light field: fibers of a kind, the same on every computer."""
    rows, columns = np.mgrid[:TEST_PX, :TEST_PX]
    apart = 52
    down, right = rows % apart - apart / 2, columns % apart - apart / 2
    fiber = np.hypot(down, right) < 0.44 * apart
    nucleus = np.hypot(down - 0.3 * apart, (right - 0.2 * apart) / 2) < 4
    picture = np.full((3, TEST_PX, TEST_PX), 0.95, np.float32)
    for where, color in ((fiber, (0.8, 0.35, 0.55)), (nucleus, (0.25, 0.1, 0.45))):
        picture[:, where] = np.array(color, np.float32)[:, None]
    return picture[None]


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _file(name: str, files: dict[str, bytes]) -> dict[str, str]:
    return {"source": name, "sha256": hashlib.sha256(files[name]).hexdigest()}
