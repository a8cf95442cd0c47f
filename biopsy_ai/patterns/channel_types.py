"""Fiber types from the channels of an immunofluorescence of myosin heavy chains."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np

from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.measure.type_class import TYPE_II_KINDS
from biopsy_ai.patterns.stain_polarity import UNDETERMINED
from biopsy_ai.patterns.type_mixture import Floats

_STEPS = 200
_PRIOR = 0.5
_ORDER = ("I", "IIA", "IIX")


def combine_channels(
    positive: dict[str, Floats], *, absent: tuple[str, ...] = ()
) -> tuple[dict[str, Floats], str]:
    """Turn the probabilities of being positive in each channel into those of types.

    Parameters
    ----------
    positive : dict of str to (n,) ndarray of float
        Probability of being positive by channel (I, IIA, IIX), NaN where unknown.
    absent : tuple of str
        Types that have no channel.

    Returns
    -------
    types : dict of str to (n,) ndarray of float
        Probability by type; the sum is 1, NaN where unknown.
    by_exclusion : str
        Type of the fibers that are negative throughout, an empty string where nothing tells it.

    Notes
    -----
    A fiber is of one class per combination of positive and negative channels. How often each
    combination occurs is estimated from all fibers (latent classes, expectation-maximisation), for
    channels exclude each other: taking them as independent would find too many hybrids. What is
    negative throughout is the one type without a channel; of II where there is a channel I alone.
    """
    names = [name for name in _ORDER if name in positive]
    by_exclusion = ""
    if len(absent) == 1:
        by_exclusion = absent[0]
    elif set(absent) == {"IIA", "IIX"}:
        by_exclusion = "II"
    shares = np.stack([positive[name] for name in names], axis=1)
    known = np.isfinite(shares).all(axis=1)
    classes = np.array(list(product((0, 1), repeat=len(names))))
    seen = np.clip(shares[known], 1e-9, 1 - 1e-9)
    rate = np.clip(seen.mean(axis=0), 1e-6, 1 - 1e-6)
    # likelihood ratios: the share of positive fibers is taken off, and comes back with the classes
    odds = np.log(seen / (1 - seen)) - np.log(rate / (1 - rate))
    evidence = odds @ classes.T
    evidence = np.exp(evidence - evidence.max(axis=1, keepdims=True, initial=-np.inf))
    weights = np.full(len(classes), 1.0 / len(classes))
    for _ in range(_STEPS):
        posterior = evidence * weights
        posterior /= posterior.sum(axis=1, keepdims=True)
        before, weights = weights, posterior.sum(axis=0) + _PRIOR
        weights = weights / weights.sum()
        if np.abs(weights - before).max() < 1e-6:
            break
    types: dict[str, Floats] = {}
    for k, combination in enumerate(classes):
        held = [name for name, on in zip(names, combination, strict=True) if on]
        kind = name_combination(held) if held else by_exclusion or UNDETERMINED
        column = np.full(len(shares), np.nan)
        column[known] = posterior[:, k] if known.any() else np.empty(0)
        types[kind] = types[kind] + column if kind in types else column
    return types, by_exclusion


def find_why_no_shares(positive: list[str], by_exclusion: str) -> str | None:
    """Say why shares of types would be wrong; None where type I can be told from type II.

    Parameters
    ----------
    positive : list of str
        Channels in which fibers stand out.
    by_exclusion : str
        From `combine_channels`.
    """
    told = {*positive, by_exclusion}
    if "I" in told and told.intersection(TYPE_II_KINDS):
        return None
    return (
        f"no channel parts type I from type II: what is negative in {', '.join(positive)} may be "
        f"of type {'II' if 'I' in told else 'I'} or not; name one more channel"
    )


def name_combination(held: list[str]) -> str:
    """Name the type that holds these myosin heavy chains: a pure one, a hybrid, undetermined."""
    if len(held) == 1:
        return held[0]
    return "/".join(held) if len(held) == 2 else UNDETERMINED


def take_off_shine_through(
    positive: dict[str, Floats], brightness: dict[str, Floats], limits: Limits = DEFAULTS
) -> tuple[dict[str, Floats], list[str]]:
    """Do not count as positive what comes from the type that another channel shows.

    Parameters
    ----------
    positive : dict of str to (n,) ndarray of float
        Probability of being positive by channel.
    brightness : dict of str to (n,) ndarray of float
        Logarithm of the intensity in each.
    limits : Limits, optional

    Returns
    -------
    positive : dict of str to (n,) ndarray of float
    notes : list of str
        Which channel shines through into which, and which antibody seems to bind two types.

    Notes
    -----
    Hybrids are few. Where more than half of the fibers of one channel are positive in another, and
    less bright there than the fibers that are positive in that alone, by a standard deviation of
    these, the light is that of the first channel; only what is as bright as the middle one of these
    counts. Without that difference, where nine in ten are positive in both, the second antibody
    seems to bind both types: the fibers are of the type that only one of them shows, and hybrids of
    the two cannot be told. What remains is told by `check_channels`.
    """
    found = dict(positive)
    notes = []
    for source, target in permutations(positive, 2):
        holds = found[source] > 0.5
        bright = found[target] > 0.5
        both, alone = holds & bright, ~holds & bright
        if min(both.sum(), alone.sum()) < limits["level_min_fibers"]:
            continue
        light = brightness[target]
        sd = float(light[alone].std())
        weaker = float(light[alone].mean() - light[both].mean()) > max(sd, 1e-9)
        if both.sum() <= limits["shine_through_share"] * holds.sum():
            continue
        if weaker:
            as_bright = light >= float(np.median(light[alone]))
            found[target] = np.where(both & ~as_bright, 0.0, found[target])
            notes.append(
                f"Channel {source} shines through into channel {target}: {int(both.sum())} of "
                f"{int(holds.sum())} fibers that are positive in {source} are weakly bright in "
                f"{target}, which does not count."
            )
        elif both.sum() >= limits["shared_binding_share"] * holds.sum():
            found[target] = np.where(both, 0.0, found[target])
            notes.append(
                f"The antibody of channel {target} seems to bind type {source} too: "
                f"{int(both.sum())} of {int(holds.sum())} fibers that are positive in {source} are "
                f"as bright in {target} as those that are positive in that alone. They are called "
                f"{source}; hybrids of the two cannot be told here."
            )
    return found, notes


def check_channels(positive: dict[str, Floats], limits: Limits = DEFAULTS) -> list[dict[str, Any]]:
    """Check that channels exclude each other, as fibers of one type each do.

    Parameters
    ----------
    positive : dict of str to (n,) ndarray of float
        Probability of being positive by channel.
    limits : Limits, optional

    Returns
    -------
    list of dict
        JSON-ready, one per pair: ``name``, ``agrees`` (None where too few fibers are positive),
        ``share_in_both`` of the fibers that are positive in the rarer one, ``n``, ``text``.
    """
    checks = []
    names = list(positive)
    for k, first in enumerate(names):
        for second in names[k + 1 :]:
            one, other = positive[first], positive[second]
            both = np.isfinite(one) & np.isfinite(other)
            n = int(both.sum())
            together = float((one[both] * other[both]).sum())
            least = min(float(one[both].sum()), float(other[both].sum()))
            share = together / least if least >= 1 else None
            agrees = None if share is None else share < limits["shine_through_share"]
            text = (
                "too few fibers are positive"
                if share is None
                else f"{share:.0%} of the fibers that are positive in the rarer of {first} and "
                f"{second} are positive in both"
            )
            if agrees is False:
                text += (
                    ": look whether the channels are named rightly, and whether an antibody binds "
                )
                text += "both; if so, do not name its channel"
            name = f"{first} against {second}"
            checks.append(
                {"name": name, "agrees": agrees, "share_in_both": share, "n": n, "text": text}
            )
    return checks
