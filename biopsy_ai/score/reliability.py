"""How well scores tell sections with a change from those without, and how far to believe them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LN10 = float(np.log(10.0))

N_BOOTSTRAP = 1000
"""Times that patients are drawn for an interval. [default]"""
STEEPEST = 20.0
"""Largest slope that is looked for. [default]"""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Reliability:
    """Figures of a score.

    Attributes
    ----------
    auc, auc_low, auc_high : float
        Area under the receiver operating characteristic, and its 95 % interval by drawing patients.
    brier : float
        Mean square of the distance between probability and truth.
    slope : float or None
        Of the logistic regression of the truth on the log odds: 1 is right, below it scores are
        too extreme. None where the scores part the classes entirely.
    intercept : float or None
        Of the same at a slope of 1, in log10 odds: above 0, scores are too low.
    accuracy : float
        Share on the right side of 50.
    """

    auc: float
    auc_low: float
    auc_high: float
    brier: float
    slope: float | None
    intercept: float | None
    accuracy: float

    def as_dict(self) -> dict[str, Any]:
        """Give the fields, rounded to four decimals."""
        return {
            name: None if value is None else round(float(value), 4)
            for name, value in asdict(self).items()
        }


def judge(
    log10_odds: Floats,
    truth: Flags,
    patients: NDArray[np.int64],
    rng: np.random.Generator,
) -> Reliability:
    """Judge scores; each patient counts once, however many slides there are.

    Parameters
    ----------
    log10_odds : (n,) array of float
        Of the score.
    truth : (n,) array of bool
        Both must occur.
    patients : (n,) array of int
        Number of the patient of each slide, from 0.
    rng : numpy.random.Generator
        Draws the patients.

    Notes
    -----
    Slope and intercept: Van Calster et al. 2019, BMC Med 17:230. The interval draws patients of
    both classes by themselves, so that neither is ever missing.
    """
    n_patients = int(patients.max()) + 1
    weight = 1.0 / np.bincount(patients, minlength=n_patients)[patients]
    probability = _logistic(LN10 * log10_odds)
    having = np.zeros(n_patients, bool)
    np.logical_or.at(having, patients, truth)
    drawn = np.empty(N_BOOTSTRAP)
    classes = [np.flatnonzero(having), np.flatnonzero(~having)]
    for k in range(N_BOOTSTRAP):
        chosen = np.concatenate([rng.choice(members, len(members)) for members in classes])
        times = np.bincount(chosen, minlength=n_patients)[patients]
        drawn[k] = area_under_curve(log10_odds, truth, weight * times)
    low, high = np.quantile(drawn, (0.025, 0.975))
    slope, intercept = _calibration(LN10 * log10_odds, truth, weight)
    return Reliability(
        auc=area_under_curve(log10_odds, truth, weight),
        auc_low=float(low),
        auc_high=float(high),
        brier=float(np.average((probability - truth) ** 2, weights=weight)),
        slope=slope,
        intercept=intercept,
        accuracy=float(np.average((log10_odds > 0) == truth, weights=weight)),
    )


def area_under_curve(values: Floats, truth: Flags, weight: Floats) -> float:
    """Weighted share of pairs of a true and a false one in the right order; ties count half."""
    _, level = np.unique(values, return_inverse=True)
    n = int(level.max()) + 1
    yes = np.bincount(level[truth], weight[truth], minlength=n)
    no = np.bincount(level[~truth], weight[~truth], minlength=n)
    below = np.cumsum(no) - no
    return float((yes @ (below + 0.5 * no)) / (yes.sum() * no.sum()))


def _calibration(
    log_odds: Floats, truth: Flags, weight: Floats
) -> tuple[float | None, float | None]:
    from scipy.optimize import minimize

    def loss(at: Floats, slope: float | None) -> tuple[float, Floats]:
        steep = at[1] if slope is None else slope
        fitted = at[0] + steep * log_odds
        over = weight * (_logistic(fitted) - truth)
        gradient = [over.sum(), over @ log_odds]
        total = weight @ (np.logaddexp(0.0, fitted) - truth * fitted)
        return float(total), np.array(gradient[: len(at)])

    free = minimize(
        loss, [0.0, 1.0], args=(None,), jac=True, method="L-BFGS-B",
        bounds=[(-50, 50), (-STEEPEST, STEEPEST)],
    )  # fmt: skip
    large = minimize(loss, [0.0], args=(1.0,), jac=True, method="L-BFGS-B", bounds=[(-50, 50)])
    parted = area_under_curve(log_odds, truth, weight) in (0.0, 1.0)
    return None if parted else float(free.x[1]), float(large.x[0]) / LN10


def _logistic(log_odds: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds, -500, 500))), dtype=np.float64)
