"""The loss of the three maps."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from biopsy_ai.training.targets import UNIT_WEIGHT


def map_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Weighted cross entropy of all maps plus Dice of foreground and border.

    Parameters
    ----------
    logits : (N, 3, H, W)
        Output of the network.
    targets : (N, 4, H, W) uint8
        As `biopsy_ai.training.targets.make_targets` draws them.
    """
    truth = targets[:, :3].float() / 255
    weight = targets[:, 3:].float() / UNIT_WEIGHT
    logits = logits.float()
    entropy = binary_cross_entropy_with_logits(logits, truth, weight=weight, reduction="none")
    pixelwise = entropy.sum() / (3 * weight.sum().clamp(min=1))
    seen = (weight > 0).float()
    p, t = torch.sigmoid(logits[:, :2]) * seen, truth[:, :2] * seen
    overlap = (2 * (p * t).sum((0, 2, 3)) + 100) / ((p + t).sum((0, 2, 3)) + 100)
    return pixelwise + 0.3 * (1 - overlap).mean()
