"""What a run over slides leaves behind, made by hand: sections whose fibers are known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from biopsy_ai.formats.tables import write_fibers_csv


@dataclass(frozen=True)
class Slide:
    """A slide of a drawn run: its fibers have these min Feret diameters, and lie in rows of 50."""

    name: str
    diameters: Sequence[float] = (50.0,)
    patient: str = ""
    block: str = ""
    failed: str = ""
    excluded: int = 0
    verdict: str = "Favours denervation"
    fat_percent: float | None = None
    sheet: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, Any] = field(default_factory=dict)


def fibers_of(slide: Slide) -> pd.DataFrame:
    """The fiber table of a slide; its first fibers are excluded."""
    diameters = np.asarray(slide.diameters, float)
    order = np.arange(len(diameters))
    return pd.DataFrame(
        {
            "label": order + 1,
            "area_um2": diameters**2,
            "min_feret_um": diameters,
            "centroid_y_um": order // 50 * 60.0,
            "centroid_x_um": order % 50 * 60.0,
            "n_internal_nuclei": pd.array(order % 2, dtype="Int64"),
            "is_atrophic": pd.array([d < 20 for d in diameters], dtype="boolean"),
            **slide.columns,
            "excluded": ["cut" if i < slide.excluded else "" for i in order],
        }
    )


def draw_run(out: Path, slides: Sequence[Slide]) -> Path:
    """Write cohort.csv and the results of slides."""
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for slide in slides:
        folder = "" if slide.failed else slide.name
        status = "failed" if slide.failed else "ok"
        row = {"slide": f"/slides/{slide.name}.svs", "status": status, "reason": slide.failed}
        rows.append({**row, "folder": folder, "patient": slide.patient, "block": slide.block})
        rows[-1] |= slide.sheet
        if not slide.failed:
            write_results(out / slide.name, slide)
    pd.DataFrame(rows).fillna("").to_csv(out / "cohort.csv", index=False)
    return out


def write_results(folder: Path, slide: Slide) -> None:
    """Write the results of one slide, as far as they are read again."""
    folder.mkdir(parents=True, exist_ok=True)
    fibers = fibers_of(slide)
    write_fibers_csv(folder / "fibers.csv", fibers)
    n_measured = int((fibers["excluded"] == "").sum())
    summary = {
        "fibers": {"n_fibers": len(fibers), "n_measured": n_measured},
        "tissue": {"fat_percent": slide.fat_percent},
        "image": {"stain": "he"},
        "score": {"verdict_text": slide.verdict, "denervation": {"value": 71.2}},
        "provenance": {"configuration": slide.settings},
        "files": ["fibers.csv"],
    }
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
