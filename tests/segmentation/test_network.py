import pytest
import torch

from biopsy_ai.segmentation.network import (
    HEADS,
    MAPS,
    N_CLASSES,
    NUCLEUS_MAPS,
    FiberNet,
    begin_from,
    fold_normalization,
)
from biopsy_ai.segmentation.tiles import STRIDE_PX, Margins
from biopsy_ai.tissue_classes import TISSUE_CLASSES

SMALL = {"stem": 8, "widths": (8, 8, 8, 8, 8)}


def test_maps_have_the_size_of_the_picture():
    network = FiberNet(stem=8, widths=(8, 8, 8, 8, 8)).eval()
    logits = network(torch.zeros(2, 3, STRIDE_PX, 2 * STRIDE_PX))
    assert logits.fibers.shape == (2, len(MAPS), 64, 128)
    assert logits.nuclei is logits.tissue is None


def test_folding_normalization_changes_nothing():
    torch.manual_seed(0)
    network = FiberNet(stem=8, widths=(8, 16, 16, 16, 16))
    network.train()
    picture = torch.rand(2, 3, 64, 64)
    for _ in range(3):
        network(picture)
    network.eval()
    before = network(picture).fibers.detach()
    folded = fold_normalization(network)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    torch.testing.assert_close(folded(picture).fibers.detach(), before, atol=1e-4, rtol=0)


def test_heads_draw_nuclei_and_tissue_classes_in_the_same_pass():
    network = FiberNet(**SMALL, nuclei=True, tissue=True).eval()
    logits = network(torch.zeros(2, 3, 64, 128))
    assert logits.fibers.shape == (2, len(MAPS), 64, 128)
    assert logits.nuclei.shape == (2, len(NUCLEUS_MAPS), 64, 128)
    assert logits.tissue.shape == (2, len(TISSUE_CLASSES), 32, 64)
    assert len(TISSUE_CLASSES) == N_CLASSES


def test_heads_cost_little():
    bare, full = (
        sum(p.numel() for name, p in FiberNet(nuclei=n, tissue=n).named_parameters() if part(name))
        for n, part in ((False, lambda _: True), (True, lambda name: name.split(".")[0] in HEADS))
    )
    assert full < 0.005 * bare


def test_heads_may_begin_fresh():
    torch.manual_seed(0)
    before = FiberNet(**SMALL).eval()
    after = FiberNet(**SMALL, nuclei=True, tissue=True).eval()
    begin_from(after, before.state_dict())
    picture = torch.rand(1, 3, 64, 64)
    assert torch.equal(before(picture).fibers, after(picture).fibers)
    again = FiberNet(**SMALL, nuclei=True, tissue=True).eval()
    begin_from(again, after.state_dict())
    assert torch.equal(again(picture).nuclei, after(picture).nuclei)


def test_nothing_but_heads_may_be_missing():
    network = FiberNet(**SMALL, nuclei=True)
    weights = FiberNet(**SMALL).state_dict()
    del weights["head.bias"]
    with pytest.raises(RuntimeError, match=r"head\.bias"):
        begin_from(network, weights)


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
    network = FiberNet(
        stem=8, widths=widths, blocks=blocks, fine=fine, nuclei=True, tissue=True
    ).eval()
    pictures = torch.rand(
        2, 3, 64 + context.top + context.bottom, 128 + context.left + context.right
    )
    with torch.inference_mode():
        whole = network(pictures)
        inner = network(pictures, context)
    for step, part, all_of_it in zip((1, 1, 2), inner, whole, strict=True):
        rows = slice(context.top // step, (context.top + 64) // step)
        columns = slice(context.left // step, (context.left + 128) // step)
        assert part.shape[2:] == (64 // step, 128 // step)
        assert torch.allclose(part, all_of_it[:, :, rows, columns], atol=1e-5)


def test_added_fine_blocks_change_nothing_at_first() -> None:
    torch.manual_seed(2)
    first = FiberNet(stem=8, widths=(8, 8)).eval()
    grown = FiberNet(stem=8, widths=(8, 8), fine=2).eval()
    begin_from(grown, first.state_dict())
    picture = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(grown(picture), first(picture))
    with pytest.raises(RuntimeError, match="stem"):
        begin_from(FiberNet(stem=16, widths=(8, 8)), first.state_dict())
