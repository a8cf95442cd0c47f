"""How a network is trained: every setting with its default, without loading torch."""

from __future__ import annotations

from dataclasses import dataclass

SECTIONS = 1500
"""Synthetic sections to render for training. [default]"""

TUNING_SECTIONS = 24
"""Further synthetic sections on which thresholds are tuned. [default]"""


PARTS = ("nuclei", "tissue")
"""What of a network can learn by itself, so that the outlines of fibers stay what they are."""


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained."""

    steps: int = 6000
    batch: int = 8
    crop_px: int = 384
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warmup: int = 200
    average: float = 0.998
    """Decay of the running average of the weights; the average is what is kept."""
    real_share: float = 0.15
    empty_share: float = 0.03
    nuclei_share: float = 0.06
    """Share of the crops taken from real images of which only nuclei are known."""
    nucleus_weight: float = 0.5
    """What nuclei count in the loss, beside 1 for fibers."""
    tissue_weight: float = 0.3
    """What tissue classes count in the loss, beside 1 for fibers."""
    only: str = ""
    """The one part that learns, of `PARTS`, while all that is shared stays; empty: everything."""
    workers: int = 1
    checkpoint_every: int = 250
    seed: int = 0


FINE_TUNING = TrainConfig(
    steps=150,
    learning_rate=3e-4,
    warmup=20,
    average=0.98,
    real_share=0.5,
    workers=0,
    checkpoint_every=25,
)
"""How a model goes on learning from a user's own slides: briefly and gently. `real_share` is the
share of the user's crops among synthetic ones. [default, by ``benchmarks/retraining.py``]"""

LEARN = ("outlines", "rules")
"""What of a model can go on learning from a user's own slides."""

FINE_SECTIONS = 16
"""Synthetic sections that are rendered against forgetting. [default]"""
