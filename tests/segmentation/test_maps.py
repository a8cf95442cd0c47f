from __future__ import annotations

import math
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from biopsy_ai.segmentation.device import Device
from biopsy_ai.segmentation.drawing import VOTE
from biopsy_ai.segmentation.maps import MapNetwork
from biopsy_ai.segmentation.network import Logits, cut
from biopsy_ai.segmentation.second_look import SecondLook
from biopsy_ai.segmentation.tiles import Margins
from biopsy_ai.tissue_classes import ARTEFACT


class Ramp(torch.nn.Module):
    """Three maps that count the layers of precision, nan in half precision on demand.

    With `heads` the first two are nuclei as well, the class is 1 where the third is high, and
    the first is how much like an artefact it looks.
    """

    def __init__(self, *, overflows: bool = False, heads: bool = False) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.overflows = overflows
        self.heads = heads

    def forward(self, picture: Any, context: Margins) -> Any:
        logits = torch.logit(picture.float().clamp(1e-4, 1 - 1e-4)).to(self.weight.dtype)
        if self.overflows and self.weight.dtype != torch.float32:
            logits[0, 0, 0, 0] = torch.nan
        maps = cut(logits, context)
        if not self.heads:
            return Logits(maps)
        halved = torch.nn.functional.avg_pool2d(maps, 2)
        high = halved[:, 2:]
        others = torch.full_like(high, -20).expand(-1, ARTEFACT - 2, -1, -1)
        tissue = torch.cat([-high, high, others, halved[:, :1]], dim=1)
        return Logits(maps, maps[:, :2], tissue)


