from __future__ import annotations

from typing import Any

import pytest

from biopsy_ai.segmentation.inner import Margins, inner_logits

torch = pytest.importorskip("torch")


def small_network(blocks: int, widths: tuple[int, ...]) -> Any:
    from biopsy_ai.segmentation.network import FiberNet

    torch.manual_seed(1)
    return FiberNet(stem=8, widths=widths, blocks=blocks).eval()


@pytest.mark.parametrize(
    "context",
    [
        Margins(0, 0, 0, 0),
        Margins(32, 32, 32, 32),
        Margins(96, 160, 160, 96),
        Margins(0, 256, 256, 0),
        Margins(288, 64, 32, 64),
    ],
)
@pytest.mark.parametrize(
    ("blocks", "widths"), [(1, (8, 8, 8, 8, 8)), (2, (8, 12, 16)), (1, (8, 8))]
)
def test_inner_part_is_that_of_the_whole_network(
    context: Margins, blocks: int, widths: tuple[int, ...]
) -> None:
    network = small_network(blocks, widths)
    pictures = torch.rand(
        2, 3, 64 + context.top + context.bottom, 128 + context.left + context.right
    )
    with torch.inference_mode():
        whole = network(pictures)
        inner = inner_logits(network, pictures, context)
    assert inner.shape == (2, 3, 64, 128)
    expected = whole[:, :, context.top : context.top + 64, context.left : context.left + 128]
    assert torch.allclose(inner, expected, atol=1e-5)


def test_any_other_network_is_run_as_a_whole() -> None:
    pictures = torch.rand(1, 3, 128, 192)
    inner = inner_logits(torch.nn.Identity(), pictures, Margins(32, 0, 16, 8))
    assert (inner == pictures[:, :, 32:112, :184]).all()
