"""How large the values inside a network become."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from biopsy_ai.errors import ModelError
from biopsy_ai.segmentation.activation_ranges import (
    activated_modules,
    measure_ranges,
    ranges_of,
)
from biopsy_ai.segmentation.network import ConvNorm, FiberNet, Residual

SMALL: dict[str, Any] = {"stem": 8, "widths": [8, 8, 8, 8, 8], "nuclei": True, "tissue": True}


def test_every_module_that_ends_with_relu_is_measured() -> None:
    network = FiberNet(**SMALL, fine=1).eval()
    ranges = measure_ranges(network, [torch.rand(3, 64, 64)])
    expected = {
        name
        for name, module in network.named_modules()
        if isinstance(module, Residual) or (isinstance(module, ConvNorm) and len(module) == 3)
    }
    assert ranges.keys() == expected == {name for name, _ in activated_modules(network)}
    assert {"stem", "downs.0.0", "downs.4.1.body.0", "ups.3.1", "last", "fine.0"} <= expected
    assert {"nucleus_head.0", "tissue_head.0"} <= expected


def test_the_range_is_that_of_the_largest_picture_and_rare_values_do_not_count() -> None:
    network = FiberNet(stem=8, widths=(8, 8, 8, 8, 8)).eval()
    with torch.no_grad():
        convolution: Any = network.stem[0]
        convolution.weight.zero_()
        convolution.weight[:, 0, 1, 1] = 1.0
    scale = float(1 / torch.sqrt(torch.tensor(1 + network.stem[1].eps)))  # type: ignore[arg-type]
    dim, bright = torch.full((3, 128, 128), 0.25), torch.full((3, 128, 128), 0.5)
    bright[0, 64, 64] = 90.0  # one of 4096 pixels that the stem sees; 8 values of 32768
    assert measure_ranges(network, [dim])["stem"] == pytest.approx(0.25 * scale, rel=1e-3)
    both = measure_ranges(network, [bright, dim])
    assert both["stem"] > 0.5, "at most one of 10 000 values is left out"
    bright[0, 64, 64] = 0.5
    bright[0, 0, 0] = 0.6
    assert measure_ranges(network, [bright, dim])["stem"] <= 0.6


def test_what_is_always_zero_has_a_range_too() -> None:
    network = FiberNet(stem=8, widths=(8, 8, 8, 8, 8)).eval()
    with torch.no_grad():
        convolution: Any = network.stem[0]
        convolution.weight.zero_()
    assert measure_ranges(network, [torch.rand(3, 64, 64)])["stem"] > 0


def test_hooks_are_taken_off_again() -> None:
    network = FiberNet(stem=8, widths=(8, 8, 8, 8, 8)).eval()
    with pytest.raises(RuntimeError):
        measure_ranges(network, [torch.rand(5, 64, 64)])
    assert not any(module._forward_hooks for module in network.modules())


def test_ranges_are_read_from_the_description_of_a_model() -> None:
    assert ranges_of({}) == {}
    assert ranges_of({"activation_ranges": {"stem": 2}}) == {"stem": 2.0}


@pytest.mark.parametrize("broken", [[1.0], {"stem": "wide"}, {"stem": 0}, {"stem": float("nan")}])
def test_broken_ranges_are_refused(broken: Any) -> None:
    with pytest.raises(ModelError, match="activation_ranges must be positive numbers"):
        ranges_of({"activation_ranges": broken})
