"""Accuracy on synthetic sections of every preset and stain, whose truth is complete.

The seeds start far above those that training draws from, so no section was seen before.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from methods import Method
from numpy.typing import NDArray
from tables import markdown, number

from biopsy_ai.evaluation import FiberEvaluation, evaluate_fibers, pool_evaluations
from biopsy_ai.evaluation.grids import LabelField, match_grids
from biopsy_ai.measure import measure_fibers
from biopsy_ai.synthesis import (
    STAINS,
    SectionParams,
    SyntheticSection,
    preset,
    preset_names,
    random_imaging,
    synthesize_section,
)

SHAPES = ("circularity", "solidity", "angularity")
SMALL_UM = (10.0, 25.0)
"""Minimal Feret diameter of the fibers whose shape decides, µm: from, and below."""

TINY_UM2 = 150.0

CONFIG_STAINS = {"gomori": "trichrome", "masson": "trichrome"}
"""Names that `AnalysisConfig.stain` has for stains that are drawn."""

MPP = 0.5


@dataclass(frozen=True)
class Case:
    """What was found in one synthetic section."""

    preset: str
    stain: str
    evaluation: FiberEvaluation
    tiny: NDArray[np.bool_]
    """Which true fibers below `TINY_UM2` that lie whole in the field were found."""
    small: pd.DataFrame
    """True small angular fibers: ``found`` and, of `SHAPES`, ``<name>_true`` and ``_found``."""


def write_picture(path: Path, section: SyntheticSection) -> None:
    """Write the picture of a section as TIFF with its pixel size."""
    tifffile.imwrite(
        path,
        section.image,
        photometric="rgb" if section.image.ndim == 3 else "minisblack",
        compression="zlib",
        resolution=(1e4 / section.mpp, 1e4 / section.mpp),
        resolutionunit="CENTIMETER",
    )


def draw_section(
    name: str,
    stain: str,
    seed: int,
    size_um: float,
    severity: float,
    change: Callable[[SectionParams], SectionParams] | None = None,
) -> SyntheticSection:
    """Draw one section, its parameters changed at last; the only place that knows the generator."""
    params = SectionParams(
        tissue=preset(name),
        imaging=random_imaging(np.random.default_rng(seed), stain, severity=severity),
        stain=stain,
        size_um=(size_um, size_um),
        mpp=MPP,
    )
    return synthesize_section(change(params) if change else params, seed)


def cases(
    method: Method,
    *,
    presets: Sequence[str] | None = None,
    stains: Sequence[str] | None = None,
    seed: int,
    size_um: float,
    severity: float,
    change: Callable[[SectionParams], SectionParams] | None = None,
) -> Iterator[Case]:
    """Draw a section of every preset in every stain and outline it."""
    drawn = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in presets or preset_names():
            for stain in stains or STAINS:
                section = draw_section(name, stain, seed + drawn, size_um, severity, change)
                drawn += 1
                path = Path(folder) / "section.tif"
                write_picture(path, section)
                channels = {"border": 0} if stain == "if" else {}
                found = method(path, section.mpp, CONFIG_STAINS.get(stain, stain), channels)
                yield _judge(name, stain, section, found)


def report(
    method: Method,
    *,
    presets: Sequence[str] | None = None,
    stains: Sequence[str] | None = None,
    seed: int = 900_000,
    size_um: float = 768.0,
    severity: float = 0.5,
) -> str:
    """Outline all sections and make a Markdown table: by stain, by preset, all, and the worst."""
    found = list(
        cases(method, presets=presets, stains=stains, seed=seed, size_um=size_um, severity=severity)
    )
    rows = [
        *(_row(stain, [c for c in found if c.stain == stain]) for stain in _unique(found, "stain")),
        *(_row(name, [c for c in found if c.preset == name]) for name in _unique(found, "preset")),
        _row("all", found),
    ]
    header = ("sections", "n true", "P", "R", "F1", "lowest F1", "found < 150 µm²", "CSA bias %")
    small = ("small angular", "found", *(f"r {name}" for name in SHAPES))
    worst = sorted(found, key=lambda case: case.evaluation.at(0.5).f1)[:5]
    lines = [f"- {c.preset}, {c.stain}: F1 {number(c.evaluation.at(0.5).f1)}" for c in worst]
    return markdown(header + small, rows) + "\n\nLowest F1:\n" + "\n".join(lines)


def _judge(name: str, stain: str, section: SyntheticSection, found: LabelField) -> Case:
    true = LabelField(Path("truth"), section.labels, (section.mpp, section.mpp))
    found, true = match_grids(found, true)
    assert true.mpp is not None
    evaluation = evaluate_fibers(found.labels, true.labels, mpp=true.mpp, shapes=False)
    measured = measure_fibers(true.labels, true.mpp).merge(section.fibers, on="label")
    assert evaluation.matching is not None
    pairs = pd.DataFrame(evaluation.matching.pairs, columns=["label_found", "label"])
    whole = measured[~measured["touches_border"]]
    tiny = whole["label"][whole["area_um2"] < TINY_UM2].isin(pairs["label"]).to_numpy(dtype=bool)
    small = measured[
        measured["min_feret_um"].between(*SMALL_UM, inclusive="left")
        & measured["angular"].astype(bool)
        & ~measured["touches_border"]
    ]
    small = small[["label", *SHAPES]].merge(pairs, on="label", how="left")
    shapes = measure_fibers(found.labels, true.mpp)[["label", *SHAPES]]
    small = small.merge(
        shapes.rename(columns={"label": "label_found"}),
        on="label_found",
        how="left",
        suffixes=("_true", "_found"),
    )
    return Case(name, stain, evaluation, tiny, small.assign(found=small["label_found"].notna()))


def _row(title: str, group: Sequence[Case]) -> list[str]:
    pooled = pool_evaluations(case.evaluation for case in group)
    small = pd.concat([case.small for case in group])
    matched = small[small["found"]]
    return [
        title,
        *found_share(pooled),
        number(min(case.evaluation.at(0.5).f1 for case in group)),
        _found_tiny(group),
        number(pooled.csa_bias_percent, "+.1f"),
        str(len(small)),
        f"{small['found'].mean():.3f}" if len(small) else "–",
        *(_correlation(matched, shape) for shape in SHAPES),
    ]


def found_share(pooled: FiberEvaluation) -> list[str]:
    """Cells of a table: number of true fibers; precision, recall and F1 at IoU 0.5."""
    half = pooled.at(0.5)
    return [str(pooled.n_true), number(half.precision), number(half.recall), number(half.f1)]


def _found_tiny(group: Sequence[Case]) -> str:
    """Share of the smallest true fibers that are found, and how many there are."""
    tiny = np.concatenate([case.tiny for case in group])
    return f"{tiny.mean():.3f} (n {len(tiny)})" if len(tiny) else "–"


def _correlation(matched: pd.DataFrame, shape: str) -> str:
    pairs = matched[[f"{shape}_true", f"{shape}_found"]].dropna().to_numpy(dtype=float)
    if len(pairs) < 10:
        return "–"
    return number(float(np.corrcoef(pairs.T)[0, 1]))


def _unique(found: Sequence[Case], field: str) -> list[str]:
    return list(dict.fromkeys(getattr(case, field) for case in found))
