"""How good a score from 0 to 100 is, against what is known: ranks, calibration, coverage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

N_BOOTSTRAP = 1000

LEAST_SHARE = 5e-5
"""Scores are given to two decimals: one of 0 or 100 is held to be half of the last away."""


def auc(values: Floats, truth: Flags) -> float:
    """Area under the ROC curve: the chance that a positive lies above a negative, ties half.

    NaN where there are only positives or only negatives.
    """
    truth = np.asarray(truth, bool)
    n_yes, n_no = int(truth.sum()), int((~truth).sum())
    if not n_yes or not n_no:
        return float("nan")
    ranks = rankdata(values)
    return float((ranks[truth].sum() - n_yes * (n_yes + 1) / 2) / (n_yes * n_no))


def bootstrap(
    statistic: Callable[..., float], *columns: NDArray, n: int = N_BOOTSTRAP, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of a statistic by drawing biopsies anew; NaN where there are none."""
    rng = np.random.default_rng(seed)
    count = len(columns[0])
    if not count:
        return float("nan"), float("nan")
    values = []
    for _ in range(n):
        drawn = rng.integers(count, size=count)
        values.append(statistic(*(column[drawn] for column in columns)))
    known = np.array(values)[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def brier(values: Floats, truth: Flags) -> float:
    """Mean squared distance of the score, as a probability, from the truth: 0 is best."""
    if not len(values):
        return float("nan")
    return float(np.mean((np.asarray(values) / 100 - np.asarray(truth, float)) ** 2))


@dataclass(frozen=True)
class Bin:
    """Biopsies of similar score: how many, their mean score, and how many percent are positive."""

    n: int
    said: float
    seen: float


def calibration(values: Floats, truth: Flags, n_bins: int = 10) -> list[Bin]:
    """Bins of as many biopsies each, from low to high scores; equal scores stay together."""
    values, truth = np.asarray(values, float), np.asarray(truth, bool)
    if not len(values):
        return []
    number = ((rankdata(values) - 0.5) / len(values) * n_bins).astype(int)
    bins = []
    for k in np.unique(number):
        held = number == k
        seen = 100 * float(truth[held].mean())
        bins.append(Bin(int(held.sum()), float(values[held].mean()), seen))
    return bins


def calibration_error(bins: list[Bin]) -> float:
    """Mean distance in points between what is said and what is seen, by biopsies."""
    total = sum(group.n for group in bins)
    if not total:
        return float("nan")
    return sum(group.n * abs(group.said - group.seen) for group in bins) / total


def log_odds(values: Floats | float) -> Floats:
    """log10 odds of a score."""
    share = np.clip(np.asarray(values, float) / 100, LEAST_SHARE, 1 - LEAST_SHARE)
    return np.asarray(np.log10(share / (1 - share)))


def with_prior(values: Floats, share: float) -> Floats:
    """Scores as they would be if a share of the biopsies, not one half, had the change."""
    odds = 10 ** (log_odds(values) + np.log10(share / (1 - share)))
    return np.asarray(100 * odds / (1 + odds))


def covered(first: Floats, second: Floats) -> tuple[Flags, Flags]:
    """Whether two independent sections of one muscle agree as their intervals say.

    Parameters
    ----------
    first, second : (n, 3) ndarray
        Score, lower and upper end of its interval.

    Returns
    -------
    by_difference : (n,) ndarray of bool
        Whether the log odds differ by no more than the root of the sum of squares of the two half
        widths. Both scores vary, and so of right 90 % intervals 90 % pass.
    one_in_other : (2 n,) ndarray of bool
        Whether the first score lies in the interval of the second, then the other way round. The
        interval is made for the value that scores scatter about, and not for another score: of
        right 90 % intervals about 75 % pass.
    """
    odds = [log_odds(np.asarray(table, float)) for table in (first, second)]
    widths = [(table[:, 2] - table[:, 1]) / 2 for table in odds]
    away = np.abs(odds[0][:, 0] - odds[1][:, 0])
    by_difference = away <= np.hypot(*widths) + 1e-12
    inside = [
        (other[:, 1] <= one[:, 0]) & (one[:, 0] <= other[:, 2]) for one, other in (odds, odds[::-1])
    ]
    return by_difference, np.concatenate(inside)
