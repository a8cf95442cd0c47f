"""What the analyzer gives for one image: all of it, or only what the network draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from biopsy_ai.evaluation.grids import LabelField


@dataclass(frozen=True)
class Reading:
    """Maps and tables of one image.

    Attributes
    ----------
    labels
        Fibers.
    nuclei, classes
        Nuclei and tissue classes; None where there are none.
    fibers
        The table of fibers; empty where only the network was asked.
    summary
        As ``summary.json``; empty where only the network was asked.
    """

    labels: LabelField
    nuclei: LabelField | None
    classes: LabelField | None
    fibers: pd.DataFrame = field(default_factory=pd.DataFrame)
    summary: dict[str, Any] = field(default_factory=dict)


Reader: TypeAlias = Callable[[Path, float, str, dict[str, int]], Reading]
"""Takes an image file, its pixel size in µm, its stain and its named channels."""


def analysis_reader(model: str = "muscle", device: str = "auto") -> Reader:
    """Analyze an image as a user does."""
    from biopsy_ai import analyze, load_model
    from biopsy_ai.config import make_config

    loaded = load_model(model)

    def read(path: Path, mpp: float, stain: str, channels: dict[str, int]) -> Reading:
        config = make_config(mpp=mpp, stain=stain, channels=channels, model=model, device=device)
        with analyze(path, config, model=loaded) as analysis:
            return _reading(path, analysis.segmentation, analysis.fibers, analysis.summary)

    return read


def network_reader(model: str = "muscle", device: str = "auto") -> Reader:
    """Draw maps only, which a picture without muscle has, too; where it looks empty, none are."""
    from biopsy_ai import load_model
    from biopsy_ai.config import make_config
    from biopsy_ai.segmentation import segment_fibers
    from biopsy_ai.slides import open_slide

    loaded = load_model(model)

    def read(path: Path, mpp: float, stain: str, channels: dict[str, int]) -> Reading:
        config = make_config(mpp=mpp, stain=stain, channels=channels, model=model, device=device)
        with open_slide(path, mpp=mpp, channels=channels) as slide:
            return _reading(path, segment_fibers(slide, config, model=loaded))

    return read


def _reading(path: Path, segmentation: Any, *tables: Any) -> Reading:
    nuclei, tissue = segmentation.nuclei, segmentation.tissue
    return Reading(
        LabelField(path, np.asarray(segmentation.labels[:, :]), segmentation.mpp),
        None if nuclei is None else LabelField(path, np.asarray(nuclei.labels[:, :]), nuclei.mpp),
        None if tissue is None else LabelField(path, np.asarray(tissue.classes[:, :]), tissue.mpp),
        *tables,
    )
