"""Artefacts planted in synthetic sections, and which fibers are flagged for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from readings import Reading

from biopsy_ai.evaluation.grids import LabelField, match_grids
from biopsy_ai.evaluation.matching import border_labels
from biopsy_ai.measure.fibers import CUT_BY_BORDER
from biopsy_ai.synthesis import (
    ImagingParams,
    SectionParams,
    SyntheticSection,
    preset,
    random_imaging,
    synthesize_section,
)
from biopsy_ai.synthesis.raster import rasterize
from biopsy_ai.tissue_classes import ARTEFACT, BACKGROUND

IN_SHARE = 0.1
"""A fiber is in an artefact from this share of it on."""

CLEAN_UM = 5.0
"""A clean fiber keeps this distance from artefacts, µm. What lies between counts neither way."""

OUTLINED_SHARE = 0.5
"""A fiber is outlined where one outline holds at least this share of it."""

BLUR_UM, BLURRED_PART, BLUR_EDGE_UM = 4.0, 0.5, 20.0
"""SD of the blur that is planted, the part of the field, and the width over which it sets in."""

CERTAIN = 0.5
STRETCH = 2.0

SEVERITY = 0.3
"""Spread of staining and scanning, apart from what is planted."""

SETTINGS: dict[str, dict[str, Any]] = {
    "fold": {"folds": 2},
    "crush": {"crush": 2},
    "ink": {"ink": 2},
    "tear": {"tears": 3},
    "ice": {"freezing_holes": 0.6, "hole_um": (2.0, 12.0)},
    "blur": {},
    "oblique": {},
}
"""Settings of `ImagingParams` by kind. Blur is added to the picture, oblique cutting is tissue."""

KINDS = tuple(SETTINGS)
CLEAN = "none"
"""A section without any artefact."""


@dataclass(frozen=True)
class Planted:
    """A section with artefacts of one kind.

    Attributes
    ----------
    kind
        One of `KINDS`, or `CLEAN`.
    preset
        Of the tissue.
    section
        Its `image` shows the artefact.
    share
        (n,) share of each fiber of the section that is in the artefact.
    clean
        (n,) bool: fibers that keep clear of it.
    """

    kind: str
    preset: str
    section: SyntheticSection
    share: NDArray[np.float64]
    clean: NDArray[np.bool_]


def draw_planted(kind: str, name: str, stain: str, seed: int, size_um: float) -> Planted:
    """Draw a section of a preset with artefacts of one kind, and tell which fibers they hit."""
    spread = random_imaging(np.random.default_rng(seed), stain, severity=SEVERITY)
    clean = {"freezing_holes": 0.0, "folds": 0, "tears": 0, "dust": 0, "contrast": 1.0}
    imaging: ImagingParams = replace(spread, **(clean | SETTINGS.get(kind, {})))
    tissue = replace(preset(name), fill_gaps=True)
    if kind == "oblique":
        tissue = replace(tissue, stretch=STRETCH)
    section = synthesize_section(SectionParams(tissue, imaging, stain, (size_um, size_um)), seed)
    blurred = np.zeros(section.labels.shape, dtype=np.float32)
    if kind == "blur":
        section, blurred = _blur(section)
    share, clear = hit_fibers(section, blurred)
    if kind == "oblique":
        share, clear = np.ones_like(share), np.zeros_like(clear)
    return Planted(kind, name, section, share, clear)


def hit_fibers(
    section: SyntheticSection, blurred: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Share of each fiber that artefacts take or hide, and which fibers are clear of them.

    Of a fiber that a tear or ink cuts, the part that is gone counts as taken.

    Parameters
    ----------
    section
        Without glass: all its background is torn.
    blurred
        How much the picture was blurred afterwards, 0 to 1; a fiber is hit where all of it is
        blurred in full.
    """
    labels, n = section.labels, len(section.fibers)
    area = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    whole = np.bincount(rasterize(section.geometry, section.mpp).labels.ravel(), minlength=n + 1)
    lost = 1 - area / np.maximum(whole[1:], area)
    artefact = section.tissue == ARTEFACT
    torn = section.tissue == BACKGROUND

    def of_fiber(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.bincount(labels[mask], minlength=n + 1)[1:] / np.maximum(area, 1)

    share = np.maximum.reduce([lost, of_fiber(artefact), of_fiber(section.holes)])
    share = np.maximum(share, of_fiber(blurred >= 1) >= 1)
    around = (~(artefact | torn | (blurred > 0))).astype(np.uint8)
    near = cv2.distanceTransform(around, cv2.DIST_L2, 3) * section.mpp <= CLEAN_UM
    clean = (of_fiber(near) == 0) & (of_fiber(section.holes) == 0)
    return share, clean


def _blur(section: SyntheticSection) -> tuple[SyntheticSection, NDArray[np.float32]]:
    """Put one side of the picture out of focus, and tell how much."""
    height, width = section.labels.shape
    x = (np.arange(width) - (1 - BLURRED_PART) * width) * section.mpp
    weight = np.clip(x / BLUR_EDGE_UM, 0, 1).astype(np.float32)
    sharp = section.image.astype(np.float32)
    dull = cv2.GaussianBlur(sharp, (0, 0), BLUR_UM / section.mpp)
    mixed = sharp + weight[:, None] * (dull - sharp)
    image = np.round(mixed).astype(section.image.dtype)
    return replace(section, image=image), np.broadcast_to(weight, (height, width))


def judge_flags(planted: Planted, reading: Reading) -> pd.DataFrame:
    """Look up what the analyzer says of each true fiber.

    Returns
    -------
    DataFrame
        One row per true fiber that lies whole in the field: ``hit``, ``clean``, ``outlined`` and
        ``flagged``. A fiber is flagged where its outline is left out of the statistics, for
        another reason than the border of the image, or called oblique or at an edge. A fiber
        without an outline is neither outlined nor flagged.
    """
    section = planted.section
    true = LabelField(reading.labels.path, section.labels, (section.mpp, section.mpp))
    found = match_grids(reading.labels, true)[0].labels
    outline = outline_of(found, section.labels, len(section.fibers))
    table = reading.fibers.set_index("label")
    flags = flagged(table).reindex(outline, fill_value=False).to_numpy(dtype=bool)
    rows = pd.DataFrame(
        {
            "kind": planted.kind,
            "hit": planted.share >= IN_SHARE,
            "clean": planted.clean,
            "outlined": outline > 0,
            "flagged": flags & (outline > 0),
        }
    )
    at_border = np.isin(section.fibers["label"], border_labels(section.labels))
    cut = table.index[table["touches_border"].astype(bool)]
    return rows[~at_border & ~np.isin(outline, cut)].reset_index(drop=True)


def outline_of(found: NDArray[np.int32], labels: NDArray[np.int32], n: int) -> NDArray[np.int64]:
    """Label of the outline that holds most of each true fiber 1..n, 0 where none holds enough."""
    inside = labels > 0
    step = int(found.max(initial=0)) + 1
    pair, count = np.unique(
        labels[inside].astype(np.int64) * step + found[inside], return_counts=True
    )
    fiber, outline = np.divmod(pair, step)
    area = np.bincount(fiber, count, n + 1)
    best = np.zeros(n + 1, dtype=np.int64)
    enough = (outline > 0) & (count >= OUTLINED_SHARE * area[fiber])
    order = np.argsort(count[enough], kind="stable")
    best[fiber[enough][order]] = outline[enough][order]
    return best[1:]


def flagged(fibers: pd.DataFrame) -> pd.Series:
    """Whether each fiber of a result is left out, or called oblique or at an edge."""
    reasons = fibers["excluded"].fillna("").astype(str)
    other = reasons.map(lambda text: any(r not in ("", CUT_BY_BORDER) for r in text.split("; ")))
    doubtful = (fibers[["oblique", "edge"]].astype(float) >= CERTAIN).any(axis=1)
    return other.astype(bool) | (doubtful & ~fibers["touches_border"])


def summarize_flags(rows: pd.DataFrame) -> dict[str, float]:
    """Shares of the fibers in artefacts, and of clean ones, that are flagged; NaN of none."""

    def part(of: pd.Series, yes: pd.Series) -> float:
        return float(yes[of].mean()) if of.any() else float("nan")

    hit, clean, outlined = rows["hit"], rows["clean"], rows["outlined"]
    return {
        "n_hit": int(hit.sum()),
        "outlined": part(hit, outlined),
        "flagged": part(hit & outlined, rows["flagged"]),
        "kept_out": part(hit, rows["flagged"] | ~outlined),
        "n_clean": int((clean & outlined).sum()),
        "clean_flagged": part(clean & outlined, rows["flagged"]),
    }
