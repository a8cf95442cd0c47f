"""How much grouping hangs on errors of typing and outlining: the same with errors added."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.patterns.assortativity import assortativity
from biopsy_ai.patterns.stratified_moments import moments_within_strata
from biopsy_ai.processors import usable_cores, worker_threads
from biopsy_ai.progress import Progress

STAGE = "sensitivity of grouping"


def perturb_mosaic(
    pairs: np.ndarray,
    is_type_i: np.ndarray,
    strata: np.ndarray,
    rng: np.random.Generator,
    *,
    flip: float,
    split: float,
    merge: float,
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """Mistype some fibers, split some and merge some with a neighbor.

    Parameters
    ----------
    pairs : (m, 2) array of int
        Every contact once.
    is_type_i : (n,) array of bool
    strata : (n,) array of int
    rng : numpy.random.Generator
    flip, split, merge : float
        Shares of fibers that get the other type, that are two afterwards, and that are one with a
        neighbor of theirs.

    Returns
    -------
    pairs : (m', 2) ndarray of int
    is_type_i : (n',) ndarray of bool
    strata : (n',) ndarray of int

    Notes
    -----
    Both halves of a fiber are in contact and of its type; each neighbor touches one of them or
    both, a third each, as a cut across a hexagon meets two of its six sides. Two fibers in one
    have the type of either with equal chance, and the neighbors of both.
    """
    n = len(is_type_i)
    marks = is_type_i ^ (rng.random(n) < flip)
    joined, gone = _draw_merges(pairs, n, round(merge * n), rng)
    type_of_second = rng.random(len(gone)) < 0.5
    into = joined[gone]
    marks[into] = np.where(type_of_second, marks[gone], marks[into])
    pairs = joined[pairs]

    kept = np.ones(n, dtype=bool)
    kept[gone] = False
    chosen = rng.permutation(np.flatnonzero(kept))[: round(split * n)]
    half = np.full(n, -1)
    half[chosen] = n + np.arange(len(chosen))
    for end in (0, 1):
        other = half[pairs[:, end]] if len(pairs) else half[:0]
        fate = rng.random(len(pairs))
        new = pairs.copy()
        new[:, end] = np.where(other >= 0, other, new[:, end])
        pairs = np.concatenate(
            [pairs[(other < 0) | (fate < 2 / 3)], new[(other >= 0) & (fate >= 1 / 3)]]
        )
        # halves made at one end are no fibers to split at the other
        half = np.concatenate([half, np.full(len(chosen) if end == 0 else 0, -1)])
    pairs = np.concatenate([pairs, np.column_stack([chosen, half[chosen]])])
    row = np.cumsum(np.append(kept, np.ones(len(chosen), bool))) - 1
    pairs = _unique(row[pairs], int(row[-1]) + 1 if len(row) else 0)
    return (
        pairs,
        np.concatenate([marks[kept], marks[chosen]]),
        np.concatenate([strata[kept], strata[chosen]]),
    )


def analyze_sensitivity(
    pairs: np.ndarray,
    is_type_i: np.ndarray,
    strata: np.ndarray,
    rng: np.random.Generator,
    *,
    limits: Limits = DEFAULTS,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Repeat the main test of grouping on perturbed mosaics.

    Parameters
    ----------
    pairs : (m, 2) array of int
    is_type_i : (n,) array of bool
    strata : (n,) array of int
    rng : numpy.random.Generator
    limits : Limits, optional
        ``sensitivity_perturbations`` and the shares of fibers perturbed.
    progress : callable, optional

    Returns
    -------
    dict
        ``n`` perturbations, their ``flip``, ``split`` and ``merge``; of the assortativity
        ``median``, ``low_quartile``, ``high_quartile`` and their distance ``iqr``;
        ``share_below_level`` of the p values. These are from the normal distribution with the
        exact moments within strata, not from permutations.
    """
    from scipy.special import ndtr

    number = int(limits["sensitivity_perturbations"])
    level = limits["grouping_level"]
    shares = {
        "flip": limits["sensitivity_flip"],
        "split": limits["sensitivity_split"],
        "merge": limits["sensitivity_merge"],
    }

    def one(part: np.random.Generator) -> tuple[float, float]:
        changed, marks, of = perturb_mosaic(pairs, is_type_i, strata, part, **shares)
        moments = moments_within_strata(changed, marks.astype(float), of)
        if not moments.variance > 0:
            return np.nan, np.nan
        joins = np.count_nonzero(marks[changed[:, 0]] != marks[changed[:, 1]])
        p = float(ndtr((joins - moments.mean) / moments.sd))
        return assortativity(changed, marks.astype(np.int64)), p

    found = []
    with worker_threads("perturb", min(usable_cores(), 4)) as threads:
        for result in threads.map(one, rng.spawn(number)):
            found.append(result)
            if progress is not None:
                progress(STAGE, len(found), number)
    values, p_values = (
        np.array([pair for pair in found if np.isfinite(pair).all()]).reshape(-1, 2).T
    )
    quartiles: list[float | None] = [None, None, None]
    if len(values):
        quartiles = [float(value) for value in np.percentile(values, [25, 50, 75])]
    low, median, high = quartiles
    return {
        "n": len(values),
        **shares,
        "median": median,
        "low_quartile": low,
        "high_quartile": high,
        "iqr": None if high is None or low is None else high - low,
        "level": level,
        "share_below_level": float(np.mean(p_values < level)) if len(values) else None,
        "p_from": "normal distribution with the exact mean and variance within strata",
    }


def _draw_merges(
    pairs: np.ndarray, n: int, number: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What each node becomes, and the nodes that go: ends of random edges that share no node."""
    becomes = np.arange(n)
    drawn = pairs[rng.integers(len(pairs), size=2 * number)] if len(pairs) else pairs[:0]
    flat = drawn.ravel()
    first_use = np.full(n, len(flat))
    np.minimum.at(first_use, flat, np.arange(len(flat)))
    fresh = (first_use[flat] == np.arange(len(flat))).reshape(-1, 2).all(axis=1)
    drawn = drawn[fresh][:number]
    becomes[drawn[:, 1]] = drawn[:, 0]
    return becomes, drawn[:, 1]


def _unique(pairs: np.ndarray, n: int) -> NDArray[np.int64]:
    """Each pair once, the lower first, without those of a node with itself."""
    low, high = pairs.min(axis=1), pairs.max(axis=1)
    keys = np.unique((low * n + high)[low != high])
    return np.column_stack([keys // n, keys % n]).astype(np.int64)
