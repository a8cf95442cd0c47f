"""Limits of conditions and the border between types, fitted to what people said of fibers.

Few numbers are fitted, each with a prior around what is in force, so that a few corrections change
little and many decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize

from biopsy_ai.config import TypeBorder
from biopsy_ai.measure.condition import condition_probabilities
from biopsy_ai.measure.reference import Limits
from biopsy_ai.patterns.type_border import moved_share
from biopsy_ai.review.measured_fibers import TYPE_I_SHARE
from biopsy_ai.training.reviewed_fibers import ReviewedFibers

Floats = NDArray[np.float64]

LIMITS_OF = {
    "regenerating": (
        "basophilic_z",
        "basophilic_alone_z",
        "regenerating_uneven_below_z",
        "regenerating_size_below",
    ),
    "necrotic": ("pale_z", "uneven_z"),
    "hypercontracted": ("opaque_z",),
    "split": ("cleft_share_above",),
    "vacuolated": ("clear_share_above",),
}
"""Limits that are fitted for each condition, in the order in which one rests on the other. Limits
that decide other things, too, and numbers of nuclei stay as they are."""

SLIP = 0.02
"""So often a word of a person is taken for a slip: no single one can decide a border. [default]"""

PRIOR_WIDTHS = 1.0
"""A limit lies, before anything is learned, within so many widths of its sign around the present
one (standard deviation of a normal prior): over one the sign goes from 0.5 to 0.73. [default]"""

SIZE_SD = 0.25
"""The same for the size of a regenerating fiber, in medians, whose sign is sharper than anybody
knows its limit. [default]"""

SHARPNESS = 2.0
"""While limits are fitted, signs are so many times as sharp as they are when fibers are flagged,
lest the many fibers well below a limit push it up. [default, by ``benchmarks/rules.py``]"""

_FARTHEST = 4.0
"""Limits are sought within so many standard deviations,"""
_LEAST_PART = 0.1
"""and not below this part of the present one."""

OFFSET_SD, SLOPE_SD = 1.0, 0.5
"""The same for the offset of the border between types, in units of the logit, and for the logarithm
of its slope. [default]"""


@dataclass(frozen=True, eq=False)
class Said:
    """What is measured of some fibers, and what people said of them.

    Attributes
    ----------
    told : (n,) ndarray of float
        Probability by the rules.
    said : (n,) ndarray of float
        1 or 0.
    group : (n,) ndarray of str
        Patient or slide.
    """

    told: Floats
    said: Floats
    group: NDArray[np.str_]


def log_loss(told: Floats, said: Floats) -> Floats:
    """(n,) logarithmic loss of each fiber, natural logarithm, with slips; NaN stays NaN."""
    right = np.where(said > 0.5, told, 1.0 - told)
    return np.asarray(-np.log(SLIP + (1.0 - 2.0 * SLIP) * right))


def soft_f1(told: Floats, said: Floats) -> float:
    """F1 with probabilities, sharpened, in the place of counts; some fiber must be said to be 1."""
    odds_of = told**SHARPNESS
    told = odds_of / (odds_of + (1.0 - told) ** SHARPNESS)
    return float(max(2.0 * (told * said).sum() / (told.sum() + said.sum()), 1e-9))


def conditions_told(
    sections: Sequence[ReviewedFibers], names: Sequence[str], limits: Limits
) -> dict[str, Said]:
    """What the rules tell of some conditions, of the fibers of which people said something.

    Fibers whose condition cannot be judged are left out, as nothing can be learned from them.
    """
    tables = [(section, condition_probabilities(section.table, limits)) for section in sections]
    found = {}
    for name in names:
        told, said, group = [np.zeros(0)], [np.zeros(0)], [np.zeros(0, str)]
        for section, table in tables:
            p, word = table[name].to_numpy(float), section.condition(name)
            known = np.isfinite(p) & np.isfinite(word)
            told.append(p[known])
            said.append(word[known])
            group.append(np.full(np.count_nonzero(known), section.group))
        found[name] = Said(*(np.concatenate(part) for part in (told, said, group)))
    return found


def fit_condition(
    name: str, sections: Sequence[ReviewedFibers], limits: Limits
) -> dict[str, float]:
    """Refit the limits of a condition.

    Parameters
    ----------
    name
        One of `LIMITS_OF`.
    sections
        With what people said.
    limits
        In force; they are the middle of the prior.

    Returns
    -------
    dict of str to float
        The limits by name, rounded to three digits.

    Notes
    -----
    What is fitted is F1 with the probabilities of the rule in the place of counts (Jansche 2005,
    Proc HLT/EMNLP 692), sharpened by `SHARPNESS`, so that a rare condition counts as much as fibers
    without it. The logarithmic loss would not do: these probabilities are not calibrated, and it
    raises limits to calm the many fibers that lie well below. Minimized is ``-n log(F1)``, with the
    n fibers that have the condition as its weight, plus half the squared distance from the present
    limits in standard deviations of the prior, by Powell's method (1964, Comput J 7:155), which
    needs no derivatives: the weakest sign has corners.
    """
    names = LIMITS_OF[name]
    start = np.array([limits[each] for each in names])
    sd = np.array([_prior_sd(each, limits) for each in names])
    low = np.maximum(-_FARTHEST, (_LEAST_PART - 1.0) * start / sd)
    # what ice crystals left is told by the whole section, all else by each fiber
    parts = list(sections) if name == "vacuolated" else [_together(sections, name)]

    def cost(free: Floats) -> float:
        there = replace(limits, learned={**limits.learned, **_named(names, start + sd * free)})
        found = conditions_told(parts, [name], there)[name]
        return float(
            -found.said.sum() * np.log(soft_f1(found.told, found.said)) + 0.5 * (free**2).sum()
        )

    found = minimize(
        cost,
        np.zeros(len(names)),
        method="Powell",
        bounds=[(float(least), _FARTHEST) for least in low],
        options={"xtol": 1e-3, "ftol": 1e-6},
    )
    best = (
        np.atleast_1d(found.x) if found.fun < cost(np.zeros(len(names))) else np.zeros(len(names))
    )
    return {each: float(f"{value:.3g}") for each, value in _named(names, start + sd * best).items()}


def border_told(sections: Sequence[ReviewedFibers], border: TypeBorder) -> Said:
    """Posterior of type I among types I and II of the fibers that people call one of them."""
    told, said, group = [np.zeros(0)], [np.zeros(0)], [np.zeros(0, str)]
    for section in sections:
        share, word = section.table[TYPE_I_SHARE].to_numpy(float), section.is_type_i()
        known = np.isfinite(share) & np.isfinite(word)
        told.append(moved_share(share[known], border))
        said.append(word[known])
        group.append(np.full(np.count_nonzero(known), section.group))
    return Said(*(np.concatenate(part) for part in (told, said, group)))


def fit_border(sections: Sequence[ReviewedFibers], border: TypeBorder) -> TypeBorder:
    """Refit the border between types I and II.

    Parameters
    ----------
    sections
        In one stain.
    border
        In force; it is the middle of the prior.

    Notes
    -----
    Logistic recalibration: the logarithmic loss with `SLIP` and the prior of `OFFSET_SD` and
    `SLOPE_SD`, minimized by L-BFGS.
    """

    def border_at(free: Floats) -> TypeBorder:
        offset = border.offset + OFFSET_SD * free[0]
        return TypeBorder(
            slope=float(border.slope * np.exp(SLOPE_SD * free[1])), offset=float(offset)
        )

    def cost(free: Floats) -> float:
        found = border_told(sections, border_at(free))
        return float(log_loss(found.told, found.said).sum() + 0.5 * (free**2).sum())

    free = minimize(cost, np.zeros(2), method="L-BFGS-B", bounds=[(-_FARTHEST, _FARTHEST)] * 2).x
    best = border_at(free)
    return TypeBorder(slope=float(f"{best.slope:.3g}"), offset=float(f"{best.offset:.3g}"))


def _named(names: Sequence[str], values: Floats) -> dict[str, float]:
    return dict(zip(names, values.tolist(), strict=True))


def _prior_sd(name: str, limits: Limits) -> float:
    """How far a limit may lie from the present one before anything is learned, in its unit."""
    if name == "regenerating_size_below":
        return SIZE_SD
    width = limits["flag_width_z"]
    if name.endswith("_share_above"):
        width = limits["flag_width_share"] * limits[name]
    return PRIOR_WIDTHS * width


def _together(sections: Sequence[ReviewedFibers], name: str) -> ReviewedFibers:
    """The fibers of which something is said, as one table."""
    tables = [s.table[np.isfinite(s.condition(name))] for s in sections]
    return ReviewedFibers("", "", pd.concat(tables, ignore_index=True))
