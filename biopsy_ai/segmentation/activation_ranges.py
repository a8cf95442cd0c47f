"""How large the values inside a network become: what it takes to compute in whole numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from biopsy_ai.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from biopsy_ai.segmentation.network import FiberNet

KEY = "activation_ranges"
"""Under which the ranges stand in ``model.yaml``."""

QUANTILE = 0.9999
"""Of the values, which counts as the largest: rare ones above would cost the others precision.
[default]"""

_SAMPLED = 200_000
"""Values of each picture that are looked at."""

_DIGITS = 4


def measure_ranges(network: FiberNet, pictures: Iterable[Tensor]) -> dict[str, float]:
    """Measure the largest output of each activated module.

    Parameters
    ----------
    network
        In evaluation mode, single precision.
    pictures
        (3, H, W) float32 as in training.

    Returns
    -------
    dict
        By the name of the module: the largest `QUANTILE` over the pictures.
    """
    import torch

    largest: dict[str, float] = {}

    def watch(name: str) -> Any:
        def look(_: nn.Module, __: Any, output: Tensor) -> None:
            values = output.flatten()
            values = values[:: max(1, values.numel() // _SAMPLED)]
            top = float(torch.quantile(values, QUANTILE))
            largest[name] = max(largest.get(name, 0.0), top)

        return look

    hooks = [
        module.register_forward_hook(watch(name)) for name, module in activated_modules(network)
    ]
    try:
        with torch.inference_mode():
            for picture in pictures:
                network(picture[None])
    finally:
        for hook in hooks:
            hook.remove()
    # A value that never leaves 0 needs a range all the same.
    return {name: max(float(f"{top:.{_DIGITS}g}"), 1e-3) for name, top in largest.items()}


def activated_modules(network: FiberNet) -> list[tuple[str, nn.Module]]:
    """Modules of a network that end with ReLU, by name."""
    from biopsy_ai.segmentation.network import ConvNorm, Residual

    return [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, Residual) or (isinstance(module, ConvNorm) and module.activated)
    ]


def ranges_of(spec: Mapping[str, Any]) -> dict[str, float]:
    """Read the ranges from the content of a ``model.yaml``; empty where there are none.

    Raises
    ------
    ModelError
        They are not positive numbers by name.
    """
    ranges = spec.get(KEY, {})
    if not isinstance(ranges, Mapping) or not all(
        isinstance(top, int | float) and math.isfinite(top) and top > 0 for top in ranges.values()
    ):
        raise ModelError(
            f"{KEY} must be positive numbers by the name of a module. Take them out of model.yaml: "
            "the network then computes in floating point, which is slower."
        )
    return {str(name): float(top) for name, top in ranges.items()}
