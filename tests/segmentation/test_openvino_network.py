"""A network in whole numbers draws almost what it draws in floating point."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
import torch

from biopsy_ai.segmentation import load_model
from biopsy_ai.segmentation.activation_ranges import measure_ranges
from biopsy_ai.segmentation.device import Device, choose_device
from biopsy_ai.segmentation.maps import MapNetwork
from biopsy_ai.segmentation.network import FiberNet, fold_normalization
from biopsy_ai.segmentation.tiles import Margins

pytest.importorskip("openvino", reason="there are no wheels of OpenVINO for this computer")

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "plain": {"stem": 16, "widths": [16, 16, 24, 24, 24]},
    "more blocks": {"stem": 16, "widths": [16] * 5, "fine": 2, "blocks": 2},
    "heads": {"stem": 16, "widths": [16] * 5, "nuclei": True, "tissue": True},
}


def pair(architecture: dict[str, Any]) -> tuple[FiberNet, Any]:
    """A network with random weights, and the same in whole numbers."""
    from biopsy_ai.segmentation.openvino_network import OpenVinoNetwork

    torch.manual_seed(1)
    network = FiberNet(**architecture).train()
    pictures = torch.rand(8, 3, 128, 128)
    with torch.no_grad():
        for _ in range(30):
            network(pictures)
    network.eval()
    ranges = measure_ranges(network, pictures)
    return fold_normalization(network), OpenVinoNetwork(network, ranges)


def parts(logits: Any) -> dict[str, torch.Tensor]:
    return {name: part for name, part in logits._asdict().items() if part is not None}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_any_network_draws_almost_the_same(name: str) -> None:
    network, whole = pair(ARCHITECTURES[name])
    for shape, context in (
        ((1, 3, 128, 128), Margins()),
        ((2, 3, 512, 448), Margins(192, 0, 128, 64)),
        ((1, 3, 448, 640), Margins(64, 192, 192, 192)),
    ):
        picture = torch.rand(shape)
        with torch.inference_mode():
            expected = parts(network(picture, context))
            expected |= {k: 255 * v.sigmoid() for k, v in expected.items() if k != "tissue"}
        found = parts(whole(picture, context))
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert found[key].shape == value.shape
            drawn = found[key].float()
            alike = torch.corrcoef(torch.stack([drawn.flatten(), value.flatten()]))[0, 1]
            assert alike > 0.9, key
            assert (drawn - value).abs().mean() < 0.35 * value.std() + 0.5, key


def test_context_is_left_away_as_if_the_whole_were_cut() -> None:
    _, whole = pair(ARCHITECTURES["plain"])
    picture = torch.rand(1, 3, 576, 576)
    context = Margins(192, 128, 64, 192)
    cut = whole(picture, context).fibers.clone()
    full = whole(picture, Margins()).fibers[:, :, 192:-64, 128:-192]
    np.testing.assert_allclose(cut.numpy().astype(int), full.numpy().astype(int), atol=1)


def test_threads_do_not_disturb_each_other() -> None:
    _, whole = pair(ARCHITECTURES["plain"])
    pictures = [torch.rand(1, 3, 128 + 64 * (i % 2), 128) for i in range(4)]
    expected = [whole(picture, Margins()).fibers.clone() for picture in pictures]
    found: dict[int, torch.Tensor] = {}

    def draw(number: int) -> None:
        torch.set_num_threads(1)
        for _ in range(5):
            found[number] = whole(pictures[number], Margins()).fibers.clone()

    before = torch.get_num_threads()
    threads = [threading.Thread(target=draw, args=(i,)) for i in range(len(pictures))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    torch.set_num_threads(before)
    for number, value in enumerate(expected):
        assert torch.equal(found[number], value)


def test_the_shipped_model_is_run_in_whole_numbers_and_draws_the_same_fibers() -> None:
    model = load_model("muscle")
    device = choose_device("cpu")
    if not device.whole_numbers:
        pytest.skip("this processor does not compute in eight bit")
    plain = MapNetwork(model, Device("cpu", torch.float32, device.batch_px))
    whole = MapNetwork(model, device)
    assert (plain.precision, whole.precision) == ("float32", "int8")
    from biopsy_ai.synthesis import SectionParams, preset, synthesize_section
    from biopsy_ai.training.dataset import normalized_section

    params = SectionParams(preset("normal"), stain="he", size_um=(192.0, 192.0))
    section = synthesize_section(params, 3)
    picture = normalized_section(section.image, np.random.default_rng(0))
    (expected,), (found,) = (n.predict([picture], Margins()) for n in (plain, whole))
    for name in ("foreground", "border", "distance", "nucleus", "nucleus_distance"):
        a, b = (getattr(maps, name).astype(int) for maps in (found, expected))
        assert np.abs(a - b).mean() < 1.5, f"{name}: of 255"
    assert found.tissue is not None
    assert expected.tissue is not None
    assert (found.tissue == expected.tissue).mean() > 0.98

    before = {name: plane.copy() for name, plane in found.planes.items()}
    whole.predict([1 - picture], Margins())
    for name, plane in found.planes.items():
        assert np.array_equal(plane, before[name]), f"{name}: drawn over by the next picture"


FIRST_USE = """
import faulthandler, re, sys, threading
import torch
from biopsy_ai.segmentation.activation_ranges import measure_ranges
from biopsy_ai.segmentation.network import FiberNet, fold_normalization
from biopsy_ai.segmentation.openvino_network import OpenVinoNetwork
from biopsy_ai.segmentation.tiles import Margins

faulthandler.dump_traceback_later(100, exit=True)
sys.setswitchinterval(1e-6)
network = FiberNet(8, (8,) * 5).eval()
ranges = measure_ranges(network, torch.rand(1, 3, 64, 64))
whole = OpenVinoNetwork(fold_normalization(network), ranges)
picture = torch.rand(1, 3, 128, 128)
done = []

def busy():
    while not done:
        re.match("a+b", "aaaaaab")

def draw():
    torch.set_num_threads(1)
    whole(picture, Margins())

for _ in range(3):
    threading.Thread(target=busy, daemon=True).start()
drawing = [threading.Thread(target=draw) for _ in range(4)]
for thread in drawing:
    thread.start()
for thread in drawing:
    thread.join()
done.append(True)
"""


@pytest.mark.timeout(400)
def test_threads_that_use_it_first_at_the_same_time_do_not_wait_forever() -> None:
    for _ in range(3):
        ended = subprocess.run([sys.executable, "-c", FIRST_USE], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
