"""Rules of conditions and types that are refitted to reviewed fibers, each judged by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.config import RulesConfig, TypeBorder
from biopsy_ai.measure.condition import CONDITIONS
from biopsy_ai.measure.reference import Limits
from biopsy_ai.review.measured_fibers import NEITHER_SHARE, TYPE_I_SHARE
from biopsy_ai.training.reviewed_fibers import ReviewedFibers
from biopsy_ai.training.rule_fit import (
    LIMITS_OF,
    Floats,
    Said,
    border_told,
    conditions_told,
    fit_border,
    fit_condition,
)
from biopsy_ai.training.rule_judging import (
    Judged,
    RuleComparison,
    compare_rules,
    judge_rule,
    judged_condition,
    judged_types,
)

LEAST_LEARNED = 20
"""A rule is refitted from so many reviewed fibers on, [default]"""

LEAST_LEARNED_OF_EACH = 5
"""if so many have the condition and as many have not, or are of either type. [default]"""


@dataclass(frozen=True)
class LearnedRule:
    """One condition, or the border between types I and II in one stain.

    Attributes
    ----------
    name
        Of the condition or the stain.
    n, n_yes
        Fibers that were learned from, and those with the condition or of type I.
    before, refitted
        Numbers by name; `refitted` is empty where there was too little to learn from.
    comparison
        Of both on held-out fibers; None where none were held out, or nothing was refitted.
    taken
        Whether the refitted numbers are in force.
    reason
        Why, or why not, in whole sentences.
    """

    name: str
    n: int
    n_yes: int
    before: dict[str, float]
    refitted: dict[str, float]
    comparison: RuleComparison | None
    taken: bool
    reason: str

    @property
    def title(self) -> str:
        """What it is a rule of."""
        return self.name if self.name in CONDITIONS else f"types in {self.name}"

    @property
    def text(self) -> str:
        """What came of it."""
        verdict = "taken over" if self.taken else "not taken over" if self.refitted else "as it was"
        return f"{self.title[0].upper()}{self.title[1:]}: {verdict}. {self.reason}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for ``model.yaml``."""
        return {
            "name": self.name,
            "n_fibers": self.n,
            "n_yes": self.n_yes,
            "taken": self.taken,
            "reason": self.reason,
            "numbers": {
                name: {"old": value, "new": self.refitted.get(name)}
                for name, value in self.before.items()
            },
            "held_out": None if self.comparison is None else self.comparison.as_dict(),
        }


