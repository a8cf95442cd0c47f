"""Whether a refitted rule earns its place: old and new on the same held-out fibers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.measure.condition import CERTAIN
from biopsy_ai.training.judging import REPLICATES, Interval, interval_of
from biopsy_ai.training.rule_fit import Floats, Said, log_loss

LEAST_JUDGED = 20
"""Fewer held-out fibers do not judge a rule, [default]"""

LEAST_OF_EACH = 5
"""and neither do fewer with the condition and without, or of either type. [default]"""

LEAST_KAPPA = 0.2
"""A rule that agrees less with what people say, by Cohen's kappa, tells something else: below lies
slight agreement, as of corrections by lot (Landis & Koch 1977, Biometrics 33:159). [default]"""

TOLERANCE = 0.005
"""A score that is at most so much lower is not worse, as for outlines. [default]"""

DOUBT = 0.05
"""How much lower a score may be at the lower end of the interval: more than for outlines, as few
fibers have a condition. [default]"""

LEAST_GAIN = 0.001
"""Less logarithmic loss, at least by so much, makes a border between types better. [default]"""

NO, YES, UNDETERMINED = 0, 1, 2


@dataclass(frozen=True)
class Judged:
    """What a rule tells of held-out fibers, against what people said.

    Attributes
    ----------
    said : (n,) ndarray of int
        0 or 1.
    called : (n,) ndarray of int
        0, 1, or 2 where the rule does not decide.
    loss : (n,) ndarray of float
    group : (n,) ndarray of str
        Patient or slide.
    """

    said: NDArray[np.int64]
    called: NDArray[np.int64]
    loss: Floats
    group: NDArray[np.str_]


@dataclass(frozen=True)
class Scores:
    """How well a rule tells what people say.

    Attributes
    ----------
    precision, recall, f1
        Of a condition, or of type I.
    agreement
        Share of the fibers that are called as people say; undecided ones are not.
    kappa
        The same, corrected for chance (Cohen 1960).
    log_loss
        Mean of `biopsy_ai.training.rule_fit.log_loss`.
    """

    precision: float
    recall: float
    f1: float
    agreement: float
    kappa: float
    log_loss: float

    def as_dict(self) -> dict[str, float | None]:
        """Rounded values; None where there is none."""
        return {
            name: None if np.isnan(value) else round(float(value), 4)
            for name, value in vars(self).items()
        }


@dataclass(frozen=True)
class RuleComparison:
    """Two rules on the same fibers.

    Attributes
    ----------
    judged_by
        ``f1`` or ``agreement``.
    gain, loss_gain
        The new score less the old one, and the old logarithmic loss less the new one.
    n, n_yes, n_groups
        Fibers, those with the condition or of type I, and patients or slides.
    """

    judged_by: str
    old: Scores
    new: Scores
    gain: Interval
    loss_gain: Interval
    n: int
    n_yes: int
    n_groups: int

    @property
    def is_better(self) -> bool:
        """Whether the new rule is better.

        Posteriors of types are calibrated, so that their logarithmic loss tells, as long as
        calls agree as well; probabilities of conditions are not, and F1 has to rise.
        """
        if self.judged_by == "f1":
            return bool(self.gain.value > 0)
        return bool(self.loss_gain.value >= LEAST_GAIN and self.gain.value >= -TOLERANCE)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for ``model.yaml``."""
        return {
            "n_fibers": self.n,
            "n_yes": self.n_yes,
            "n_groups": self.n_groups,
            "judged_by": self.judged_by,
            "old": self.old.as_dict(),
            "new": self.new.as_dict(),
            "gain": _plain(self.gain),
            "loss_gain": _plain(self.loss_gain),
        }


def judged_condition(found: Said) -> Judged:
    """Call a condition where it is as probable as a flag that holds."""
    called = (found.told >= CERTAIN).astype(np.int64)
    return Judged(
        found.said.astype(np.int64), called, log_loss(found.told, found.said), found.group
    )


def judged_types(found: Said, neither: Floats, least: float) -> Judged:
    """Call the types that are probable enough.

    Parameters
    ----------
    found
        Posteriors of type I among types I and II.
    neither : (n,) ndarray of float
        Posterior of being neither.
    least
        Posterior from which a fiber has a type.
    """
    first, second = found.told * (1 - neither), (1 - found.told) * (1 - neither)
    called = np.select([first >= least, second >= least], [YES, NO], UNDETERMINED)
    return Judged(
        found.said.astype(np.int64), called, log_loss(found.told, found.said), found.group
    )


