"""The outlines of the fibers of one section."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.labels import LabelArray
from biopsy_ai.segmentation.nuclei import Nuclei
from biopsy_ai.segmentation.tissue_map import TissueMap


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Fibers of one section as a label image and a row of facts per fiber.

    Attributes
    ----------
    labels
        (H, W) int32, 0 background. Fibers found by the network carry 1..n; outlines of the user
        keep their own numbers. A numpy array, or `PackedLabels` when large, so read it by parts:
        ``labels[y0:y1, x0:x1]``.
    mpp
        Pixel size (y, x) of the label image, µm.
    ids
        (n,) int64, ascending: the label of row i of the arrays below.
    boxes
        (n, 4) int64 y0, x0, y1, x1, half-open, label pixels.
    confidence
        (n,) float32, mean foreground probability inside, 0..1. NaN for outlines of the user.
    touches_tissue_edge
        (n,) bool, whether a good part of the outline faces empty glass. False where unknown.
    provenance
        How the outlines were made: ``method`` ("network" or "outlines") and its settings.
    nuclei
        Nuclei, on a grid of their own that may be that of the fibers; None where they were not
        looked for.
    tissue
        Tissue class of every pixel; None where it was not looked for.
    """

    labels: LabelArray
    mpp: tuple[float, float]
    ids: NDArray[np.int64]
    boxes: NDArray[np.int64]
    confidence: NDArray[np.float32]
    touches_tissue_edge: NDArray[np.bool_]
    provenance: dict[str, object]
    nuclei: Nuclei | None = None
    tissue: TissueMap | None = None

    def __post_init__(self) -> None:
        n = len(self.ids)
        shapes = {
            "boxes": (n, 4),
            "confidence": (n,),
            "touches_tissue_edge": (n,),
        }
        for name, expected in shapes.items():
            shape = np.shape(getattr(self, name))
            if shape != expected:
                raise ValueError(f"{name} has the shape {shape}, for {n} ids {expected} is needed")
        if n and not (np.diff(self.ids) > 0).all():
            raise ValueError("ids must ascend")

    def __len__(self) -> int:
        return len(self.ids)