@dataclass(frozen=True)
class LearnedRules:
    """All rules that were refitted or might have been.

    Attributes
    ----------
    in_force
        What the new model goes by.
    n_fibers, n_slides
        Reviewed fibers that were learned from, and their slides.
    n_corrected
        Those of which people said something else than the program.
    """

    rules: tuple[LearnedRule, ...]
    in_force: RulesConfig
    n_fibers: int
    n_slides: int
    n_corrected: int

    @property
    def taken(self) -> tuple[LearnedRule, ...]:
        """Those that earned their place."""
        return tuple(rule for rule in self.rules if rule.taken)

    @property
    def summary(self) -> str:
        """How many earned their place, and which."""
        if self.taken:
            names = ", ".join(rule.title for rule in self.taken)
            return f"{len(self.taken)} of {len(self.rules)} rules earned their place: {names}."
        why = {rule.reason for rule in self.rules}
        # the same of all, such as that there is nothing to judge on
        same = f" {why.pop()}" if len(why) == 1 else ""
        return f"No rule was learned, so nothing is better than in the old model.{same}"

    @property
    def text(self) -> str:
        """What came of the rules, a line each."""
        if not self.rules:
            return "Rules: nothing could be learned; no reviewed fiber has a condition or a type."
        return "\n".join(rule.text for rule in self.rules)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the event ``model`` and ``model.yaml``."""
        return {
            "n_fibers": self.n_fibers,
            "n_slides": self.n_slides,
            "n_corrected": self.n_corrected,
            "text": self.text,
            "refitted": [rule.as_dict() for rule in self.rules],
        }


def learn_rules(
    training: Sequence[ReviewedFibers],
    held_out: Sequence[ReviewedFibers],
    start: RulesConfig,
    *,
    model: str,
    seed: int = 0,
) -> LearnedRules:
    """Refit the rules of conditions and types, and keep of each what is better on held-out slides.

    Parameters
    ----------
    training, held_out
        Reviewed fibers of slides to learn from, and of others to judge on.
    start
        Rules in force.
    model
        Name of the new model, for the record.
    seed
        Of the bootstrap.
    """
    limits, types = dict(start.limits), dict(start.types)
    rules = []
    signs, judged = ([s for s in part if s.has_signs] for part in (training, held_out))
    if signs:
        said = conditions_told(signs, CONDITIONS, Limits(learned=limits))
        for name in LIMITS_OF:
            if said[name].said.any():
                rule = _condition(name, said[name], signs, judged, limits, seed)
                rules.append(rule)
                limits |= rule.refitted if rule.taken else {}
    for stain in dict.fromkeys(s.stain for s in training if s.stain):
        own, others = ([s for s in part if s.stain == stain] for part in (training, held_out))
        if len(border_told(own, TypeBorder()).said):
            rule = _border(stain, own, others, types.get(stain, TypeBorder()), seed)
            rules.append(rule)
            if rule.taken:
                types[stain] = TypeBorder(**rule.refitted)
    n_fibers = int(sum(np.count_nonzero(s.reviewed) for s in training))
    source = start.source
    if any(rule.taken for rule in rules):
        before = f"; others {start.source}" if start.source else ""
        slides = _slides(len(training))
        source = f"refitted to {n_fibers} reviewed fibers of {slides} for {model}{before}"
    return LearnedRules(
        tuple(rules),
        RulesConfig(limits=limits, types=types, source=source),
        n_fibers,
        len(training),
        int(sum(s.corrected("type") + s.corrected("condition") for s in training)),
    )


def _condition(
    name: str,
    said: Said,
    training: Sequence[ReviewedFibers],
    held_out: Sequence[ReviewedFibers],
    learned: Mapping[str, float],
    seed: int,
) -> LearnedRule:
    limits = Limits(learned=learned)
    n, n_yes = len(said.said), int(said.said.sum())
    before = {each: limits[each] for each in LIMITS_OF[name]}
    if too_few := _too_few(n, n_yes):
        return LearnedRule(name, n, n_yes, before, {}, None, False, too_few)
    refitted = fit_condition(name, training, limits)
    comparison, others = None, {}
    if held_out:
        there = replace(limits, learned={**learned, **refitted})
        old, new = (conditions_told(held_out, CONDITIONS, each) for each in (limits, there))
        if len(old[name].said):
            comparison = _compared(old[name], new[name], seed)
        others = {
            other: _compared(old[other], new[other], seed).gain.value
            for other in CONDITIONS
            if other != name and old[other].said.any()
        }
    taken, reason = judge_rule(comparison, others)
    return LearnedRule(name, n, n_yes, before, refitted, comparison, taken, reason)


def _compared(old: Said, new: Said, seed: int) -> RuleComparison:
    return compare_rules(judged_condition(old), judged_condition(new), "f1", seed=seed)


def _border(
    stain: str,
    training: Sequence[ReviewedFibers],
    held_out: Sequence[ReviewedFibers],
    border: TypeBorder,
    seed: int,
) -> LearnedRule:
    said = border_told(training, border).said
    n, n_yes = len(said), int(said.sum())
    before = border.model_dump()
    if too_few := _too_few(n, n_yes):
        return LearnedRule(stain, n, n_yes, before, {}, None, False, too_few)
    refitted = fit_border(training, border)
    comparison = None
    if len(border_told(held_out, border).said):
        old, new = (_judged_types(held_out, each) for each in (border, refitted))
        comparison = compare_rules(old, new, "agreement", seed=seed)
    taken, reason = judge_rule(comparison, {})
    return LearnedRule(stain, n, n_yes, before, refitted.model_dump(), comparison, taken, reason)


def _judged_types(sections: Sequence[ReviewedFibers], border: TypeBorder) -> Judged:
    neither: list[Floats] = []
    for section in sections:
        known: NDArray[np.bool_] = np.isfinite(section.is_type_i())
        known &= np.isfinite(section.table[TYPE_I_SHARE].to_numpy(float))
        neither.append(section.table[NEITHER_SHARE].to_numpy(float)[known])
    least = Limits()["type_posterior_from"]
    return judged_types(border_told(sections, border), np.concatenate(neither), least)


def _too_few(n: int, n_yes: int) -> str:
    least = min(n_yes, n - n_yes)
    if n >= LEAST_LEARNED and least >= LEAST_LEARNED_OF_EACH:
        return ""
    return (
        f"{n} reviewed fibers, {least} of the rarer kind, are too few to learn from: "
        f"{LEAST_LEARNED} and {LEAST_LEARNED_OF_EACH} are needed."
    )


def _slides(n: int) -> str:
    return f"{n} slide{'' if n == 1 else 's'}"
