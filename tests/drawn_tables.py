"""Sections made up for the scores: a table of fibers, what touches, and a summary, by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from drawn_mosaics import hexagons, square_fascicles

from biopsy_ai.formats.tables import write_json
from biopsy_ai.score import (
    Evidence,
    Section,
    SectionScore,
    load_evidence,
    score_section,
    section_of,
)

NORMAL_UM, SMALL_UM, LARGE_UM = 56.0, 22.0, 110.0
STAINS = ("all", "he", "atpase", "outlines")
"""What is known: everything, all but the types, the types and what ATPase shows, outlines alone."""

CONDITIONS = ("necrotic", "regenerating", "split", "hypercontracted", "vacuolated")


@dataclass
class DrawnTable:
    """A section whose findings are put in one by one; each step changes it and gives it back."""

    table: pd.DataFrame
    pairs: np.ndarray
    summary: dict[str, Any]

    def __len__(self) -> int:
        return len(self.table)

    def section(self) -> Section:
        return section_of(self.table, self.pairs, self.summary)

    def score(self, evidence: Evidence | None = None) -> SectionScore:
        return score_section(self.section(), evidence)

    def set(self, path: str, value: Any) -> Self:
        """Put a value into the summary; the names on the way to it are parted by slashes."""
        *way, last = path.split("/")
        part = self.summary
        for name in way:
            part = part.setdefault(name, {})
        part[last] = value
        return self

    def mark(self, column: str, rows: np.ndarray, value: Any = True) -> Self:
        self.table.loc[self.table.index[rows], column] = value
        return self

    def some(self, n: int, seed: int = 1) -> np.ndarray:
        """Rows of a few fibers at random places."""
        return np.sort(np.random.default_rng(seed).choice(len(self), n, replace=False))

    def shrink(self, rows: np.ndarray, shape: str = "angular") -> Self:
        """Make fibers small: ``angular``, ``round`` or of no telling shape."""
        self.mark("min_feret_um", rows, SMALL_UM).mark("is_atrophic", rows)
        self.mark("is_angular_atrophic", rows, shape == "angular")
        if shape == "angular":
            self.mark("circularity", rows, 0.6).mark("angularity", rows, 0.8)
            self.mark("concave_fraction", rows, 0.06).mark("min_angle_deg", rows, 50.0)
        elif shape == "round":
            self.mark("circularity", rows, 0.92)
        else:
            self.mark("circularity", rows, 0.8)
        return self

    def enlarge(self, rows: np.ndarray) -> Self:
        return self.mark("min_feret_um", rows, LARGE_UM).mark("is_hypertrophic", rows)

    def sicken(self, name: str, rows: np.ndarray) -> Self:
        """Give fibers a condition, one of `CONDITIONS`."""
        return self.mark(name, rows, 0.9).mark("condition", rows, name)

    def with_internal_nuclei(self, rows: np.ndarray, *, central: bool = False) -> Self:
        self.mark("n_internal_nuclei", rows, 2.0)
        return self.mark("is_centrally_nucleated", rows) if central else self

    def grouped_types(self, above_chance: float) -> Self:
        return self.set("patterns/type_grouping/assortativity_detail/above_chance", above_chance)

    def grouped_atrophy(self, excess: float) -> Self:
        return self.set("patterns/grouped_atrophy/excess", excess)

    def save(self, folder: Path) -> Path:
        """Write what a score is made of again."""
        folder.mkdir(parents=True, exist_ok=True)
        self.table.to_csv(folder / "fibers.csv", index=False)
        pd.DataFrame(self.pairs, columns=["label", "neighbor"]).to_csv(
            folder / "contacts.csv", index=False
        )
        write_json(folder / "summary.json", self.summary)
        return folder


def draw_table(
    stain: str = "all",
    *,
    rows: int = 24,
    columns: int = 20,
    side: float | None = 10.0,
    age: float | None = None,
    muscle: str | None = None,
    seed: int = 0,
) -> DrawnTable:
    """Draw healthy muscle: a lattice of fibers in square fascicles, types dealt out at random.

    `side` is that of the fascicles in fibers, None for fibers whose fascicles are not known.
    """
    centers, pairs = hexagons(rows, columns)
    n = len(centers)
    rng = np.random.default_rng(1234)
    fascicle, layer = square_fascicles(centers, side or 1e6)
    pairs = pairs[fascicle[pairs[:, 0]] == fascicle[pairs[:, 1]]]
    nuclei, typed, picture = stain in ("all", "he"), stain in ("all", "atpase"), stain != "outlines"
    nothing = pd.array([pd.NA] * n, dtype="Int64")
    table = pd.DataFrame(
        {
            "label": np.arange(1, n + 1),
            "min_feret_um": NORMAL_UM * rng.lognormal(0, 0.17, n),
            "centroid_y_um": 60.0 * centers[:, 0] + rng.uniform(-5, 5, n),
            "centroid_x_um": 60.0 * centers[:, 1] + rng.uniform(-5, 5, n),
            "circularity": 0.86 + 0.02 * rng.standard_normal(n).clip(-1, 1),
            "solidity": 0.97,
            "feret_aspect_ratio": 1.3,
            "min_angle_deg": 100.0,
            "n_acute_angles": 0,
            "concave_fraction": 0.01,
            "angularity": 0.2,
            "shape_assessable": True,
            "touches_border": False,
            "n_internal_nuclei": 0.0 if nuclei else np.nan,
            "is_centrally_nucleated": pd.array([False if nuclei else pd.NA] * n, dtype="boolean"),
            "fascicle": nothing if side is None else pd.array(fascicle, dtype="Int64"),
            "layer": nothing if side is None else pd.array(layer, dtype="Int64"),
            **{
                name: 0.01 if nuclei or (typed and name in ("split", "vacuolated")) else np.nan
                for name in CONDITIONS
            },
            "condition": "normal",
            "core": "",
            "core_depth_ratio": np.nan,
            "type": np.where(rng.random(n) < 0.5, "I", "II") if typed else "",
            "group": nothing,
            "is_atrophic": pd.array([False] * n, dtype="boolean"),
            "is_angular_atrophic": pd.array([False] * n, dtype="boolean"),
            "is_hypertrophic": pd.array([False] * n, dtype="boolean"),
            "atrophy_cluster": nothing,
            "excluded": "",
        }
    )
    unseen = {"assessable": False, "why_not": f"the stain of this section ({stain}) shows none"}
    summary: dict[str, Any] = {
        "fibers": {"obliquity": {"median_feret_aspect_ratio": 1.3, "oblique": False}},
        "nuclei": {
            "assessable": True,
            "clumps": {"n": 0},
            "clusters": {"n": 1, "n_nuclei": 11},
            "interstitial": {"n": 700},
        }
        if nuclei
        else dict(unseen),
        "tissue": {
            "assessable": True,
            "area_um2": 1.6e6,
            "endomysium_of_muscle_percent": 8.0,
            "perimysium_percent": 10.0,
            "fat_percent": 1.0,
        }
        if picture
        else dict(unseen),
        "condition": {
            name: {"assessable": bool(np.isfinite(table[name]).all())} for name in CONDITIONS
        },
        "cores": dict(unseen),
        "types": {
            "assessable": True,
            "predominance": {"assessable": False, "why_not": "give the muscle"},
        }
        if typed
        else dict(unseen),
        "patterns": {
            "type_grouping": {
                "assessable": True,
                "assortativity_detail": {"above_chance": 0.0},
                "n_edges": len(pairs),
                "over_segmentation": {"share_dropped": 0.0},
            }
            if typed
            else dict(unseen),
            "grouped_atrophy": {"assessable": True, "excess": 0.0},
            "perifascicular_atrophy": dict(unseen)
            if side is None
            else {"assessable": True, "ratio": 0.97, "n": n},
            "size_modes": {"all": {"assessable": True, "two_modes": False, "n": n}},
        },
        "quality": {"assessable": True, "excluded_percent": 1.0, "n_tiles": 120}
        if picture
        else dict(unseen),
        "provenance": {"configuration": {"age": age, "muscle": muscle, "patterns": {"seed": seed}}},
    }
    return DrawnTable(table, table["label"].to_numpy()[pairs], summary)


def with_denervation(drawn: DrawnTable) -> DrawnTable:
    """Small angular fibers that lie in groups, as do the types where they are known."""
    drawn.shrink(drawn.some(70)).grouped_atrophy(0.25)
    if "assortativity_detail" in drawn.summary["patterns"]["type_grouping"]:
        drawn.grouped_types(0.25)
    return drawn


def _fibrosis(drawn: DrawnTable) -> DrawnTable:
    return drawn.set("tissue/endomysium_of_muscle_percent", 28.0)


MYOPATHIC: dict[str, Callable[[DrawnTable], DrawnTable]] = {
    "internal nuclei": lambda drawn: drawn.with_internal_nuclei(drawn.some(90, 2), central=True),
    "necrosis": lambda drawn: drawn.sicken("necrotic", drawn.some(15, 3)),
    "regeneration": lambda drawn: drawn.sicken("regenerating", drawn.some(20, 4)),
    "splitting": lambda drawn: drawn.sicken("split", drawn.some(25, 5)),
    "fibrosis": _fibrosis,
    "inflammation": lambda drawn: drawn.set("nuclei/clusters", {"n": 30, "n_nuclei": 600}),
    "rounding": lambda drawn: drawn.mark(
        "circularity", np.flatnonzero(~drawn.table["is_atrophic"]), 0.93
    ),
}
"""Myopathic changes that are no change of size, and do nothing to what speaks for denervation."""


def with_myopathy(drawn: DrawnTable) -> DrawnTable:
    """All of them."""
    for change in MYOPATHIC.values():
        change(drawn)
    return drawn


def with_type_2_atrophy(drawn: DrawnTable) -> DrawnTable:
    """Fibers of type II small and angular, those of type I as they were."""
    return drawn.shrink(np.flatnonzero(drawn.table["type"] == "II"))


def rows_of(result: SectionScore) -> dict[str, dict[str, Any]]:
    """The evidence by finding."""
    return {row["finding"]: row for row in result.score["evidence"]}


def findings_of(result: SectionScore) -> dict[str, dict[str, Any]]:
    return {finding.name: finding.as_dict() for finding in result.findings}


def notes_of(result: SectionScore) -> dict[str, str]:
    return {note["name"]: note["text"] for note in result.score["notes"]}


def width_of(result: SectionScore, change: str) -> float:
    """Of the interval, in log10 odds, which do not shrink at the ends of the score."""
    found = result.score[change]
    low, high = (np.log10(found[end] / (100 - found[end])) for end in ("low", "high"))
    return float(high - low)


def evidence_with(**changes: Any) -> Evidence:
    """The bundled evidence file with parts of it replaced, each by a mapping of what differs."""
    content = load_evidence().model_dump()
    for part, change in changes.items():
        if isinstance(change, dict):
            content[part] = _merged(content[part], change)
        else:
            content[part] = change
    return Evidence(**content)


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    both = dict(old)
    for name, value in new.items():
        known = both.get(name)
        both[name] = (
            _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
        )
    return both
