"""A network written as ONNX, so that it runs where there is no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import ConfigError
from biopsy_ai.formats.files import replacing
from biopsy_ai.segmentation.model import Model
from biopsy_ai.segmentation.network_graph import Graph, draw_graph
from biopsy_ai.segmentation.tiles import STRIDE_PX

if TYPE_CHECKING:
    from torch import Tensor, nn

OPSET = 17
"""Version of the operators: old enough for programs of 2022."""

IR_VERSION = 8

INPUT = "picture"

OUTPUTS = {"fibers": 3, "nuclei": 2, "tissue": 7}
"""Names of the outputs and their channels; those that a model does not draw are absent."""


def write_onnx(model: Model, path: str | Path) -> Path:
    """Write the network of a model as ONNX.

    It takes ``picture``, (N, 3, H, W) float32 on the working grid, normalized, sides multiples of
    64, and gives ``fibers`` (N, 3, H, W), the foreground, the border between fibers and the
    distance to the outline, ``nuclei`` (N, 2, H, W), foreground and distance, and ``tissue``
    (N, 7, H / 2, W / 2), the share of each tissue class; all from 0 to 1.

    Raises
    ------
    ConfigError
        The package onnx is not installed.
    OutputError
        The file cannot be written.
    """
    onnx = _onnx()
    proto = build_graph(model)
    onnx.checker.check_model(proto)
    with replacing(path) as temporary:
        temporary.write_bytes(proto.SerializeToString())
    return Path(path)


def build_graph(model: Model) -> Any:
    """Build the ``ModelProto`` of a network."""
    from biopsy_ai.segmentation.network import fold_normalization

    onnx = _onnx()
    graph = _Graph(onnx)
    drawn = {}
    for name, logits in draw_graph(fold_normalization(model.unfolded()), graph, INPUT).items():
        if name == "tissue":
            drawn[name] = graph.add("Softmax", [logits], to=name, axis=1)
        else:
            drawn[name] = graph.add("Sigmoid", [logits], to=name)
    return graph.finished(model, list(drawn))


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise ConfigError("this needs onnx: pip install 'biopsy-ai[export]'") from error
    return onnx


def _unshuffled(channels: int) -> NDArray[np.int64]:
    """Where each channel of ``SpaceToDepth`` stands after torch's ``PixelUnshuffle``."""
    return np.arange(4 * channels).reshape(channels, 4).T.ravel()


class _Graph(Graph[str]):
    """Nodes and weights, put together in order; a value is the name of an output."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._scales = self._constant(np.array([1, 1, 2, 2], np.float32), "scales")

    def add(self, kind: str, inputs: Sequence[str], *, to: str = "", **attributes: Any) -> str:
        """Add a node; gives the name of its output."""
        name = to or f"{kind.lower()}_{len(self._nodes)}"
        node = self._onnx.helper.make_node(kind, list(inputs), [name], name, **attributes)
        self._nodes.append(node)
        return name

    def stem(self, picture: str, module: nn.Conv2d) -> str:
        # ``SpaceToDepth`` puts the channels in another order than torch.
        order = _unshuffled(3)
        return self._convolved(self.unshuffled(picture), module, module.weight[:, order])

    def unshuffled(self, x: str) -> str:
        return self.add("SpaceToDepth", [x], blocksize=2)

    def convolution(self, x: str, module: nn.Conv2d) -> str:
        return self._convolved(x, module, module.weight)

    def _convolved(self, x: str, module: nn.Conv2d, weight: Tensor) -> str:
        weights = [self._constant(weight.detach().numpy(), "weight")]
        if module.bias is not None:
            weights.append(self._constant(module.bias.detach().numpy(), "bias"))
        pad = [int(n) for n in cast("tuple[int, int]", module.padding)]
        return self.add("Conv", [x, *weights], strides=list(module.stride), pads=[*pad, *pad])

    def rectified(self, x: str, name: str) -> str:
        return self.add("Relu", [x])

    def added(self, x: str, y: str) -> str:
        return self.add("Add", [x, y])

    def joined(self, x: str, y: str) -> str:
        return self.add("Concat", [x, y], axis=1)

    def doubled(self, x: str) -> str:
        return self.add(
            "Resize",
            [x, "", self._scales],
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )

    def spread(self, x: str) -> str:
        return self.add("DepthToSpace", [x], blocksize=2, mode="CRD")

    def finished(self, model: Model, outputs: Sequence[str]) -> Any:
        helper, kind = self._onnx.helper, self._onnx.TensorProto.FLOAT
        there = [helper.make_tensor_value_info(INPUT, kind, ["batch", 3, "height", "width"])]
        given = [
            helper.make_tensor_value_info(
                name,
                kind,
                ["batch", OUTPUTS[name], *(f"{side}{half}" for side in ("height", "width"))],
            )
            for name in outputs
            for half in ("_half" if name == "tissue" else "",)
        ]
        graph = helper.make_graph(self._nodes, model.name, there, given, self._weights)
        proto = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="biopsy-ai"
        )
        proto.ir_version = IR_VERSION
        facts = {
            "name": model.name,
            "version": str(model.spec["version"]),
            "weights_sha256": model.weights_sha256,
            "working_mpp": str(model.working_mpp),
            "stride_px": str(STRIDE_PX),
            "use": "For research use only. Not for use in diagnostic procedures.",
        }
        helper.set_model_props(proto, facts)
        return proto

    def _constant(self, array: NDArray[Any], what: str) -> str:
        name = f"{what}_{len(self._weights)}"
        values = np.ascontiguousarray(array, np.float32)
        self._weights.append(self._onnx.numpy_helper.from_array(values, name))
        return name
