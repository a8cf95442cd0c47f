"""A network in whole numbers of eight bit, run by OpenVINO: faster on a processor.

Each value after a ReLU is one of 256 levels, each weight one of 127, and a convolution is exact in
them (Jacob et al., CVPR 2018). The picture itself stays floating point.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.processors import usable_cores
from biopsy_ai.segmentation.network_graph import Graph, draw_graph, joined_modules
from biopsy_ai.segmentation.tiles import Margins

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from biopsy_ai.segmentation.network import Cuts, FiberNet, Logits

_LEVELS = 256

_HEADROOM = 2.0
"""Weights use half of the levels: without VNNI a processor adds two products in 16 bit."""


class OpenVinoNetwork:
    """A network in whole numbers, for any number of threads.

    Parameters
    ----------
    network
        With normalization folded.
    ranges
        From `measure_ranges`, of all its activated modules.
    """

    def __init__(self, network: FiberNet, ranges: Mapping[str, float]) -> None:
        import openvino

        _prepare()
        self._n_stages = len(network.downs)
        self._core = openvino.Core()
        self._model, self._outputs = _build(network, ranges)
        self._compiled: dict[int, Any] = {}
        self._lock = threading.Lock()
        self._of_thread = threading.local()

    def __call__(self, pictures: Tensor, context: Margins) -> Logits:
        """Draw the maps of pictures without their context, as `FiberNet.forward` does.

        Parameters
        ----------
        pictures
            (N, 3, H, W) float32.

        Returns
        -------
        Logits
            Of tissue classes; fibers and nuclei are maps in whole numbers from 0 to 255 already.
        """
        import torch

        from biopsy_ai.segmentation.network import TISSUE_STEP, Logits, cut, plan_cuts

        height, width = pictures.shape[2:]
        plan = plan_cuts(context, self._n_stages)
        rows = _corners(plan, height, width)
        # Channels last, as pictures are read.
        picture = np.ascontiguousarray(pictures.permute(0, 2, 3, 1).numpy())
        found = self._request().infer([picture, rows], share_inputs=True, share_outputs=True)
        drawn = {name: torch.from_numpy(found[number]) for number, name in enumerate(self._outputs)}
        nuclei, tissue = drawn.get("nuclei"), drawn.get("tissue")
        coarse = Margins(*(side // TISSUE_STEP for side in plan.rest))
        return Logits(
            cut(drawn["fibers"], plan.rest),
            None if nuclei is None else cut(nuclei, plan.rest),
            None if tissue is None else cut(tissue, coarse),
        )

    def _request(self) -> Any:
        """What this thread runs the network with, on as many cores as torch would use in it."""
        import torch

        threads = torch.get_num_threads()
        kept = getattr(self._of_thread, "kept", None)
        if kept is None or kept[0] != threads:
            with self._lock:
                if threads not in self._compiled:
                    self._compiled[threads] = self._compile(threads)
            kept = threads, self._compiled[threads].create_infer_request()
            self._of_thread.kept = kept
        return kept[1]

    def _compile(self, threads: int) -> Any:
        streams = max(usable_cores() // threads, 1)
        settings = {
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams * threads,
            # Several processes would all keep to the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        return self._core.compile_model(self._model, "CPU", settings)


_prepared = threading.Lock()
_is_prepared = False


def _prepare() -> None:
    """Run a trivial network once, before several threads run one.

    On first use OpenVINO fills tables of types from Python, under locks of its own: two threads
    that come there together wait for each other forever.
    """
    global _is_prepared
    import openvino
    from openvino import opset13 as op

    with _prepared:
        if _is_prepared:
            return
        x, n = op.parameter([-1], np.float32), op.parameter([-1], np.int64)
        model = openvino.Model([op.add(x, op.convert(n, "f32"))], [x, n], "trivial")
        request = openvino.Core().compile_model(model, "CPU").create_infer_request()
        inputs = [np.zeros(1, np.float32), np.zeros(1, np.int64)]
        request.infer(inputs, share_inputs=True, share_outputs=True)
        _is_prepared = True


def _corners(plan: Cuts, height: int, width: int) -> NDArray[np.int64]:
    """Top left corner and bottom right one of what each cut keeps, (2 n, 2, 2)."""
    step = 2 << len(plan.spare)
    top, left, bottom, right = 0, 0, height, width
    rows = []
    for spare, beside in zip(plan.spare, plan.beside, strict=True):
        h, w = (bottom - top) // step, (right - left) // step
        rows.append((spare.top, spare.left, h - spare.bottom, w - spare.right))
        top, left = top + step * spare.top, left + step * spare.left
        bottom, right = bottom - step * spare.bottom, right - step * spare.right
        step //= 2
        h, w = height // step, width // step
        rows.append((beside.top, beside.left, h - beside.bottom, w - beside.right))
    return np.array(rows, np.int64).reshape(-1, 2, 2)


def _build(network: FiberNet, ranges: Mapping[str, float]) -> tuple[Any, list[str]]:
    """Build the ``openvino.Model``, and name its outputs."""
    import openvino
    from openvino import opset13 as op

    levels = dict(ranges)
    for one, other in joined_modules(network):
        # What is joined must have the same levels.
        levels[one] = levels[other] = max(levels[one], levels[other])
    picture = op.parameter([-1, -1, -1, 3], np.float32, name="picture")
    corners = op.parameter([2 * len(network.downs), 2, 2], np.int64, name="corners")
    first = op.transpose(picture, np.array([0, 3, 1, 2]))
    drawn = draw_graph(network, _Graph(op, levels, corners), first)
    return openvino.Model(list(drawn.values()), [picture, corners], "network"), list(drawn)


class _Graph(Graph[Any]):
    """Nodes of OpenVINO."""

    def __init__(self, op: Any, levels: Mapping[str, float], corners: Any) -> None:
        self._op = op
        self._levels = levels
        self._corners = corners

    def unshuffled(self, x: Any) -> Any:
        return self._op.space_to_depth(x, "depth_first", 2)

    def stem(self, picture: Any, module: nn.Conv2d) -> Any:
        return self._convolved(self.unshuffled(picture), module, _array(module.weight))

    def convolution(self, x: Any, module: nn.Conv2d) -> Any:
        weight = _array(module.weight)
        end = _HEADROOM * np.maximum(np.abs(weight).max((1, 2, 3), keepdims=True), 1e-8)
        quantized = self._op.fake_quantize(weight, -end, end, -end, end, _LEVELS - 1)
        return self._convolved(x, module, quantized)

    def _convolved(self, x: Any, module: nn.Conv2d, weight: Any) -> Any:
        pad = list(module.padding)
        x = self._op.convolution(x, weight, list(module.stride), pad, pad, [1, 1])
        if module.bias is None:
            return x
        return self._op.add(x, _array(module.bias).reshape(1, -1, 1, 1))

    def rectified(self, x: Any, name: str) -> Any:
        low, high = np.float32(0), np.float32(self._levels[name])
        return self._op.fake_quantize(self._op.relu(x), low, high, low, high, _LEVELS)

    def added(self, x: Any, y: Any) -> Any:
        return self._op.add(x, y)

    def joined(self, x: Any, y: Any) -> Any:
        return self._op.concat([x, y], 1)

    def doubled(self, x: Any) -> Any:
        return self._op.interpolate(
            x,
            np.array([2, 2], np.float32),
            "nearest",
            "scales",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
            axes=np.array([2, 3], np.int64),
        )

    def spread(self, x: Any) -> Any:
        return self._op.depth_to_space(x, "depth_first", 2)

    def maps(self, x: Any) -> Any:
        low, high, top = np.float32(0), np.float32(1), np.float32(_LEVELS - 1)
        probability = self._op.fake_quantize(self._op.sigmoid(x), low, high, low, top, _LEVELS)
        return self.spread(self._op.convert(probability, "u8"))

    def cut(self, x: Any, number: int) -> Any:
        both = self._op.gather(self._corners, np.int64(number), np.int64(0))
        first, last = (self._op.gather(both, np.int64(k), np.int64(0)) for k in (0, 1))
        axes = np.array([2, 3], np.int64)
        return self._op.slice(x, first, last, np.array([1, 1], np.int64), axes)


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return np.asarray(tensor.detach().float().numpy())
