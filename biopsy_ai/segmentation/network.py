"""The network: a compact residual U-Net that draws fibers, nuclei and tissue classes.

Pixel-unshuffle takes the picture to 1 µm, one light stage keeps the fine detail, and the heavy
stages run at 2–32 µm, where whole fibers come into view. Pixel-shuffle brings the maps of fibers
and nuclei back to 0.5 µm; tissue classes stay at 1 µm. Normalisation is folded into the
convolutions after training, so that prediction runs nothing but convolutions and additions.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from biopsy_ai.segmentation.tiles import Margins

MAPS = ("foreground", "border", "distance")
"""Names of the maps of fibers, in order."""

NUCLEUS_MAPS = ("foreground", "distance")
"""Names of the maps of nuclei, in order."""

N_CLASSES = 7
"""Tissue classes, those of `biopsy_ai.tissue_classes.TISSUE_CLASSES`."""

TISSUE_STEP = 2
"""Pixels of the picture per pixel of the tissue classes, along each side."""

HEADS = ("nucleus_head", "tissue_head")
"""Parts of the network that a model may lack."""

_HEAD_WIDTH = 16
"""Channels inside these parts: wider ones cost speed. [default]"""

REACH = 6
"""Pixels of its own stage by which a stage on the way up, and all after it, look around."""

NO_CONTEXT = Margins()


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
        self.activated = activate


class Residual(nn.Module):
    """Two convolutions added to their input (He et al., CVPR 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(ConvNorm(width, width), ConvNorm(width, width, activate=False))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


class Logits(NamedTuple):
    """What the network draws, before the sigmoid or softmax.

    Attributes
    ----------
    fibers
        (N, 3, H, W) `MAPS`.
    nuclei
        (N, 2, H, W) `NUCLEUS_MAPS`; None where the network has no such part.
    tissue
        (N, 7, H / 2, W / 2) tissue classes; None where the network has no such part.
    """

    fibers: Tensor
    nuclei: Tensor | None = None
    tissue: Tensor | None = None


class FiberNet(nn.Module):
    """Maps of fibers, and of nuclei and tissue classes if wanted, from a picture.

    Parameters
    ----------
    stem
        Channels of the light stage at 1 µm.
    widths
        Channels of the stages at 2, 4, 8, ... µm.
    blocks
        Residual blocks per stage on the way down; one follows each stage on the way up.
    fine
        Residual blocks at 1 µm before the maps are drawn.
    nuclei, tissue
        Whether nuclei and tissue classes are drawn as well.

    Notes
    -----
    Input (N, 3, H, W), H and W multiples of `STRIDE_PX`; output `Logits`.
    """

    def __init__(
        self,
        stem: int = 32,
        widths: tuple[int, ...] = (48, 80, 128, 160, 160),
        blocks: int = 1,
        fine: int = 0,
        nuclei: bool = False,
        tissue: bool = False,
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
        self.fine = nn.Sequential(*(Residual(stem) for _ in range(fine)))
        self.head = nn.Conv2d(stem, 4 * len(MAPS), 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)
        self.nucleus_head = (
            nn.Sequential(
                ConvNorm(stem, _HEAD_WIDTH),
                nn.Conv2d(_HEAD_WIDTH, 4 * len(NUCLEUS_MAPS), 3, padding=1),
            )
            if nuclei
            else None
        )
        self.tissue_head = (
            nn.Sequential(ConvNorm(stem, _HEAD_WIDTH), nn.Conv2d(_HEAD_WIDTH, N_CLASSES, 1))
            if tissue
            else None
        )

    def forward(self, x: Tensor, context: Margins = NO_CONTEXT) -> Logits:
        """Draw the maps of pictures, of their inner part alone where they come with context.

        Context is needed for the coarse stages, which see whole fibers. The fine stages on the
        way up, half of the work, look only a few pixels around and are spared what lies farther
        out. The result is the same as that of cutting the maps of the whole.
        """
        x = self.stem(self.unshuffle(x))
        skips = []
        for stage in self.downs:
            skips.append(x)
            x = stage(x)
        plan = plan_cuts(context, len(self.downs))
        for up, spare, beside in zip((*self.ups, self.last), plan.spare, plan.beside, strict=True):
            x = cut(x, spare)
            x = up(torch.cat([_double(x), cut(skips.pop(), beside)], dim=1))
        x = self.fine(x)
        rest = plan.rest
        fibers = cut(self.shuffle(self.head(x)), rest)
        nuclei, tissue = None, None
        if self.nucleus_head is not None:
            nuclei = cut(self.shuffle(self.nucleus_head(x)), rest)
        if self.tissue_head is not None:
            tissue = cut(self.tissue_head(x), Margins(*(side // TISSUE_STEP for side in rest)))
        return Logits(fibers, nuclei, tissue)


class Cuts(NamedTuple):
    """Where stages on the way up leave context away.

    Attributes
    ----------
    spare
        For each stage, in its pixels before they are doubled.
    beside
        The same of what it takes over from the way down.
    rest
        What is left of the context in the end, pixels of the picture.
    """

    spare: list[Margins]
    beside: list[Margins]
    rest: Margins


def plan_cuts(context: Margins, n_stages: int) -> Cuts:
    """Plan what stages on the way up leave away, which look only `REACH` pixels around.

    Parameters
    ----------
    context
        Pixels of the picture on each side whose maps nobody wants.
    n_stages
        On the way up.
    """
    spare, beside, gone = [], [], NO_CONTEXT
    step = 2 << n_stages  # pixels of the picture per pixel of the stage
    for _ in range(n_stages):
        leave = [
            max(0, side - done - REACH * step // 2) // step
            for side, done in zip(context, gone, strict=True)
        ]
        gone = Margins(*(done + step * n for done, n in zip(gone, leave, strict=True)))
        step //= 2
        spare.append(Margins(*leave))
        beside.append(Margins(*(done // step for done in gone)))
    rest = Margins(*(side - done for side, done in zip(context, gone, strict=True)))
    return Cuts(spare, beside, rest)


def begin_from(network: FiberNet, weights: dict[str, Tensor]) -> None:
    """Give a network the weights of one that may lack fine blocks and heads.

    The blocks that it has more begin as identity, so that it draws the same fibers at first; the
    heads begin fresh.

    Raises
    ------
    RuntimeError
        When the networks differ in anything else.
    """
    missing = network.load_state_dict(weights, strict=False)
    added = [key for key in missing.missing_keys if key.split(".")[0] in ("fine", *HEADS)]
    if missing.unexpected_keys or added != missing.missing_keys:
        network.load_state_dict(weights)
    for key in added:
        if key.startswith("fine.") and key.endswith("body.1.1.weight"):
            nn.init.zeros_(network.get_parameter(key))


def cut(maps: Tensor, margins: Margins) -> Tensor:
    """Leave away pixels on each side of (N, C, H, W) maps."""
    height, width = maps.shape[2:]
    return maps[:, :, margins.top : height - margins.bottom, margins.left : width - margins.right]


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
