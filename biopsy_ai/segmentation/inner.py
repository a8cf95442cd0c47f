"""The network without the work on context that nobody looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

REACH = 6
"""Pixels of its own stage by which a stage on the way up, and all after it, look around."""


class Margins(NamedTuple):
    """Pixels of context on each side of a picture."""

    top: int
    left: int
    bottom: int
    right: int


def inner_logits(
    network: torch.nn.Module, pictures: torch.Tensor, context: Margins
) -> torch.Tensor:
    """Run a `FiberNet` on pictures with context; return the logits of their inner part alone.

    Context is needed for the coarse stages, which see whole fibers. The fine stages on the way
    up, half of the work, look only a few pixels around and are spared what lies farther out.
    The result is the same as that of the whole network.

    Parameters
    ----------
    network
        A `FiberNet`, or any network that is run as a whole.
    pictures
        (N, 3, H, W), H and W multiples of 64.
    context
        Pixels on each side that are not wanted.

    Returns
    -------
    (N, 3, h, w) torch.Tensor
        Of the pictures without their context.
    """
    import torch

    from biopsy_ai.segmentation.network import FiberNet

    if not isinstance(network, FiberNet):
        return _cut(network(pictures), context)
    x = network.stem(network.unshuffle(pictures))
    step = 2  # pixels of the picture per pixel of the stage
    skips = []
    for stage in network.downs:
        skips.append(x)
        x = stage(x)
        step *= 2
    gone = Margins(0, 0, 0, 0)
    for up in (*network.ups, network.last):
        spare = [
            max(0, side - done - REACH * step // 2) // step
            for side, done in zip(context, gone, strict=True)
        ]
        x = _cut(x, Margins(*spare))
        gone = Margins(*(done + step * n for done, n in zip(gone, spare, strict=True)))
        step //= 2
        x = torch.nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
        skip = _cut(skips.pop(), Margins(*(done // step for done in gone)))
        x = up(torch.cat([x, skip], dim=1))
    rest = Margins(*(side - done for side, done in zip(context, gone, strict=True)))
    return _cut(network.shuffle(network.head(x)), rest)


def _cut(maps: torch.Tensor, margins: Margins) -> torch.Tensor:
    height, width = maps.shape[2:]
    return maps[:, :, margins.top : height - margins.bottom, margins.left : width - margins.right]
