import torch

from biopsy_ai.segmentation.network import MAPS, STRIDE, FiberNet, fold_normalization


def test_maps_have_the_size_of_the_picture():
    network = FiberNet(stem=8, widths=(8, 8, 8, 8, 8)).eval()
    assert network(torch.zeros(2, 3, STRIDE, 2 * STRIDE)).shape == (2, len(MAPS), 64, 128)


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
