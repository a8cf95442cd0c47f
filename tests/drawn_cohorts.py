"""Made-up cohorts of results with a score, and their labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from biopsy_ai.score import load_evidence
from biopsy_ai.score.evidence import CHANGES
from biopsy_ai.score.labeled_cohort import LABELS

KINDS = ("normal", "denervation", "myopathy", "mixed")


@dataclass(frozen=True)
class DrawnCohort:
    """Where a cohort was drawn."""

    cohort: Path
    labels: Path
    folders: tuple[str, ...]

    def relabel(self, *lines: str, header: str = "slide,label") -> None:
        """Replace the table of labels."""
        self.labels.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


def draw_summary(rows: Sequence[dict[str, Any]], **score: Any) -> dict[str, Any]:
    """Summary of a slide with nothing but a score."""
    values = {change: {"value": 50.0, "low": 40.0, "high": 60.0} for change in CHANGES}
    file = {"name": "default", "sha256": load_evidence().sha256}
    return {"score": {**values, "evidence": list(rows), "evidence_file": file, **score}}


def draw_rows(rng: np.random.Generator, label: str) -> list[dict[str, Any]]:
    """Evidence of a slide: grouping and nuclei tell, the interstitium is noise, size is silent."""
    told = {
        ("grouping", "denervation"): 0.4 if "denervation" in LABELS[label] else -0.4,
        ("nuclei", "myopathy"): 0.3 if "myopathy" in LABELS[label] else -0.3,
    }
    rows = []
    for family in ("grouping", "nuclei", "interstitium"):
        row: dict[str, Any] = {"family": family, "finding": family, "counted": True}
        for change in CHANGES:
            middle = told.get((family, change), 0.0)
            scatter = 0.35 if middle or family == "interstitium" else 0.0
            row[f"{change}_log10_lr"] = middle + scatter * float(rng.standard_normal())
        rows.append(row)
    ignored = {f"{change}_log10_lr": 9.0 for change in CHANGES}
    return [*rows, {"family": "nuclei", "finding": "repeated", "counted": False, **ignored}]


def draw_cohort(
    folder: Path,
    *,
    patients: int = 60,
    slides: int = 1,
    kinds: Sequence[str] = KINDS,
    seed: int = 0,
) -> DrawnCohort:
    """Draw a cohort whose patients have the kinds in turn."""
    rng = np.random.default_rng(seed)
    lines, labels, folders = ["slide,status,folder,patient"], ["folder,label"], []
    for patient in range(patients):
        label = kinds[patient % len(kinds)]
        for slide in range(slides):
            name = f"p{patient}_{slide}"
            (folder / name).mkdir(parents=True)
            summary = draw_summary(draw_rows(rng, label))
            (folder / name / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
            lines.append(f"/slides/{name}.svs,ok,{name},P{patient}")
            labels.append(f"{name},{label}")
            folders.append(name)
    cohort, table = folder / "cohort.csv", folder / "labels.csv"
    cohort.write_text("\n".join(lines) + "\n", encoding="utf-8")
    table.write_text("\n".join(labels) + "\n", encoding="utf-8")
    return DrawnCohort(cohort, table, tuple(folders))
