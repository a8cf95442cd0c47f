"""The step from the stain of a fiber to type I or II, as people have corrected it.

The levels of staining are fitted to each section anew. What is alike in all sections of a stain is
where between them people see the border, and how sure a fiber beside it is: a slope and an offset
on the logit of the posterior (logistic recalibration: Cox 1958, Biometrika 45:562; Platt 1999).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import expit, logit

from biopsy_ai.config import TypeBorder
from biopsy_ai.measure.type_class import TYPE_II_KINDS
from biopsy_ai.patterns.type_mixture import Floats
from biopsy_ai.patterns.type_naming import Probabilities

LEAST_SHARE = 1e-4
"""No posterior is taken to be surer than this: the tails of the levels are not known. [default]"""


def tells_either(probabilities: Mapping[str, Floats]) -> bool:
    """Whether there are posteriors of type I and of a kind of type II."""
    return "I" in probabilities and any(kind in TYPE_II_KINDS for kind in probabilities)


def type_i_share(probabilities: Mapping[str, Floats]) -> Floats:
    """Posterior of type I among types I and II; hybrids and what is neither are left out.

    Parameters
    ----------
    probabilities
        (n,) by type, see `biopsy_ai.patterns.type_naming.Probabilities`.

    Returns
    -------
    (n,) ndarray of float
        NaN where the stain tells neither.

    Examples
    --------
    >>> type_i_share({"I": np.array([0.6]), "II": np.array([0.2]), "I/IIA": np.array([0.2])})
    array([0.75])
    """
    if not tells_either(probabilities):
        return np.full(len(next(iter(probabilities.values()))), np.nan)
    both = probabilities["I"] + np.sum(
        [share for kind, share in probabilities.items() if kind in TYPE_II_KINDS], axis=0
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(both > 0, probabilities["I"] / both, np.nan))


def moved_share(share: Floats, border: TypeBorder) -> Floats:
    """Posterior of type I among types I and II with a border that people have corrected.

    Parameters
    ----------
    share : (n,) ndarray of float
        From `type_i_share`.
    border
        The new logit is ``offset + slope * logit``.
    """
    bounded = np.clip(share, LEAST_SHARE, 1 - LEAST_SHARE)
    return np.asarray(expit(border.offset + border.slope * logit(bounded)))


def share_before(share: Floats, border: TypeBorder) -> Floats:
    """What `moved_share` was given, but for what it cut off."""
    bounded = np.clip(share, 1e-9, 1 - 1e-9)
    before = expit((logit(bounded) - border.offset) / border.slope)
    return np.asarray(np.clip(before, LEAST_SHARE, 1 - LEAST_SHARE))


def move_border(probabilities: Probabilities, border: TypeBorder) -> Probabilities:
    """Part types I and II anew; what is neither stays as probable as it was.

    Where the stain tells one of the two alone, nothing changes.
    """
    if not tells_either(probabilities):
        return probabilities
    moved = moved_share(type_i_share(probabilities), border)
    kinds = [kind for kind in probabilities if kind in TYPE_II_KINDS]
    second = np.sum([probabilities[kind] for kind in kinds], axis=0)
    found = dict(probabilities)
    for kind in kinds:
        # a fiber that is surely type I says nothing of the kinds of type II
        even = np.full_like(moved, 1 / len(kinds))
        within = np.divide(probabilities[kind], second, out=even, where=second > 0)
        found[kind] = (probabilities["I"] + second) * within * (1 - moved)
    found["I"] = (probabilities["I"] + second) * moved
    # where neither is known, what was there stays
    return {k: np.where(np.isfinite(moved), found[k], p) for k, p in probabilities.items()}
