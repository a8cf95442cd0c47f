"""Weights of the families of evidence, fitted on a cohort whose changes are known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import CalibrationError
from biopsy_ai.score.evidence import CHANGES, Evidence
from biopsy_ai.score.labeled_cohort import LabeledCohort
from biopsy_ai.score.reliability import LN10, Flags, Floats, Reliability, judge

LEAST_PATIENTS = 10
"""Patients with a change, and without it, that its weights can be fitted on. [E]"""
FOLDS = 5
"""Parts that patients are divided into for a cross-validation, at most. [default]"""
STRENGTHS = tuple(float(x) for x in np.geomspace(1e-3, 10.0, 9))
"""Penalties that are tried, on the squared distance of the weights from those of the evidence file
in use, against the mean loss of a patient. [default]"""
HEAVIEST = 5.0
"""Largest weight of a family. [default]"""

NOTED_ODDS = 0.05
"""log10 odds of a change in the cohort from which on the prior is remarked on. [default]"""

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FittedScore:
    """Weights of one of the two scores.

    Attributes
    ----------
    change : str
    weights : dict of str to float
        By family.
    prior : float
        log10 odds before anything is seen.
    strength : float
        Penalty that was chosen.
    n_with, n_without : int
        Patients.
    before, after : Reliability
        Of the evidence file in use, and of weights that were fitted without the patient whose
        score they give.
    """

    change: str
    weights: dict[str, float]
    prior: float
    strength: float
    n_with: int
    n_without: int
    before: Reliability
    after: Reliability

    @property
    def helps(self) -> bool:
        """Whether scores of patients not fitted on are nearer to the truth (Brier)."""
        return self.after.brier < self.before.brier


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a cohort teaches.

    Attributes
    ----------
    fitted : tuple of FittedScore
        One or two.
    notes : tuple of str
    n_patients, n_slides : int
    seed : int
    inputs : dict of str to str
        SHA-256 of the tables and of the evidence file that it starts from.
    """

    fitted: tuple[FittedScore, ...]
    notes: tuple[str, ...]
    n_patients: int
    n_slides: int
    seed: int
    inputs: dict[str, str]


def calibrate(cohort: LabeledCohort, evidence: Evidence, *, seed: int = 0) -> Calibration:
    """Fit the weights of the families, and tell how good they are on patients not fitted on.

    Parameters
    ----------
    cohort : LabeledCohort
    evidence : Evidence
        The file in use, from whose weights the fitted ones stray as little as the cohort allows.
    seed : int, optional
        Divides the patients into folds and draws them for intervals; the same gives the same.

    Raises
    ------
    CalibrationError
        If the cohort is too small for either score.

    Notes
    -----
    Logistic regression of the change on the evidence of the families, with weights of 0 and more,
    a free offset, and a quadratic penalty on the distance from the weights in use. Each patient
    counts as one, however many slides there are. The penalty has the least loss in a
    cross-validation; the figures come from a second one around the choice of the penalty (nested,
    Varma & Simon 2006, BMC Bioinformatics 7:91). No patient is ever in two folds, and the folds
    have like shares of each label.
    """
    names = sorted(set(cohort.patients))
    patients = np.array([names.index(name) for name in cohort.patients], dtype=np.int64)
    numbers = {change: _numbers(cohort.has(change), patients) for change in CHANGES}
    enough = [change for change in CHANGES if min(numbers[change]) >= LEAST_PATIENTS]
    short = [
        f"{change} needs {LEAST_PATIENTS} patients with it and {LEAST_PATIENTS} without, and there "
        f"are {numbers[change][0]} and {numbers[change][1]}"
        for change in CHANGES
        if change not in enough
    ]
    if not enough:
        raise CalibrationError(
            f"the cohort is too small: {'; '.join(short)}. Add labeled slides of more patients."
        )
    notes = [*cohort.notes, *(f"not fitted: {why}" for why in short)]
    fitted = []
    for change in enough:
        rng = np.random.default_rng([seed, CHANGES.index(change)])
        score = _fit_score(change, cohort, patients, evidence, rng)
        share = score.n_with / (score.n_with + score.n_without)
        odds = math.log10(share / (1 - share))
        if not score.helps:
            notes.append(
                f"{change}: on patients not fitted on, the fitted weights are no better than those "
                "in use, which are kept"
            )
        elif abs(odds) >= NOTED_ODDS:
            turn = "lower" if odds > 0 else "raise"
            notes.append(
                f"the prior of {change} holds where {100 * share:.0f} % of the patients have it, "
                f"as in the cohort; for even odds {turn} it by {abs(odds):.2f}"
            )
        fitted.append(score)
    return Calibration(
        fitted=tuple(fitted),
        notes=tuple(notes),
        n_patients=len(names),
        n_slides=len(cohort.folders),
        seed=seed,
        inputs={**cohort.inputs, "evidence_sha256": evidence.sha256},
    )


def _numbers(has: Flags, patients: Numbers) -> tuple[int, int]:
    """Patients with a change in any slide, and those without."""
    yes = len(np.unique(patients[has]))
    return yes, len(np.unique(patients)) - yes


