"""How many levels of staining the fibers of a section show, and which of them each fiber has."""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.patterns.type_mixture import Floats, LevelMixture, fit_levels

MAX_FITTED = 2000
"""Of more fibers so many, drawn at random, are fitted; all are given a level. [default]"""
BETWEEN = 0.5
"""What lies in this middle share of the way from one level to the next may be neither, [default]"""
APART_SDS = 2.0
"""if it lies more than so many standard deviations from both. [default]"""


@dataclass(frozen=True, eq=False)
class StainLevels:
    """The levels of staining of a section.

    Attributes
    ----------
    mixture
        Two or three levels; None where none can be told apart.
    why_not
        Why, or an empty string.
    n_fitted
        Fibers that the levels were fitted to.
    bic
        Bayesian information criterion by number of levels, of the best field for each; the single
        level is the better of a t and of a skewed or flat distribution.
    separations
        Ashman's D between neighboring levels of the mixture that was chosen, or of the best one
        of two levels.
    """

    mixture: LevelMixture | None
    why_not: str
    n_fitted: int
    bic: dict[str, float]
    separations: list[float]

    def as_dict(self) -> dict[str, Any]:
        """Give what a report prints, JSON-ready."""
        chosen = self.mixture
        return {
            "levels": None if chosen is None else [float(v) for v in chosen.levels],
            "sds": None if chosen is None else [float(v) for v in chosen.sds],
            "weights": None if chosen is None else [float(v) for v in chosen.weights],
            "order_of_field": None if chosen is None else chosen.order,
            "ashman_d": self.separations,
            "bic": self.bic,
            "n_fitted": self.n_fitted,
            "why_not": self.why_not or None,
        }


def find_levels(
    values: Floats,
    places: Floats,
    *,
    most: int,
    rng: np.random.Generator,
    limits: Limits = DEFAULTS,
) -> StainLevels:
    """Find the levels of staining of a section.

    Parameters
    ----------
    values : (n,) ndarray of float
        Stain of each fiber, finite.
    places : (n, 2) ndarray of float
        Its centroid (y, x), µm.
    most : int
        Most levels that the stain may show, 2 or 3.
    rng : Generator
        Draws the fibers that are fitted where there are many.
    limits : Limits, optional

    Returns
    -------
    StainLevels

    Notes
    -----
    Two levels are believed where they lower the information criterion by 2, a third one where it
    does by 10; where each lies apart from the next by Ashman's D of 2 (criteria §1.5); and where
    each holds at least 2 % of the fibers, 5 % where there are three. One level may be skewed, flat
    or heavy-tailed (asymmetric exponential power), so that two halves of one population are not
    taken for two types.
    """
    least = int(limits["typing_min_fibers"])
    if len(values) < least:
        why_not = f"only {len(values)} fibers have a stain that can be read; {least} are needed"
        return StainLevels(None, why_not, len(values), {}, [])
    if len(values) > MAX_FITTED:
        chosen = np.sort(rng.choice(len(values), MAX_FITTED, replace=False))
        values, places = values[chosen], places[chosen]
    if np.ptp(values) <= 1e-9 * max(float(np.abs(values).max()), 1.0):
        return StainLevels(None, "all fibers are stained alike", len(values), {}, [])
    single, _ = fit_levels(values, places, 1)
    bic = {"1": min(m.bic for m in single)}
    for mixture in single:
        errors = values - mixture.local_levels(places)[:, 0]
        n_field = len(mixture.shift)
        bic["1"] = min(bic["1"], _one_population(errors, n_field))
    best: LevelMixture | None = None
    separations: list[float] = []
    least_bic = bic["1"]
    starts = None
    for n_levels in range(2, most + 1):
        mixtures, codes = fit_levels(values, places, n_levels, starts)
        order = np.argsort([m.bic for m in mixtures])
        bic[str(n_levels)] = mixtures[order[0]].bic
        if n_levels == 2:
            separations = mixtures[order[0]].separations()
            starts = _split_each(values, codes[order[0]])
        gain = limits["level_bic_gain" if n_levels == 2 else "middle_level_bic_gain"]
        for k in order:
            found = mixtures[k]
            if found.bic > least_bic - gain:
                break
            if _stands_apart(found, len(values), limits):
                best, least_bic, separations = found, found.bic, found.separations()
                break
    why_not = ""
    if best is None:
        why_not = (
            "the fibers show no two levels of staining that stand apart: one population explains "
            f"them as well (Ashman's D {separations[0]:.1f}, and the information criterion of two "
            f"levels is {least_bic - bic['2']:.0f} lower; {limits['level_separation_from']:g} and "
            f"{limits['level_bic_gain']:g} are needed)"
        )
    return StainLevels(best, why_not, len(values), bic, separations)


