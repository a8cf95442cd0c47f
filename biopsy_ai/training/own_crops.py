"""Crops of a user's own pictures, mixed with synthetic ones against forgetting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import get_worker_info

from biopsy_ai.tissue_classes import FIBER
from biopsy_ai.training.dataset import (
    SYNTHETIC,
    Sample,
    SectionCrops,
    Variation,
    bank_section,
    color_augmentation,
    normalized_section,
    varied_sample,
)
from biopsy_ai.training.loading import LoadedItem
from biopsy_ai.training.targets import NOT_CLASS, UNKNOWN_CLASS, Truth

OWN = Variation(scale=0.0, spread=0.15, blur=0.5, color=1.0)
"""Of a user's pictures: their pixel size is known, and others like them are to come. [default]"""

_REACH = 0.75
"""Half a side of what is cut out for a crop, in sides of the crop: room to turn it."""

_GRID_PX = 16
"""Crops lie around places on this grid."""


class OwnCrops(SectionCrops):
    """Endless stream of crops of own pictures and synthetic sections.

    Parameters
    ----------
    items
        Own pictures.
    bank
        Files of the synthetic bank.
    crop_px
        Side of a crop, a multiple of 64.
    own_share
        Share of the crops taken from own pictures; larger ones give more of them, as the root of
        their fibers.
    """

    def __init__(
        self,
        items: Sequence[LoadedItem],
        bank: Sequence[Path],
        *,
        crop_px: int,
        own_share: float,
        seed: int = 0,
    ) -> None:
        super().__init__(bank, crop_px=crop_px, seed=seed)
        self.items = list(items)
        self.own_share = own_share if bank else 1.0
        weights = np.sqrt([item.n_fibers for item in items])
        self.weights = weights / weights.sum()

    def __iter__(self) -> Iterator[Sample]:
        info = get_worker_info()
        rng = np.random.default_rng([self.seed, info.id if info else 0])
        torch.manual_seed(int(rng.integers(2**31)))
        augment = color_augmentation()
        places = [_known_places(item) for item in self.items]
        while True:
            if rng.random() < self.own_share:
                number = int(rng.choice(len(self.items), p=self.weights))
                center = places[number][int(rng.integers(len(places[number])))]
                picture, truth = self._part(self.items[number], center)
                yield varied_sample(picture, truth, self.crop_px, OWN, rng, augment)
            else:
                picture, truth = bank_section(self.bank[int(rng.integers(len(self.bank)))])
                picture = normalized_section(picture, rng)
                yield varied_sample(picture, truth, self.crop_px, SYNTHETIC, rng, augment)

    def _part(
        self, item: LoadedItem, center: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], Truth]:
        """Cut out what a crop around a place may show."""
        reach = round(_REACH * self.crop_px)
        low = np.maximum(center - reach, 0)
        box = tuple(slice(a, a + 2 * reach) for a in low.tolist())
        picture = np.array(item.plane("picture")[box], np.float32)
        targets = np.array(item.plane("targets")[box])
        if item.knows_nuclei:
            nuclei = np.array(item.plane("nuclei")[box])
        else:
            nuclei = np.zeros((*targets.shape[:2], 2), np.uint8)
        tissue = np.where(targets[..., 0] > 0, FIBER, NOT_CLASS + FIBER)
        tissue = np.where(targets[..., 3] > 0, tissue, UNKNOWN_CLASS).astype(np.uint8)
        return picture, Truth(targets, nuclei, tissue)


def _known_places(item: LoadedItem) -> NDArray[np.int64]:
    """Rows and columns, on a coarse grid, where labels are known."""
    known = item.plane("known")
    start = tuple(min(_GRID_PX // 2, n - 1) for n in known.shape)
    found = np.argwhere(known[start[0] :: _GRID_PX, start[1] :: _GRID_PX]) * _GRID_PX + start
    return found if len(found) else np.argwhere(known)