def _fit_score(
    change: str,
    cohort: LabeledCohort,
    patients: Numbers,
    evidence: Evidence,
    rng: np.random.Generator,
) -> FittedScore:
    x, truth = cohort.evidence[change] * evidence.tempering, cohort.has(change)
    start = np.array([family.weight.of(change) for family in evidence.families.values()])
    strata = _strata(cohort, patients)
    out_of_fold = np.empty(len(truth))
    for test in folds(patients, truth, strata, rng):
        train = ~test
        strength = _choose_strength(
            x[train], truth[train], patients[train], strata[train], start, rng
        )
        out_of_fold[test] = _predict(
            x[test], fit(x[train], truth[train], patients[train], start, strength)
        )
    strength = _choose_strength(x, truth, patients, strata, start, rng)
    at = fit(x, truth, patients, start, strength)
    n_with, n_without = _numbers(truth, patients)
    return FittedScore(
        change,
        {name: float(weight) for name, weight in zip(cohort.families, at[1:], strict=True)},
        float(at[0]),
        strength,
        n_with,
        n_without,
        before=judge(evidence.prior.of(change) + x @ start, truth, patients, rng),
        after=judge(out_of_fold, truth, patients, rng),
    )


def _strata(cohort: LabeledCohort, patients: Numbers) -> Numbers:
    """Number of what each patient has, by slide: patients with the same labels have the same."""
    labels: dict[int, set[str]] = {}
    for patient, label in zip(patients.tolist(), cohort.labels, strict=True):
        labels.setdefault(patient, set()).add(label)
    kinds = sorted({tuple(sorted(found)) for found in labels.values()})
    return np.array([kinds.index(tuple(sorted(labels[p]))) for p in patients.tolist()], np.int64)


def folds(
    patients: Numbers, truth: Flags, strata: Numbers, rng: np.random.Generator
) -> Iterator[Flags]:
    """Divide slides into folds: which ones are left out, time after time, each of them once.

    Parameters
    ----------
    patients : (n,) array of int
        All slides of a patient are left out together.
    truth : (n,) array of bool
    strata : (n,) array of int
        Patients of one stratum are dealt to all folds alike.
    rng : numpy.random.Generator

    Yields
    ------
    (n,) ndarray of bool
    """
    order, first = np.unique(patients, return_index=True)
    having = np.isin(order, patients[truth])
    number = min(FOLDS, int(min(having.sum(), (~having).sum())) // 2)
    shuffled = rng.permutation(len(order))
    # dealt like cards, kind after kind, so that no fold lacks either class
    dealt = shuffled[np.lexsort((strata[first][shuffled], having[shuffled]))]
    fold = np.empty(len(order), np.int64)
    fold[dealt] = np.arange(len(order)) % number
    of_slide = fold[np.searchsorted(order, patients)]
    for k in range(number):
        yield of_slide == k


def _choose_strength(
    x: Floats,
    truth: Flags,
    patients: Numbers,
    strata: Numbers,
    start: Floats,
    rng: np.random.Generator,
) -> float:
    """Penalty of the least loss on left-out patients; the strongest of equal ones."""
    losses = np.zeros(len(STRENGTHS))
    for test in folds(patients, truth, strata, rng):
        train = ~test
        weight = _weights(patients[test])
        for k, strength in enumerate(STRENGTHS):
            at = fit(x[train], truth[train], patients[train], start, strength)
            losses[k] += weight @ _loss(LN10 * _predict(x[test], at), truth[test])
    best = np.flatnonzero(losses <= losses.min() + 1e-9)
    return STRENGTHS[int(best[-1])]


def fit(x: Floats, truth: Flags, patients: Numbers, start: Floats, strength: float) -> Floats:
    """Fit offset and weights.

    Parameters
    ----------
    x : (n, families) array of float
        Tempered evidence, log10.
    truth : (n,) array of bool
    patients : (n,) array of int
    start : (families,) array of float
        Weights that the penalty draws to.
    strength : float

    Returns
    -------
    (1 + families,) ndarray of float
        The offset in log10 odds, and weights from 0 to `HEAVIEST`.
    """
    from scipy.optimize import minimize

    weight = _weights(patients)
    weight = weight / weight.sum()

    def loss(at: Floats) -> tuple[float, Floats]:
        log_odds = LN10 * _predict(x, at)
        away = at[1:] - start
        over = LN10 * weight * (1.0 / (1.0 + np.exp(-np.clip(log_odds, -500, 500))) - truth)
        gradient = np.concatenate([[over.sum()], over @ x + 2 * strength * away])
        return float(weight @ _loss(log_odds, truth) + strength * away @ away), gradient

    bounds = [(-5.0, 5.0), *[(0.0, HEAVIEST)] * len(start)]
    return np.asarray(
        minimize(loss, np.concatenate([[0.0], start]), jac=True, method="L-BFGS-B", bounds=bounds).x
    )


def _weights(patients: Numbers) -> Floats:
    """Of each slide, so that all those of a patient have 1."""
    return np.asarray(1.0 / np.bincount(patients)[patients])


def _predict(x: Floats, at: Floats) -> Floats:
    return np.asarray(at[0] + x @ at[1:])


def _loss(log_odds: Floats, truth: Flags) -> Floats:
    return np.asarray(np.logaddexp(0.0, log_odds) - truth * log_odds)
