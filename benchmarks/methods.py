"""The ways to outline fibers that are compared: the shipped network and the classical baseline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
from classical import parameters_for, segment_classical
from datasets import read_pixels

from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.evaluation.grids import LabelField

Method: TypeAlias = Callable[[Path, float, str, dict[str, int]], LabelField]
"""Takes an image file, its pixel size in µm, its stain and its named channels."""


def network_method(model: str = "muscle", device: str = "auto", views: int = 1) -> Method:
    """Outline with a bundled model, or with one in a folder; views as in the settings."""
    from biopsy_ai.config import make_config
    from biopsy_ai.segmentation import load_model, segment_fibers
    from biopsy_ai.slides import open_slide

    loaded = load_model(model)

    def segment(path: Path, mpp: float, stain: str, channels: dict[str, int]) -> LabelField:
        config = make_config(
            mpp=mpp,
            stain=stain,
            channels=channels,
            model=model,
            device=device,
            segmentation={"views": views},
        )
        with open_slide(path, mpp=mpp, channels=channels) as slide:
            found = segment_fibers(slide, config, model=loaded)
        return LabelField(path, np.asarray(found.labels[:, :]), found.mpp)

    return segment


def classical_method() -> Method:
    """Outline with the tuned classical baseline."""

    def segment(path: Path, mpp: float, stain: str, channels: dict[str, int]) -> LabelField:
        labels = segment_classical(
            read_pixels(path), mpp, parameters_for(stain), border_channel=channels.get("border")
        )
        return LabelField(path, labels, (OUTLINE_MPP, OUTLINE_MPP))

    return segment
