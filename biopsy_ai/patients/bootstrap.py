"""Intervals of a patient's measures: blocks, sections and neighborhoods of fibers drawn anew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

REPLICATES = 1000
"""How often everything is drawn anew for an interval. [default]"""
LEVEL = 0.95
"""Of the intervals. [default]"""
FEW_BLOCKS = 5
"""Fewer blocks than this cannot give an interval of the level that it claims. [default]"""


@dataclass(frozen=True, eq=False)
class Sampled:
    """A measure of one section.

    Attributes
    ----------
    block
        Name of the block of the section.
    value
        The measure.
    sums
        (units, 3) as in `biopsy_ai.patients.measures`; None where the section has the measure as a
        whole.
    """

    block: str
    value: float
    sums: Floats | None = None


@dataclass(frozen=True)
class Estimate:
    """A measure of a patient.

    Attributes
    ----------
    mean
        Mean over blocks of means over sections; None where no section has the measure.
    low, high
        Interval; None where there is none.
    interval
        What the interval was drawn from, in words.
    """

    mean: float | None
    low: float | None
    high: float | None
    interval: str


def estimate(
    sections: Sequence[Sampled],
    value_of: Callable[[Floats, float], Floats],
    rng: np.random.Generator,
    *,
    replicates: int = REPLICATES,
) -> Estimate:
    """Average a measure over the blocks of a patient, and draw its interval.

    Parameters
    ----------
    sections
        Those that have the measure.
    value_of
        Gives values from (..., 3) sums and the number of fibers of the section.
    rng
        Draws.
    replicates
        How often.

    Notes
    -----
    Cluster bootstrap in three stages. Of n blocks, n - 1 are drawn with replacement (Rao & Wu
    1988, J Am Stat Assoc 83:231: as many as n would give too small a variance where n is small),
    in each of them n - 1 of its n sections, and in each section its neighborhoods of fibers weigh
    as exponential variables (Rubin 1981, Ann Stat 9:130), as in the interval of the scores. A
    block or a section that is the only one is always drawn: nothing is known of how others would
    differ, and the interval says so.
    """
    if not sections:
        return Estimate(None, None, None, "")
    blocks: dict[str, list[Sampled]] = {}
    for section in sections:
        blocks.setdefault(section.block, []).append(section)
    members = list(blocks.values())
    mean = float(np.mean([np.mean([section.value for section in block]) for block in members]))
    words = _words(members)
    if not words:
        return Estimate(mean, None, None, "none: one section")
    total = np.zeros(replicates)
    slots = max(len(members) - 1, 1)
    for _ in range(slots):
        chosen = rng.integers(len(members), size=replicates)
        for number, block in enumerate(members):
            rows = np.flatnonzero(chosen == number)
            total[rows] += _draw_block(block, len(rows), value_of, rng)
    drawn = total / slots
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Estimate(mean, None, None, "none: too few fibers")
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(mean, float(low), float(high), words)


def seed_of(patient: str, measure: str, seed: int = 0) -> np.random.Generator:
    """Generator that is the same whatever other patients there are."""
    name = hashlib.sha256(f"{patient}\0{measure}".encode("utf-8", "backslashreplace")).digest()
    return np.random.default_rng([seed, int.from_bytes(name[:8], "big")])


def _draw_block(
    block: Sequence[Sampled],
    n: int,
    value_of: Callable[[Floats, float], Floats],
    rng: np.random.Generator,
) -> Floats:
    """Value of a block, n times drawn anew."""
    total = np.zeros(n)
    slots = max(len(block) - 1, 1)
    for _ in range(slots):
        chosen = rng.integers(len(block), size=n)
        for number, section in enumerate(block):
            rows = np.flatnonzero(chosen == number)
            total[rows] += _draw_section(section, len(rows), value_of, rng)
    return total / slots


def _draw_section(
    section: Sampled,
    n: int,
    value_of: Callable[[Floats, float], Floats],
    rng: np.random.Generator,
) -> Floats:
    if not _has_units(section):
        return np.full(n, section.value)
    assert section.sums is not None
    weights = rng.standard_exponential((n, len(section.sums)))
    return value_of(weights @ section.sums, float(section.sums[:, 0].sum()))


def _has_units(section: Sampled) -> bool:
    return section.sums is not None and len(section.sums) > 1


def _words(blocks: Sequence[Sequence[Sampled]]) -> str:
    """What is drawn anew; empty where that is nothing."""
    if len(blocks) > 1:
        few = ", few" if len(blocks) < FEW_BLOCKS else ""
        return f"{len(blocks)} blocks{few}"
    (block,) = blocks
    if len(block) > 1:
        return f"{len(block)} sections of one block"
    return "fibers of one section" if _has_units(block[0]) else ""