def level_posteriors(
    mixture: LevelMixture, values: Floats, places: Floats, limits: Limits = DEFAULTS
) -> tuple[Floats, Floats]:
    """Probability of each level for each fiber, and of lying between two levels.

    Parameters
    ----------
    mixture : LevelMixture
    values : (n,) ndarray of float
        NaN where unknown.
    places : (n, 2) ndarray of float
    limits : Limits, optional

    Returns
    -------
    levels : (n, k) ndarray of float
    between : (n, k - 1) ndarray of float
        Between each level and the next. The rows of both together sum to 1; NaN where the value
        is unknown.

    Notes
    -----
    A fiber paler than the palest level is as surely pale as that level, however widely the dark
    ones scatter. Between two levels a uniform distribution over the middle half of the way, with
    the weight that transitional fibers have in normal muscle, competes with both, two standard
    deviations away from either.
    """
    local = mixture.local_levels(places)
    clipped = np.clip(values, local[:, 0], local[:, -1])
    errors = (clipped[:, None] - local) / mixture.sds
    logs = np.log(mixture.weights / mixture.sds) - 0.5 * errors**2 - 0.5 * log(2 * np.pi)
    way = np.diff(local, axis=1)
    at = (clipped[:, None] - local[:, :-1]) / np.maximum(way, 1e-12)
    apart = np.abs(errors) > APART_SDS
    inside = (np.abs(at - 0.5) <= BETWEEN / 2) & apart[:, :-1] & apart[:, 1:]
    uniform = limits["between_share"] / (BETWEEN * np.maximum(way, 1e-12))
    logs = np.concatenate([logs, np.where(inside, np.log(uniform), -np.inf)], axis=1)
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    k = len(mixture.levels)
    return np.asarray(shares[:, :k]), np.asarray(shares[:, k:])


def _stands_apart(mixture: LevelMixture, n: int, limits: Limits) -> bool:
    share = limits["level_min_share" if len(mixture.levels) == 2 else "middle_level_min_share"]
    return bool(
        min(mixture.separations()) >= limits["level_separation_from"]
        and mixture.weights.min() >= share
        and mixture.weights.min() * n >= limits["level_min_fibers"]
    )


def _split_each(values: Floats, codes: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Split either of two levels at its median, as a start for three."""
    splits = []
    for k in (0, 1):
        part = codes == k
        if part.any():
            upper = part & (values > np.median(values[part]))
            splits.append(codes + (codes > k) + upper)
    return splits


def _one_population(errors: Floats, n_field: int) -> float:
    """Information criterion of one skewed, flat or heavy-tailed population.

    Asymmetric exponential power distribution, exp(-|(x - m) / s|^shape) with a scale s of its own
    on either side (Fernandez, Osiewalski & Steel 1995, J Am Stat Assoc 90:1331).
    """
    from scipy.optimize import minimize

    sd = float(errors.std()) or 1.0
    scaled = errors / sd
    n = len(scaled)

    def cost(free: Floats) -> float:
        middle, left, right = free[0], np.exp(free[1]), np.exp(free[2])
        shape = float(np.exp(np.clip(free[3], 0.0, 2.5)))
        beyond = scaled - middle
        powers = np.abs(beyond / np.where(beyond < 0, left, right)) ** shape
        return float(powers.sum() + n * (np.log(left + right) + lgamma(1 + 1 / shape)))

    start = np.array([float(np.median(scaled)), 0.3, 0.3, log(2.0)])
    found = minimize(cost, start, method="Nelder-Mead", options={"maxiter": 400, "fatol": 0.1})
    likelihood = -float(found.fun) - n * log(sd)
    return (n_field + 4) * log(n) - 2 * likelihood
