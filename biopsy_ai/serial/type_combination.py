"""The type of a fiber from what several stains say of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.measure.type_class import TYPE_II_KINDS, type_classes

PURE = ("I", "II", "IIA", "IIX")
HYBRIDS = {"I/IIA": ("I", "IIA"), "I/IIX": ("I", "IIX"), "IIA/IIX": ("IIA", "IIX")}
UNDETERMINED = "undetermined"

LEAST = 1e-3
"""No stain is surer than 999 to 1: types that a person gave have posterior 1, and may contradict
each other. [default]"""

Floats = NDArray[np.float64]


def combine_types(sections: Sequence[pd.DataFrame], *, limits: Limits = DEFAULTS) -> pd.DataFrame:
    """Combine the types that serial sections give to the same fibers.

    Parameters
    ----------
    sections : sequence of DataFrame
        One per section, all with one row per fiber in the same order: ``type``, and the
        probability of each type that the stain tells as ``p_<type>``, where there are any. Rows
        are missing (NaN) where a section does not show the fiber.
    limits
        ``type_posterior_from``.

    Returns
    -------
    DataFrame
        One row per fiber: ``type``, ``type_posterior``, ``type_i_posterior`` and ``p_<type>`` as in
        the table of a section, ``n_typed`` sections that say something, and ``types_agree``:
        whether all that name type I or a type II name the same (missing with fewer than two).

    Notes
    -----
    Posteriors are multiplied (criteria §3.1). Each holds the shares of the types in the section as
    its prior, which must count once, not once per stain: ``p(t)`` is proportional to ``share(t)``
    times the product over the sections s of ``p_s(t) / share_s(t)``.

    A stain that does not part IIA from IIX says of both what it says of type II; of a hybrid it
    does not know it says the mean of what it says of its two types; of other types that it does not
    know, what it says of undetermined fibers. Stains are taken as independent given the type.
    """
    n = len(sections[0]) if sections else 0
    told = [_probabilities(table) for table in sections]
    kinds = _kinds(told)
    frame = pd.DataFrame(index=range(n))
    # a fiber that some section looked at and could not tell is undetermined, not unseen
    looked = np.zeros(n, bool)
    for table in sections:
        if "type" in table:
            looked |= (table["type"] == UNDETERMINED).to_numpy(bool)
    if not kinds:
        frame["type"] = pd.Series(np.where(looked, UNDETERMINED, ""), dtype=object)
        frame["type_posterior"] = frame["type_i_posterior"] = np.nan
        frame["n_typed"] = 0
        frame["types_agree"] = pd.array([pd.NA] * n, dtype="boolean")
        return frame
    shares = [{kind: _share(values) for kind, values in one.items()} for one in told]
    log = np.tile(np.log(_prior(kinds, shares)), (n, 1))
    n_typed = np.zeros(n, np.int64)
    for one, share in zip(told, shares, strict=True):
        if not one:
            continue
        ratio = np.stack([_ratio(kind, one, share, n) for kind in kinds], axis=1)
        seen = np.isfinite(ratio).all(1)
        log[seen] += np.log(ratio[seen])
        n_typed += seen
    p = np.exp(log - log.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[n_typed == 0] = np.nan
    frame["type"], frame["type_posterior"] = _name(kinds, p, limits["type_posterior_from"])
    type_i = [1.0 if kind == "I" else 0.5 if "I/" in kind else 0.0 for kind in kinds]
    frame["type_i_posterior"] = p @ np.array(type_i)
    for k, kind in enumerate(kinds):
        frame[f"p_{kind}"] = p[:, k]
    frame["n_typed"] = n_typed
    frame["types_agree"] = _agreement(sections, n)
    frame.loc[(n_typed == 0) & looked, "type"] = UNDETERMINED
    return frame


def _probabilities(table: pd.DataFrame) -> dict[str, Floats]:
    """Probability of each type that a section tells; from the named types where there are none."""
    known = (*PURE, *HYBRIDS, UNDETERMINED)
    found = {
        kind: table[f"p_{kind}"].to_numpy(float) for kind in known if f"p_{kind}" in table.columns
    }
    if found or "type" not in table:
        return found
    kinds = table["type"].to_numpy(object)
    named = [kind for kind in (*PURE, *HYBRIDS) if (kinds == kind).any()]
    seen = np.isin(kinds.astype(str), named)
    return {kind: np.where(seen, (kinds == kind).astype(float), np.nan) for kind in named}


def _kinds(told: Sequence[dict[str, Floats]]) -> list[str]:
    """Types that are told apart by at least one section: type II only where no subtypes are."""
    every = {kind for one in told for kind in one} - {UNDETERMINED}
    if every & {"IIA", "IIX", "IIA/IIX"}:
        every = (every - {"II"}) | {"IIA", "IIX"}
    order = (*PURE, *HYBRIDS)
    if every and "I" not in every:
        every.add("I")
    return [kind for kind in order if kind in every]


def _share(values: Floats) -> float:
    mean = float(np.nanmean(values)) if np.isfinite(values).any() else 0.0
    return min(max(mean, 0.01), 1.0)


def _prior(kinds: list[str], shares: Sequence[dict[str, float]]) -> Floats:
    """Share of each type, from the section that tells most of them."""
    best = max(shares, key=lambda share: len(set(share) & set(kinds)))
    prior = []
    for kind in kinds:
        others = [share[kind] for share in shares if kind in share]
        if kind in best:
            prior.append(best[kind])
        elif others:
            prior.append(others[0])
        else:
            prior.append(0.5 * best.get("II", 0.1) if kind in TYPE_II_KINDS else 0.1)
    return np.array(prior) / sum(prior)


def _ratio(kind: str, told: dict[str, Floats], share: dict[str, float], n: int) -> Floats:
    """How much a section speaks for a type: its posterior over its share; 1 where it is mute."""

    def of(name: str) -> Floats:
        return np.clip(told[name], LEAST, 1) / share[name]

    if kind in told:
        own = of(kind)
        # type II without its subtype is as likely either
        if kind in ("IIA", "IIX") and "II" in told:
            own = (np.clip(told[kind], LEAST, 1) + 0.5 * told["II"]) / (
                share[kind] + 0.5 * share["II"]
            )
        return np.asarray(own)
    if kind in HYBRIDS:
        one, other = (_ratio(part, told, share, n) for part in HYBRIDS[kind])
        return np.asarray(0.5 * (one + other))
    if kind in TYPE_II_KINDS and "II" in told:
        return np.asarray(of("II"))
    if UNDETERMINED in told:
        return np.asarray(of(UNDETERMINED))
    # a type that is left over where the others are not
    rest = 1 - sum(told.values(), np.zeros(n))
    return np.asarray(np.clip(rest, LEAST, 1) / max(1 - sum(share.values()), 0.01))


def _name(kinds: list[str], p: Floats, least: float) -> tuple[NDArray[np.object_], Floats]:
    """Name types as in a section: sure ones, type II where only its subtype is not, or neither."""
    known = np.asarray(np.isfinite(p).all(axis=1))
    filled = np.where(known[:, None], p, 0.0)
    top = filled.max(1)
    names = np.array(kinds, dtype=object)[filled.argmax(1)]
    second = filled[:, [kind in TYPE_II_KINDS for kind in kinds]].sum(1)
    sure, either = top >= least, second >= least
    names = np.where(sure, names, np.where(either, "II", UNDETERMINED))
    names = np.where(known, names, "")
    posterior = np.where(sure, top, np.where(either, second, np.nan))
    return names, np.where(known, posterior, np.nan)


def _agreement(sections: Sequence[pd.DataFrame], n: int) -> pd.arrays.BooleanArray:
    classes = [type_classes(table["type"]) for table in sections if "type" in table]
    ones = sum(((c == "I").astype(int) for c in classes), np.zeros(n, int))
    twos = sum(((c == "II").astype(int) for c in classes), np.zeros(n, int))
    agree = pd.array((ones == 0) | (twos == 0), dtype="boolean")
    agree[ones + twos < 2] = pd.NA
    return agree
