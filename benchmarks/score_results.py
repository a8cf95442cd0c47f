"""Score the biopsies of a cohort, and put scores and truth side by side."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from myopath import myopath_measures, myopath_score
from score_metrics import log_odds
from score_sections import PARTS, TRUTH_FILE
from score_tissue import HEALTHY

from biopsy_ai.report.save import SUMMARY_FILE

CHANGES = ("denervation", "myopathy")
PRESENT: dict[str, tuple[str, ...]] = {
    "denervation": ("active_denervation", "chronic_reinnervation", "mixed"),
    "myopathy": ("dystrophy", "inflammatory", "mixed"),
}
"""Diseases in which each change is present."""

VERDICTS = (
    "no_abnormality",
    "denervation",
    "myopathy",
    "mixed",
    "type2_atrophy",
    "indeterminate",
    "not_enough_tissue",
)
ABNORMAL = ("denervation", "myopathy", "mixed", "type2_atrophy")
RIGHT = {
    **dict.fromkeys(HEALTHY, "no_abnormality"),
    "active_denervation": "denervation",
    "chronic_reinnervation": "denervation",
    "dystrophy": "myopathy",
    "inflammatory": "myopathy",
    "type2_atrophy": "type2_atrophy",
    "mixed": "mixed",
}
"""The verdict that each disease should get."""

Scorer: TypeAlias = Callable[[Sequence[Path]], dict[str, Any]]
"""Takes the folders of the sections of one biopsy and gives what ``summary.json`` calls score."""


def package_scorer(evidence: Path | None = None) -> Scorer:
    """Score as a user does, with the evidence file that comes with the package or another."""
    from biopsy_ai.score import load_evidence, read_section, score_block

    loaded = load_evidence(evidence)

    def score(folders: Sequence[Path]) -> dict[str, Any]:
        found = score_block([read_section(folder) for folder in folders], loaded).summary()
        # the evidence file weighs families as a whole
        for piece in found["score"]["evidence"]:
            for change in CHANGES:
                weight = loaded.families[piece["family"]].weight.of(change)
                piece[f"{change}_log10_lr"] *= weight
        return dict(found["score"])

    return score


_scorers: dict[str, Scorer] = {}
"""Of each process, by evidence file."""


def score_part(folder: Path, evidence: Path | None) -> dict[str, Any]:
    """Score one biopsy in a process of its own."""
    key = str(evidence)
    if key not in _scorers:
        _scorers[key] = package_scorer(evidence)
    return describe_part(folder, _scorers[key])


def score_cohort(
    folder: Path, evidence: Path | None = None, n_processes: int = 2
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score all biopsies of a cohort: the tables of `frames_of`."""
    parts = part_folders(folder)
    found = []
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    with ProcessPoolExecutor(n_processes, mp_context=get_context("spawn")) as pool:
        scored = pool.map(score_part, parts, [evidence] * len(parts), chunksize=4)
        for number, result in enumerate(scored, start=1):
            found.append(result)
            if number % 50 == 0:
                print(f"scored {number} of {len(parts)}", file=sys.stderr, flush=True)
    return frames_of(found)


def part_folders(folder: Path) -> list[Path]:
    """Folders of the finished biopsies, first and second sections."""
    found = (truth.parent for truth in sorted(folder.glob(f"*/*/{TRUTH_FILE}")))
    return [part for part in found if part.name in PARTS]


def describe_part(folder: Path, scorer: Scorer) -> dict[str, Any]:
    """Put the truth and the score of one biopsy side by side."""
    truth = json.loads((folder / TRUTH_FILE).read_text(encoding="utf-8"))
    stains = [folder / stain.split(":")[0] for stain in truth["stains"]]
    read = [stain for stain in stains if (stain / SUMMARY_FILE).is_file()]
    summaries = {
        stain.name: json.loads((stain / SUMMARY_FILE).read_text(encoding="utf-8")) for stain in read
    }
    row: dict[str, Any] = {
        name: truth[name] for name in ("number", "part", "disease", "severity", "band", "use_case")
    }
    row["n_fibers"] = max((s["fibers"]["n_measured"] for s in summaries.values()), default=0)
    row["myopath"] = (
        myopath_score(myopath_measures(summaries["he"])) if "he" in summaries else math.nan
    )
    score = scorer(read) if read else {"verdict": "not_enough_tissue", "evidence": []}
    for change in CHANGES:
        values = score.get(change) or {}
        row[change] = _known(values.get("value"))
        row[f"{change}_low"], row[f"{change}_high"] = (
            _known(values.get(end)) for end in ("low", "high")
        )
        row[f"{change}_baseline"] = _known((score.get("baseline") or {}).get(change))
    row["tempering"] = _known(score.get("tempering"))
    row["verdict"] = score["verdict"]
    row["evidence"] = score.get("evidence", [])
    return row


def frames_of(found: Iterable[dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of what `describe_part` gives.

    Returns
    -------
    biopsies
        One row per biopsy and part: truth, number of measured fibers, scores, verdict.
    evidence
        One row per biopsy, part and piece of evidence that counted.
    """
    rows, pieces = [], []
    for row in found:
        for piece in row["evidence"]:
            if piece.get("counted"):
                keys = {name: row[name] for name in ("number", "part")}
                kept = ("family", *(f"{change}_log10_lr" for change in CHANGES))
                pieces.append(keys | {name: piece[name] for name in kept})
        rows.append({name: value for name, value in row.items() if name != "evidence"})
    columns = ["number", "part", "family", *(f"{change}_log10_lr" for change in CHANGES)]
    biopsies = pd.DataFrame(rows).sort_values(["part", "number"], ignore_index=True)
    return biopsies, pd.DataFrame(pieces, columns=columns)


def is_present(biopsies: pd.DataFrame, change: str) -> np.ndarray:
    """Which biopsies have a change, (n,) of bool."""
    return biopsies["disease"].isin(PRESENT[change]).to_numpy()


def is_clear(biopsies: pd.DataFrame, least_fibers: int = 200) -> np.ndarray:
    """Which biopsies are healthy or moderately or severely changed, and large enough, (n,)."""
    strong = biopsies["band"].isin(["none", "moderate", "severe"])
    return (strong & (biopsies["n_fibers"] >= least_fibers)).to_numpy()


def without_family(
    biopsies: pd.DataFrame, evidence: pd.DataFrame, change: str, family: str | None
) -> np.ndarray:
    """Scores of the evidence of all families but one, (n,); of all families where that is None.

    With no family left out they are the scores themselves, up to rounding.
    """
    kept = evidence if family is None else evidence[evidence["family"] != family]
    total = kept.groupby(["number", "part"])[f"{change}_log10_lr"].sum()
    keys = pd.MultiIndex.from_frame(biopsies[["number", "part"]])
    weight = biopsies["tempering"].to_numpy(float) * total.reindex(keys).fillna(0).to_numpy(float)
    odds = 10 ** (log_odds(biopsies[f"{change}_baseline"].to_numpy(float)) + weight)
    return np.asarray(100 * odds / (1 + odds))


def _known(value: float | None) -> float:
    return math.nan if value is None else float(value)
