"""Training samples: crops of synthetic and real sections, varied as laboratories vary them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from biopsy_ai.segmentation.network import TISSUE_STEP
from biopsy_ai.segmentation.picture import normalize
from biopsy_ai.synthesis.imaging import as_jpeg
from biopsy_ai.training.real import TrainingImage
from biopsy_ai.training.settings import TrainConfig
from biopsy_ai.training.targets import UNKNOWN_CLASS, Truth

CROPS_PER_SECTION = 3
"""Crops taken from a section once it is read. [default]"""


class Sample(NamedTuple):
    """A crop and its truth, or a batch of them.

    Attributes
    ----------
    image
        (3, H, W) float32.
    fibers
        (4, H, W) uint8, see `make_targets`.
    nuclei
        (3, H, W) uint8 foreground, distance and weight, see `make_nucleus_targets`.
    tissue
        (H / 2, W / 2) uint8, see `Truth`.
    """

    image: Tensor
    fibers: Tensor
    nuclei: Tensor
    tissue: Tensor


def bank_section(path: Path) -> tuple[NDArray, Truth]:
    """Picture and truth of a section that `render_bank` wrote."""
    with np.load(path) as stored:
        return stored["image"], Truth(stored["targets"], stored["nuclei"], stored["tissue"])


def normalized_section(image: NDArray, rng: np.random.Generator) -> NDArray[np.float32]:
    """Scale a section as a slide is scaled in prediction, with the play of that estimate."""
    sample = image[::3, ::3].astype(np.float32)
    low, high = np.percentile(sample, (0.5, 99.5))
    width = max(high - low, 1.0)
    low, high = low + rng.normal(0, 0.03) * width, high + rng.normal(0, 0.05) * width
    scaled = normalize(image.astype(np.float32), float(low), float(high))
    return np.repeat(scaled[..., None], 3, axis=2) if scaled.ndim == 2 else scaled


class SectionCrops(IterableDataset[Sample]):
    """Endless stream of crops.

    Parameters
    ----------
    bank
        Files of the synthetic bank.
    real
        Real images with labels of fibers, of nuclei alone, and pictures without muscle.
    crop_px
        Side of a crop on the working grid, a multiple of 64.
    real_share
        Share of the crops taken from real labelled images.
    empty_share
        Share of the crops taken from pictures without muscle.
    nuclei_share
        Share of the crops taken from real images of which only nuclei are known.
    """

    def __init__(
        self,
        bank: Sequence[Path],
        real: Sequence[TrainingImage] = (),
        *,
        crop_px: int = TrainConfig.crop_px,
        real_share: float = TrainConfig.real_share,
        empty_share: float = TrainConfig.empty_share,
        nuclei_share: float = TrainConfig.nuclei_share,
        seed: int = 0,
    ) -> None:
        self.bank = list(bank)
        self.crop_px = crop_px
        labelled = [r for r in real if r.has_fibers]
        empty = [r for r in real if not r.has_fibers and r.knows_fibers]
        others = [r for r in real if not r.knows_fibers]
        pools = ((labelled, real_share), (empty, empty_share), (others, nuclei_share))
        self.pools = [(pool, share) for pool, share in pools if pool]
        self.seed = seed

    def __iter__(self) -> Iterator[Sample]:
        info = get_worker_info()
        number, workers = (info.id, info.num_workers) if info else (0, 1)
        rng = np.random.default_rng([self.seed, number])
        torch.manual_seed(int(rng.integers(2**31)))
        augment = color_augmentation()
        mine = self.bank[number::workers] or self.bank
        while True:
            for index in rng.permutation(len(mine)):
                image, truth = bank_section(mine[index])
                image = normalized_section(image, rng)
                for _ in range(CROPS_PER_SECTION):
                    yield varied_sample(image, truth, self.crop_px, SYNTHETIC, rng, augment)
                    real = self._real_image(rng)
                    if real is not None:
                        yield varied_sample(
                            real.image, real.truth, self.crop_px, REAL, rng, augment
                        )

    def _real_image(self, rng: np.random.Generator) -> TrainingImage | None:
        drawn = rng.random()
        for pool, share in self.pools:
            if drawn < share:
                return pool[int(rng.integers(len(pool)))]
            drawn -= share
        return None


@dataclass(frozen=True)
class Variation:
    """How far a crop is varied.

    Attributes
    ----------
    scale, spread
        Mean and spread of the logarithm of the scale.
    blur, color
        Share of the crops that lose detail, and whose colors are shifted.
    """

    scale: float
    spread: float
    blur: float
    color: float


SYNTHETIC = Variation(scale=0.0, spread=0.18, blur=0.6, color=0.5)
"""Of synthetic sections, which vary already. [default]"""

REAL = Variation(scale=-0.1, spread=0.3, blur=1.0, color=1.0)
"""Of few real sections among many synthetic ones. [default]"""


def varied_sample(
    image: NDArray[np.float32],
    truth: Truth,
    crop_px: int,
    variation: Variation,
    rng: np.random.Generator,
    augment: torch.nn.Module,
) -> Sample:
    """Cut a crop at a random place and vary it, as laboratories and scanners vary."""
    scale = float(np.clip(np.exp(rng.normal(variation.scale, variation.spread)), 0.5, 1.9))
    image, truth = random_window(image, truth, crop_px, scale, rng)
    if variation.blur == 1 or rng.random() < variation.blur:
        low_detail(image, rng)
    tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    gray = np.array_equal(image[::16, ::16, 0], image[::16, ::16, 2])
    if not gray and (variation.color == 1 or rng.random() < variation.color):
        tensor = augment(tensor.clamp(0, 1))
    distance, weight = truth.nuclei[..., 0], truth.nuclei[..., 1]
    nuclei = np.stack([np.where(distance > 0, np.uint8(255), np.uint8(0)), distance, weight])
    return Sample(
        random_tone(tensor, rng),
        torch.from_numpy(np.ascontiguousarray(truth.fibers.transpose(2, 0, 1))),
        torch.from_numpy(nuclei),
        torch.from_numpy(truth.tissue),
    )


def color_augmentation() -> torch.nn.Module:
    """Play of stain color, as torchvision transforms."""
    from torchvision.transforms import v2

    return v2.Compose([v2.ColorJitter(brightness=0.15, contrast=0.2, saturation=0.35, hue=0.06)])


def random_window(
    image: NDArray[np.float32],
    truth: Truth,
    crop_px: int,
    scale: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], Truth]:
    """Cut a window at a random place, scale, turn and mirror; outside the picture nothing is known.

    Maps of fibers are interpolated. Nuclei are a few pixels wide and classes have no order: both
    are taken from the nearest pixel.

    Returns
    -------
    image : (crop_px, crop_px, 3) ndarray of float32
    truth : Truth
        Fibers and nuclei on the grid of the image, tissue with half as many pixels a side.
    """
    import cv2

    height, width = image.shape[:2]
    turn = float(rng.uniform(0, 360)) if rng.random() < 0.35 else float(90 * rng.integers(4))
    angle = np.deg2rad(turn)
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    reach = crop_px / scale / 2
    center = [float(rng.uniform(min(reach, n / 2), max(n - reach, n / 2))) for n in (width, height)]
    c, s = np.cos(angle) / scale, np.sin(angle) / scale
    matrix = np.array([[c * mirror, -s, 0.0], [s * mirror, c, 0.0]])
    half = (crop_px - 1) / 2
    matrix[:, 2] = np.asarray(center) - matrix[:, :2] @ np.array([half, half])
    if scale < 0.8:
        image = cv2.GaussianBlur(image, (0, 0), 0.45 / scale)

    def warped(source: NDArray, beyond: int | None = None, *, step: int = 1) -> NDArray:
        # A pixel of a coarser grid has its center between those of the pixels that it covers.
        onto = matrix @ np.array([[step, 0, (step - 1) / 2], [0, step, (step - 1) / 2], [0, 0, 1]])
        smooth = beyond is None or source is truth.fibers
        return cv2.warpAffine(
            source,
            onto,
            (crop_px // step, crop_px // step),
            flags=(cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST) | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT if beyond is None else cv2.BORDER_CONSTANT,
            borderValue=(beyond or 0,) * 4,
        )

    return warped(image), Truth(
        warped(truth.fibers, 0),
        warped(truth.nuclei, 0),
        warped(truth.tissue, UNKNOWN_CLASS, step=TISSUE_STEP),
    )


def low_detail(image: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Lose detail in place, as a coarser scanner or a soft focus does."""
    import cv2

    kind = rng.random()
    if kind < 0.25:
        image[:] = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.8)))
    elif kind < 0.85:
        height, width = image.shape[:2]
        factor = float(rng.uniform(0.42, 0.9))
        small = cv2.resize(
            image, (int(width * factor), int(height * factor)), interpolation=cv2.INTER_AREA
        )
        if kind >= 0.45:
            small = _compressed(small, int(rng.integers(30, 95)))
        image[:] = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    else:
        image += float(rng.uniform(0.01, 0.06)) * rng.standard_normal(image.shape, dtype=np.float32)


def _compressed(image: NDArray[np.float32], quality: int) -> NDArray[np.float32]:
    """Picture as JPEG gives it back; at the pixels of a coarse scanner its blocks are large."""
    # Levels beyond white are kept in the range of 8 bit, too.
    levels = np.clip(image * 200, 0, 255).astype(np.uint8)
    return as_jpeg(levels, quality).astype(np.float32) / np.float32(200)


def random_tone(tensor: Tensor, rng: np.random.Generator) -> Tensor:
    """Change gamma, gain and offset."""
    gamma = float(np.exp(rng.normal(0, 0.15)))
    gain, offset = float(rng.normal(1, 0.06)), float(rng.normal(0, 0.03))
    return (tensor.clamp(0, 1.5) ** gamma * gain + offset).clamp(-0.25, 1.5)