def network(module: Any, dtype: Any, views: int = 1) -> MapNetwork:
    model: Any = SimpleNamespace(prepared=lambda device: module.to(dtype))
    return MapNetwork(model, Device("cpu", dtype, 1 << 20), views)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_maps_are_quantized_halved_and_cut(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    pictures = list(rng.uniform(0, 1, (2, 128, 192, 3)).astype(np.float32))
    pictures[0][:, :64] = (1, 0, 1)  # the ends of the range must not wrap around
    found = network(Ramp(), dtype).predict(pictures, Margins(32, 32, 32, 32))
    assert len(found) == 2
    for maps, picture in zip(found, pictures, strict=True):
        inner = picture[32:-32, 32:-32]
        assert maps.foreground.shape == (64, 128)
        assert np.abs(maps.foreground - 255 * inner[..., 0]).max() <= 2
        halved = inner.reshape(32, 2, 64, 2, 3).mean((1, 3))
        assert np.abs(maps.border - 255 * halved[..., 1]).max() <= 2
        assert np.abs(maps.distance - 255 * halved[..., 2]).max() <= 2


def test_further_heads_come_quantized_and_as_classes() -> None:
    picture = np.random.default_rng(1).uniform(0, 1, (64, 64, 3)).astype(np.float32)
    picture[:32, :, 2], picture[32:, :, 2] = 0.1, 0.9  # log odds of 2.2
    picture[:, :32, 0], picture[:, 32:, 0] = 0.1, 0.3  # -2.2 and -0.8: less by 4.4 and by 3
    (bare,) = network(Ramp(), torch.float32).predict([picture], Margins())
    assert bare.nucleus is bare.nucleus_distance is bare.tissue is None
    (maps,) = network(Ramp(heads=True), torch.float32).predict([picture], Margins())
    assert maps.nucleus is not None
    assert maps.tissue is not None
    assert (maps.nucleus == maps.foreground).all()
    assert (maps.nucleus_distance == maps.border).all()
    assert maps.tissue.dtype == np.uint8
    assert (maps.tissue % VOTE == np.repeat([0, 1], 16)[:, None]).all()
    assert (maps.tissue // VOTE == np.repeat([0, 1], 16)[None]).all(), "almost an artefact"


@pytest.mark.parametrize("heads", [False, True])
def test_what_does_not_depend_on_the_mirror_is_the_same_in_all_views(heads: bool) -> None:
    pictures = list(np.random.default_rng(2).uniform(0, 1, (2, 128, 192, 3)).astype(np.float32))
    margins = Margins(16, 32, 64, 0)
    one = network(Ramp(heads=heads), torch.float32).predict(pictures, margins)
    for views in (2, 4):
        more = network(Ramp(heads=heads), torch.float32, views).predict(pictures, margins)
        for maps, others in zip(one, more, strict=True):
            assert maps.planes.keys() == others.planes.keys()
            for name, plane in maps.planes.items():
                assert (plane == others.planes[name]).all(), name


class Slope(torch.nn.Module):
    """Draws more the farther down and to the right of its picture it is."""

    def forward(self, picture: Any, context: Margins) -> Any:
        height, width = picture.shape[2:]
        down, right = torch.linspace(-2, 2, height)[:, None], torch.linspace(-1, 1, width)[None]
        maps = cut((down + right).expand_as(picture), context)
        slope = maps[:, :1, ::2, ::2]
        others = torch.full_like(slope, -20).expand(-1, ARTEFACT - 1, -1, -1)
        return Logits(maps, maps[:, :2], torch.cat([-slope, slope, others], dim=1))


def test_what_depends_on_the_mirror_is_averaged() -> None:
    picture, margins = np.zeros((64, 128, 3), np.float32), Margins(0, 0, 16, 32)
    model: Any = SimpleNamespace(prepared=lambda device: Slope())
    device = Device("cpu", torch.float32, 1 << 20)
    (one,), (two,), (four,) = (
        MapNetwork(model, device, views).predict([picture], margins) for views in (1, 2, 4)
    )
    assert one.foreground.max() - one.foreground.min() > 100
    for maps in (two, four):
        assert maps.nucleus is not None
        for plane in (maps.foreground, maps.border, maps.distance, maps.nucleus):
            assert plane.min() >= 127
            assert plane.max() <= 128
    assert one.tissue is not None
    assert four.tissue is not None
    assert np.unique(one.tissue).tolist() == [0, 1]
    # half a coarse pixel tips the balance the same way everywhere
    assert len(np.unique(four.tissue)) == 1


class SharedMemory(Ramp):
    """Hands out the same memory for its classes each time, as OpenVINO does."""

    def __init__(self) -> None:
        super().__init__(heads=True)
        self.memory: Any = None

    def forward(self, picture: Any, context: Margins) -> Any:
        logits = super().forward(picture, context)
        if self.memory is None:
            self.memory = torch.empty_like(logits.tissue)
        self.memory[:] = logits.tissue
        return logits._replace(tissue=self.memory)


@pytest.mark.parametrize("views", [2, 4])
def test_a_view_is_not_drawn_over_by_the_next(views: int) -> None:
    picture = np.random.default_rng(5).uniform(0, 1, (64, 64, 3)).astype(np.float32)
    (expected,), (found,) = (
        network(module, torch.float32, views).predict([picture], Margins())
        for module in (Ramp(heads=True), SharedMemory())
    )
    assert expected.tissue is not None
    assert found.tissue is not None
    np.testing.assert_array_equal(found.tissue, expected.tissue)


@pytest.mark.parametrize("second_look", [None, SecondLook(kept_um2=math.inf)])
def test_small_fibers_are_looked_at_again_where_this_is_wanted(
    second_look: SecondLook | None,
) -> None:
    module, seen = Ramp(), []
    module.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape[2:])))
    model: Any = SimpleNamespace(prepared=lambda device: module, working_mpp=0.5)
    device = Device("cpu", torch.float32, 1 << 20)
    picture = np.zeros((128, 192, 3), np.float32)
    rows, columns = np.indices((128, 192))
    picture[np.hypot(rows - 64, columns - 64) < 14] = (1, 0, 1)  # foreground and distance
    (maps,) = MapNetwork(model, device, second_look=second_look).predict([picture], Margins())
    assert seen == [(128, 192), (192, 320)][: 2 if second_look else 1]
    inside = np.hypot(rows - 64, columns - 64) < 11
    assert maps.foreground[inside].min() > 230


def test_overflow_in_half_precision_falls_back_to_single() -> None:
    module = Ramp(overflows=True)
    picture = np.full((64, 64, 3), 0.5, np.float32)
    half = network(module, torch.bfloat16)
    for _ in range(2):
        (maps,) = half.predict([picture], Margins())
        assert np.isin(maps.foreground, (127, 128)).all()
    # another thread may be in it
    assert module.weight.dtype == torch.bfloat16


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_memory_of_large_blocks_is_kept_for_the_next_ones() -> None:
    code = (
        "import resource\n"
        "from biopsy_ai.segmentation.device import keep_memory\n"
        "keep_memory()\n"
        "def faults():\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "b'x' * (1 << 27)\n"
        "before = faults()\n"
        "b'x' * (1 << 27)\n"
        "print(faults() - before)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    # 128 MB have 32 768 pages, which a fresh block would touch one by one
    assert int(found.stdout) < 4000
