"""The losses of fibers, nuclei and tissue classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax

from biopsy_ai.segmentation.network import FiberNet, Logits
from biopsy_ai.training.dataset import Sample
from biopsy_ai.training.settings import TrainConfig
from biopsy_ai.training.targets import NOT_CLASS, UNIT_WEIGHT, UNKNOWN_CLASS

CLASS_WEIGHTS = (1.0, 0.5, 2.0, 1.0, 1.5, 2.0, 1.5)
"""What a pixel of each tissue class counts: thin endomysium and rare classes more. Prediction takes
the weights off again, see `unweigh_classes`. [default]"""

DICE_SHARE = 0.3
"""What Dice counts beside cross entropy. [default]"""


def total_loss(logits: Logits, sample: Sample, config: TrainConfig) -> Tensor:
    """Loss of all that the network draws; parts of a sample without truth do not count.

    Parameters
    ----------
    logits
        Output of the network.
    sample
        A batch.
    config
        Of which ``nucleus_weight`` and ``tissue_weight`` are used.
    """
    loss = map_loss(logits.fibers, sample.fibers)
    if logits.nuclei is not None:
        loss = loss + config.nucleus_weight * nucleus_loss(logits.nuclei, sample.nuclei)
    if logits.tissue is not None:
        loss = loss + config.tissue_weight * tissue_loss(logits.tissue, sample.tissue)
    return loss


def map_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Weighted cross entropy of all maps plus Dice of foreground and border.

    Parameters
    ----------
    logits : (N, 3, H, W)
        Fibers as the network draws them.
    targets : (N, 4, H, W) uint8
        As `biopsy_ai.training.targets.make_targets` draws them.
    """
    return _weighted_loss(logits, targets, 2)


def nucleus_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Weighted cross entropy of both maps plus Dice of the foreground.

    Parameters
    ----------
    logits : (N, 2, H, W)
        Nuclei as the network draws them.
    targets : (N, 3, H, W) uint8
        Foreground, distance and weight.
    """
    return _weighted_loss(logits, targets, 1)


def _weighted_loss(logits: Tensor, targets: Tensor, n_dice: int) -> Tensor:
    """Cross entropy under the weight in the last map of the targets, and Dice of the first."""
    n = logits.shape[1]
    truth = targets[:, :n].float() / 255
    weight = targets[:, n:].float() / UNIT_WEIGHT
    logits = logits.float()
    entropy = binary_cross_entropy_with_logits(logits, truth, weight=weight, reduction="none")
    pixelwise = entropy.sum() / (n * weight.sum().clamp(min=1))
    seen = (weight > 0).float()
    p, t = torch.sigmoid(logits[:, :n_dice]) * seen, truth[:, :n_dice] * seen
    overlap = (2 * (p * t).sum((0, 2, 3)) + 100) / ((p + t).sum((0, 2, 3)) + 100)
    return pixelwise + DICE_SHARE * (1 - overlap).mean()


def tissue_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Weighted cross entropy plus Dice of the classes that the batch holds.

    Parameters
    ----------
    logits : (N, C, h, w)
        Tissue classes as the network draws them.
    truth : (N, h, w) uint8
        Class; `NOT_CLASS` + class where all that is known is which one it is not;
        `UNKNOWN_CLASS` where nothing is known.
    """
    logs = log_softmax(logits.float(), dim=1)
    truth = truth.long()
    known = truth < NOT_CLASS
    denied = (truth >= NOT_CLASS) & (truth != UNKNOWN_CLASS)
    named = torch.where(known, truth, torch.where(denied, truth - NOT_CLASS, 0))
    weight = torch.tensor(CLASS_WEIGHTS, device=logits.device)[named] * (known | denied)
    log_p = logs.gather(1, named[:, None])[:, 0]
    # The chance of any other class, kept off 0 for the logarithm.
    log_other = torch.log1p(-log_p.exp().clamp(max=1 - 1e-4))
    entropy = -(torch.where(known, log_p, log_other) * weight).sum() / weight.sum().clamp(min=1)
    hot = torch.zeros_like(logs).scatter_(1, named[:, None], known[:, None].float())
    p = logs.exp() * known[:, None]
    size = hot.sum((0, 2, 3))
    overlap = (2 * (p * hot).sum((0, 2, 3)) + 100) / (p.sum((0, 2, 3)) + size + 100)
    there = (size > 0).float()
    dice = ((1 - overlap) * there).sum() / there.sum().clamp(min=1)
    return entropy + DICE_SHARE * dice


def unweigh_classes(network: FiberNet) -> None:
    """Take `CLASS_WEIGHTS` off what a trained network draws, in place.

    Weights make a class more likely than it is, by their ratio: areas of thin endomysium came out
    too large. Taking their logarithm off the logits gives each class the share that it has.
    """
    _move_classes(network, -1)


def weigh_classes(network: FiberNet) -> None:
    """Put `CLASS_WEIGHTS` back on, in place, before the training of a network goes on."""
    _move_classes(network, 1)


def _move_classes(network: FiberNet, sign: int) -> None:
    if network.tissue_head is None:
        return
    bias = network.tissue_head.get_parameter(f"{len(network.tissue_head) - 1}.bias")
    with torch.no_grad():
        bias.add_(sign * torch.tensor(CLASS_WEIGHTS).log().to(bias))
