"""What findings say for and against each change, and the two scores that follow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from biopsy_ai.score.evidence import CHANGES, Evidence, FindingRule, Likelihood
from biopsy_ai.score.measurement import Measurement
from biopsy_ai.score.section import Floats
from biopsy_ai.score.traps import Veto

LN10 = math.log(10.0)


@dataclass(frozen=True, eq=False)
class Said:
    """What one finding says of one change.

    Attributes
    ----------
    log10_lr
        (1 + B,) evidence that counts, in the section and its replicates.
    heard
        (1,) what it would say alone.
    capped
        Whether it would say more without its limits.
    """

    log10_lr: Floats
    heard: float
    capped: bool


@dataclass(frozen=True, eq=False)
class Weighed:
    """All evidence on one change.

    Attributes
    ----------
    said
        By the name of the finding, of all that can be assessed and speak of the change.
    total
        (1 + B,) tempered and weighted sum, log10.
    reasons
        Why what a finding says does not count, by its name.
    """

    said: Mapping[str, Said]
    total: Floats
    reasons: Mapping[str, str] = field(default_factory=dict)


def likelihood_ratio(
    values: Floats, error_sd: float, rule: FindingRule, says: Likelihood, *, elderly: bool
) -> tuple[Floats, bool]:
    """Weigh values of a finding against muscle without the change.

    Parameters
    ----------
    values : (k,) ndarray of float
        In the unit of the finding.
    error_sd : float
        Standard error of the value, on the scale of the finding.
    rule, says
        From the evidence file.
    elderly : bool
        Whether what is usual in old age is the reference.

    Returns
    -------
    (k,) ndarray of float
        log10 likelihood ratio within ``least`` and ``most``.
    bool
        Whether the first was cut off there.

    Notes
    -----
    Two normal distributions of equal scatter, each widened by the error of measurement: the log
    ratio is (m1 - m0) (x - (m0 + m1) / 2) / (sd² + error²), criteria §8.2 and §9.
    """
    normal = says.normal_elderly if elderly and says.normal_elderly is not None else says.normal
    x = to_scale(values, rule)
    spread = says.sd**2 + error_sd**2
    free = (says.changed - normal) * (x - (normal + says.changed) / 2.0) / spread / LN10
    held = np.clip(free, says.least, says.most)
    return held, bool(abs(held[0] - free[0]) > 1e-12)


def to_scale(values: Floats, rule: FindingRule) -> Floats:
    """Values on the scale on which the finding is weighed."""
    if rule.scale == "linear":
        return values
    scaled: Floats = np.log10(np.maximum(values, 0.0) + rule.offset)
    return scaled


def weigh(
    change: str,
    measured: Mapping[str, Measurement],
    evidence: Evidence,
    vetoes: Mapping[str, Veto],
    *,
    elderly: bool,
    rng: np.random.Generator,
) -> Weighed:
    """Weigh all findings for one change.

    Parameters
    ----------
    change : str
        One of `biopsy_ai.score.evidence.CHANGES`.
    measured : mapping of str to Measurement
        By finding; all with the same number of replicates.
    evidence : Evidence
    vetoes : mapping of str to Veto
        Findings that may not say all they would for a change.
    elderly : bool
    rng : numpy.random.Generator
        For the error of measurement and for families of which nothing is known.

    Returns
    -------
    Weighed

    Notes
    -----
    Of a family the finding that says most for the change and the one that says most against it
    count, in each replicate anew. What is not assessable says nothing, and the replicates then
    scatter by ``unseen_sd`` of the cap of the family.
    """
    if change not in CHANGES:
        raise ValueError(f"{change} is none of {', '.join(CHANGES)}")
    n_values = 1 + evidence.interval.replicates
    total = np.zeros(n_values)
    said: dict[str, Said] = {}
    reasons: dict[str, str] = {}
    for family, of in evidence.families.items():
        cap = of.cap.of(change)
        alone: dict[str, tuple[Floats, bool]] = {}
        for name, rule in evidence.findings.items():
            says = rule.of(change)
            if rule.family != family or says is None or name not in measured:
                continue
            noise = rng.standard_normal(n_values - 1)
            if measured[name].why_not:
                continue
            alone[name] = _alone(measured[name], rule, says, noise, elderly=elderly)
            veto = vetoes.get(name)
            if veto is not None and veto.change != change:
                veto = None
            if veto is not None and alone[name][0][0] > veto.most:
                reasons[name] = veto.text
            if veto is not None:
                alone[name] = np.minimum(alone[name][0], veto.most), alone[name][1]
        # drawn also where it is not needed, so that one finding more changes no other's replicates
        unseen = rng.standard_normal(n_values - 1)
        if not alone:
            if cap > 0:
                total[1:] += unseen * evidence.interval.unseen_sd * cap * of.weight.of(change)
            continue
        counted = _strongest({name: found[0] for name, found in alone.items()})
        for name, (held, capped) in alone.items():
            said[name] = Said(counted[name], float(held[0]), capped)
            if counted[name][0] == 0.0 and held[0] != 0.0:
                side = "for" if held[0] > 0 else "against"
                reasons.setdefault(
                    name, f"another finding of its family says more {side} {change} already"
                )
            total += counted[name] * of.weight.of(change)
    return Weighed(said, evidence.tempering * total, reasons)


def _alone(
    measured: Measurement,
    rule: FindingRule,
    says: Likelihood,
    noise: Floats,
    *,
    elderly: bool,
) -> tuple[Floats, bool]:
    """What a finding says by itself; `noise` (B,) moves its replicates by errors they lack."""
    values = measured.values
    if measured.absent:
        return np.full(len(values), says.least), False
    scaled = to_scale(values, rule)
    spread = float(np.std(scaled[1:]))
    steepness = 1.0
    if rule.scale == "log":
        steepness = 1.0 / ((max(values[0], 0.0) + rule.offset) * LN10)
    least = max(measured.least_sd, rule.fiber_sd / math.sqrt(max(measured.n, 1))) * steepness
    unseen = math.sqrt(max(least**2 - spread**2, 0.0))
    added = math.hypot(unseen, rule.measurement_sd)
    moved = values.copy()
    if added > 0:
        jittered = scaled[1:] + noise * added
        moved[1:] = jittered if rule.scale == "linear" else 10.0**jittered - rule.offset
    return likelihood_ratio(moved, math.hypot(spread, added), rule, says, elderly=elderly)


def _strongest(alone: Mapping[str, Floats]) -> dict[str, Floats]:
    """Keep what says most for and what says most against, in each column; 0 elsewhere."""
    names = list(alone)
    table = np.array([alone[name] for name in names])
    columns = np.arange(table.shape[1])
    kept = np.zeros_like(table)
    highest, lowest = table.argmax(axis=0), table.argmin(axis=0)
    # where all speak for, or all against, the one that says most is enough
    for best, counts in (
        (highest, (table[highest, columns] >= 0) | (highest == lowest)),
        (lowest, (table[lowest, columns] <= 0) | (highest == lowest)),
    ):
        kept[best[counts], columns[counts]] = table[best[counts], columns[counts]]
    return dict(zip(names, kept, strict=True))


def score_of(total: Floats, prior: float) -> Floats:
    """Score from 0 to 100 of evidence in log10."""
    return 100.0 / (1.0 + 10.0 ** -np.clip(prior + total, -300, 300))


def points_per_decade(total: float, prior: float) -> float:
    """Points of the score that each unit of log10 evidence is worth in this section.

    Notes
    -----
    The mean slope of the score from no evidence to all of it: (score - baseline) / total. The
    contributions of findings are their evidence times this, which is what integrated gradients
    (Aumann & Shapley 1974; Sundararajan et al. 2017) give for a function of a sum, and they add up
    to the score exactly.
    """
    if abs(total) < 1e-9:
        share = score_of(np.array([0.0]), prior)[0] / 100.0
        return float(100.0 * LN10 * share * (1.0 - share))
    ends = score_of(np.array([0.0, total]), prior)
    return float((ends[1] - ends[0]) / total)
