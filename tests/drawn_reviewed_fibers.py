"""Fibers that a person reviewed, with signs and posteriors that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from drawn_datasets import write_reviewed

from biopsy_ai.measure.condition import condition_probabilities
from biopsy_ai.measure.condition_signs import SIGNS
from biopsy_ai.training.reviewed_fibers import ReviewedFibers

N = 200


def reviewed_table(
    seed: int = 0,
    *,
    split_from: float = 0.15,
    border: float = 0.0,
    stain: str = "atpase:9.4",
    n: int = N,
) -> pd.DataFrame:
    """A section in which people see a split from a cleft of a length on.

    Parameters
    ----------
    split_from
        Length of the shortest cleft that people take for a split, in diameters; the usual limit
        is 0.25.
    border
        Logit of the posterior from which people see type I; the program sees it at 0.
    """
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"label": np.arange(1, n + 1), "stain": stain, "reviewed": True})
    table["is_counted"], table["in_artefact"] = True, False
    for name in SIGNS:
        table[name] = 0.0
    table["relative_size"], table["circularity"] = 1.0, 0.8
    table["cleft_share"] = rng.uniform(0.0, 0.3, n)
    logits = rng.normal(0.0, 3.0, n)
    table["type_i_share"] = 1 / (1 + np.exp(-logits))
    table["neither_share"] = 0.0
    told = condition_probabilities(table)["split"] >= 0.5
    share = table["type_i_share"]
    table["type_before"] = np.select([share >= 0.8, share <= 0.2], ["I", "II"], "undetermined")
    table["condition_before"] = np.where(told, "split", "normal")
    table["type"] = np.where(logits > border, "I", "II")
    table["condition"] = np.where(table["cleft_share"] >= split_from, "split", "normal")
    return table


def reviewed_fibers(name: str, seed: int = 0, **options: float) -> ReviewedFibers:
    """The same as a section of a slide and patient of its own."""
    return ReviewedFibers(name, name, reviewed_table(seed, **options))


def write_measured(folder: Path, seed: int, table: pd.DataFrame | None = None) -> Path:
    """Write a picture as exported from a review, with such a table."""
    write_reviewed(folder, seed, measured="measured.csv")
    table = reviewed_table(seed) if table is None else table
    table.to_csv(folder / "measured.csv", index=False)
    return folder
