import torch

from biopsy_ai.segmentation.network import FiberNet
from biopsy_ai.training.losses import CLASS_WEIGHTS, tissue_loss, unweigh_classes

SMALL = {"stem": 8, "widths": (8, 8)}


def test_classes_are_told_as_often_as_they_occur() -> None:
    """Three of ten pixels that look alike are endomysium: trained with weights, then without."""
    truth = torch.tensor([2, 2, 2, 1, 1, 1, 1, 1, 1, 1])[None, None]
    scores = torch.zeros(1, 7, requires_grad=True)
    optimizer = torch.optim.Adam([scores], 0.1)
    for _ in range(400):
        optimizer.zero_grad()
        logits = scores[:, :, None, None].expand(1, 7, 1, 10)
        entropy = tissue_loss(logits, truth.to(torch.uint8))
        entropy.backward()
        optimizer.step()
    weighted = scores[0].detach()
    assert weighted[2] > weighted[1]
    plain = weighted - torch.tensor(CLASS_WEIGHTS).log()
    assert plain.argmax() == 1


def test_a_network_gives_the_weights_back() -> None:
    torch.manual_seed(0)
    network = FiberNet(**SMALL, tissue=True).eval()
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = network(picture).tissue
        unweigh_classes(network)
        after = network(picture).tissue
    expected = torch.tensor(CLASS_WEIGHTS).log()[None, :, None, None].expand_as(after)
    torch.testing.assert_close(before - after, expected)
    bare = FiberNet(**SMALL)
    unweigh_classes(bare)
    assert bare.tissue_head is None
