"""The network: a compact residual U-Net that draws fibers on the 0.5 µm grid.

Pixel-unshuffle takes the picture to 1 µm, one light stage keeps the fine detail, and the heavy
stages run at 2–32 µm, where whole fibers come into view. Pixel-shuffle brings the maps back to
0.5 µm. Normalisation is folded into the convolutions after training, so that prediction runs
nothing but convolutions and additions.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

MAPS = ("foreground", "border", "distance")
"""Names of the output maps, in order."""

STRIDE = 64
"""Height and width of the input must be multiples of this many pixels."""


class ConvNorm(nn.Sequential):
    """A 3 x 3 convolution, batch normalisation, and ReLU unless `activate` is false."""

    def __init__(self, n_in: int, n_out: int, *, stride: int = 1, activate: bool = True) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
        ]
        if activate:
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class Residual(nn.Module):
    """Two convolutions added to their input (He et al., CVPR 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(ConvNorm(width, width), ConvNorm(width, width, activate=False))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


class FiberNet(nn.Module):
    """Maps of fibers from a picture.

    Parameters
    ----------
    stem
        Channels of the light stage at 1 µm.
    widths
        Channels of the stages at 2, 4, 8, ... µm.
    blocks
        Residual blocks per stage on the way down; one follows each stage on the way up.

    Notes
    -----
    Input (N, 3, H, W), H and W multiples of `STRIDE`; output (N, 3, H, W) logits of `MAPS`.
    """

    def __init__(
        self, stem: int = 32, widths: tuple[int, ...] = (48, 80, 128, 160, 160), blocks: int = 1
    ) -> None:
        super().__init__()
        widths = tuple(widths)
        self.unshuffle = nn.PixelUnshuffle(2)
        self.stem = ConvNorm(12, stem)
        downs, ups = [], []
        before = stem
        for width in widths:
            stage = [ConvNorm(before, width, stride=2)] + [Residual(width) for _ in range(blocks)]
            downs.append(nn.Sequential(*stage))
            before = width
        for width in reversed(widths[:-1]):
            ups.append(nn.Sequential(ConvNorm(before + width, width), Residual(width)))
            before = width
        self.downs = nn.ModuleList(downs)
        self.ups = nn.ModuleList(ups)
        self.last = ConvNorm(before + stem, stem)
        self.head = nn.Conv2d(stem, 4 * len(MAPS), 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(self.unshuffle(x))
        skips = []
        for stage in self.downs:
            skips.append(x)
            x = stage(x)
        for up in self.ups:
            x = up(torch.cat([_double(x), skips.pop()], dim=1))
        x = self.last(torch.cat([_double(x), skips.pop()], dim=1))
        return cast(Tensor, self.shuffle(self.head(x)))


def _double(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")


def fold_normalization(network: FiberNet) -> FiberNet:
    """Fold every batch normalisation into the convolution before it, for prediction.

    The network must be in evaluation mode; it is changed in place and returned.
    """
    for module in network.modules():
        if isinstance(module, ConvNorm):
            convolution, norm = cast(nn.Conv2d, module[0]), cast(nn.BatchNorm2d, module[1])
            module[0] = torch.nn.utils.fusion.fuse_conv_bn_eval(convolution, norm)
            module[1] = nn.Identity()
    return network
