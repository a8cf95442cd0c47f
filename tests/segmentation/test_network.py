import pytest
import torch

from biopsy_ai.segmentation.network import MAPS, FiberNet, begin_from, fold_normalization
from biopsy_ai.segmentation.tiles import STRIDE_PX, Margins


def test_maps_have_the_size_of_the_picture():
    network = FiberNet(stem=8, widths=(8, 8, 8, 8, 8)).eval()
    assert network(torch.zeros(2, 3, STRIDE_PX, 2 * STRIDE_PX)).shape == (2, len(MAPS), 64, 128)


def test_folding_normalization_changes_nothing():
    torch.manual_seed(0)
    network = FiberNet(stem=8, widths=(8, 16, 16, 16, 16))
    network.train()
    picture = torch.rand(2, 3, 64, 64)
    for _ in range(3):
        network(picture)
    network.eval()
    before = network(picture).detach()
    folded = fold_normalization(network)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    torch.testing.assert_close(folded(picture).detach(), before, atol=1e-4, rtol=0)


def test_the_shipped_size_stays_compact():
    assert sum(p.numel() for p in FiberNet().parameters()) < 4.2e6


@pytest.mark.parametrize(
    "context",
    [
        Margins(),
        Margins(32, 32, 32, 32),
        Margins(96, 160, 160, 96),
        Margins(0, 256, 256, 0),
        Margins(288, 64, 32, 64),
    ],
)
@pytest.mark.parametrize(
    ("blocks", "widths", "fine"),
    [(1, (8, 8, 8, 8, 8), 1), (2, (8, 12, 16), 0), (1, (8, 8), 1)],
)
def test_inner_part_is_that_of_the_whole_network(
    context: Margins, blocks: int, widths: tuple[int, ...], fine: int
) -> None:
    torch.manual_seed(1)
    network = FiberNet(stem=8, widths=widths, blocks=blocks, fine=fine).eval()
    pictures = torch.rand(
        2, 3, 64 + context.top + context.bottom, 128 + context.left + context.right
    )
    with torch.inference_mode():
        whole = network(pictures)
        inner = network(pictures, context)
    assert inner.shape == (2, 3, 64, 128)
    expected = whole[:, :, context.top : context.top + 64, context.left : context.left + 128]
    assert torch.allclose(inner, expected, atol=1e-5)


def test_added_fine_blocks_change_nothing_at_first() -> None:
    torch.manual_seed(2)
    first = FiberNet(stem=8, widths=(8, 8)).eval()
    grown = FiberNet(stem=8, widths=(8, 8), fine=2).eval()
    begin_from(grown, first.state_dict())
    picture = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(grown(picture), first(picture))
    with pytest.raises(RuntimeError, match="stem"):
        begin_from(FiberNet(stem=16, widths=(8, 8)), first.state_dict())