def compare_rules(old: Judged, new: Judged, judged_by: str, *, seed: int = 0) -> RuleComparison:
    """Compare two rules, with intervals from a bootstrap over patients or slides.

    Parameters
    ----------
    old, new
        Of the same fibers.
    judged_by
        ``f1`` or ``agreement``.
    """
    names, number = np.unique(old.group, return_inverse=True)
    tables = [_by_group(judged, number, len(names)) for judged in (old, new)]
    draws = np.random.default_rng(seed).integers(len(names), size=(REPLICATES, len(names)))
    scores = [scores_of(table.sum(axis=0)) for table in tables]
    spread = [[scores_of(table[draw].sum(axis=0)) for draw in draws] for table in tables]
    gains, losses = (
        np.array([getattr(s, name) for s in spread[1]])
        - np.array([getattr(s, name) for s in spread[0]])
        for name in (judged_by, "log_loss")
    )
    gain = getattr(scores[1], judged_by) - getattr(scores[0], judged_by)
    return RuleComparison(
        judged_by,
        scores[0],
        scores[1],
        interval_of(gain, gains, len(names)),
        interval_of(scores[0].log_loss - scores[1].log_loss, -losses, len(names)),
        len(old.said),
        int(old.said.sum()),
        len(names),
    )


def _by_group(judged: Judged, number: NDArray[np.intp], n_groups: int) -> Floats:
    """Count fibers of each group.

    (n_groups, 7): said 0 and called 0, 1, 2; said 1 and called 0, 1, 2; the sum of the losses.
    """
    table = np.zeros((n_groups, 7))
    np.add.at(table, (number, 3 * judged.said + judged.called), 1.0)
    table[:, 6] = np.bincount(number, judged.loss, n_groups)
    return table


def scores_of(counts: Floats) -> Scores:
    """Scores of one row, or the sum of rows, of `_by_group`."""
    grid, n = counts[:6].reshape(2, 3), counts[:6].sum()
    right, called, has = grid[YES, YES], grid[:, YES].sum(), grid[YES].sum()
    agreement = _over(grid[NO, NO] + right, n)
    chance = float(grid.sum(axis=1) @ grid[:, :2].sum(axis=0)) / max(n, 1) ** 2
    return Scores(
        precision=_over(right, called),
        recall=_over(right, has),
        f1=_over(2 * right, called + has),
        agreement=agreement,
        kappa=_over(agreement - chance, 1 - chance),
        log_loss=_over(counts[6], n),
    )


def judge_rule(found: RuleComparison | None, others: Mapping[str, float]) -> tuple[bool, str]:
    """Decide whether a refitted rule takes the place of the one in force, and say why.

    Parameters
    ----------
    found
        On held-out fibers; None if there were none.
    others
        What other conditions that rest on this one gain in F1.

    Returns
    -------
    taken : bool
    reason : str
        In whole sentences.
    """
    if found is None:
        return False, (
            "There is no slide to judge it on: all come from one slide or patient, or the old "
            "model has learned from the others."
        )
    n_least = min(found.n_yes, found.n - found.n_yes)
    if found.n < LEAST_JUDGED or n_least < LEAST_OF_EACH:
        return False, (
            f"{found.n} held-out fibers, {n_least} of the rarer kind, are too few to judge it on: "
            f"{LEAST_JUDGED} and {LEAST_OF_EACH} are needed."
        )
    told = _in_words(found)
    if not found.new.kappa >= LEAST_KAPPA:
        return False, (
            f"{told} It does not tell what people said (kappa {found.new.kappa:.2f}, "
            f"{LEAST_KAPPA:g} is needed). Look at the corrections."
        )
    if not found.is_better:
        return False, f"{told} It is no better there."
    if found.gain.low < -DOUBT:
        return False, f"{told} By the interval, it may be worse. Review more slides to be sure."
    worse = [name for name, gain in others.items() if gain < -TOLERANCE]
    if worse:
        return False, f"{told} But {' and '.join(worse)} would be told worse."
    if found.n_groups == 1:
        return True, f"{told} It was judged on one slide or patient alone."
    return True, told


def _in_words(found: RuleComparison) -> str:
    name = {"f1": "F1", "agreement": "agreement"}[found.judged_by]
    old, new = (getattr(scores, found.judged_by) for scores in (found.old, found.new))
    slides = "1 held-out slide" if found.n_groups == 1 else f"{found.n_groups} held-out slides"
    gain = f"{found.gain.value:+.3f}"
    if not np.isnan(found.gain.low):
        gain += f", 95 % interval {found.gain.low:+.3f} to {found.gain.high:+.3f}"
    return (
        f"On {found.n} fibers of {slides} {name} went from {old:.3f} to {new:.3f} ({gain}) and the "
        f"logarithmic loss from {found.old.log_loss:.3f} to {found.new.log_loss:.3f}."
    )


def _over(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")


def _plain(interval: Interval) -> dict[str, float | None]:
    return {
        name: None if np.isnan(value) else round(value, 4) for name, value in vars(interval).items()
    }
