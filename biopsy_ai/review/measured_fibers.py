"""What was measured of the fibers of a reviewed section, and what a person said of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.config import TypeBorder
from biopsy_ai.measure.type_class import TYPE_II_KINDS
from biopsy_ai.patterns.type_border import share_before, type_i_share
from biopsy_ai.review.reviewed_section import ReviewedSection

TYPE_I_SHARE = "type_i_share"
"""Posterior of type I among types I and II as the levels of staining give it, before any border
that a model has learned."""

NEITHER_SHARE = "neither_share"
"""Posterior of being neither type I nor type II."""


def measured_fibers(section: ReviewedSection, *, whole_section: bool) -> pd.DataFrame:
    """Gather what rules of conditions and types can be learned from.

    All fibers are given whose outline is that of the analysis, for what is told of one may depend
    on the others. Of a fiber whose outline a person changed nothing is known that belongs to it.

    Parameters
    ----------
    section
        What was reviewed.
    whole_section
        Whether every fiber was looked at.

    Returns
    -------
    DataFrame
        One row per fiber: ``label``; ``stain`` by which it was typed; ``reviewed``, whether a
        person looked at it and did not leave it out; what the analysis wrote to ``signs.csv``;
        `TYPE_I_SHARE` and `NEITHER_SHARE`, NaN where types were not read off the stain;
        ``type_before`` and
        ``condition_before`` as the program told them; ``type`` and ``condition`` as the person
        said, or let stand.
    """
    saved, decided = section.saved, section.corrections
    fibers = saved.fibers
    labels = fibers["label"].to_numpy(np.int64)
    same = np.isin(labels, section.ids) & ~np.isin(labels, list(decided.outlines))
    looked_at = np.isin(labels, section.ids[section.seen()]) | whole_section
    left_out = [label for label, reason in decided.exclusions.items() if reason]
    typing = (saved.summary.get("types") or {}).get("typing") or {}
    stain = str(typing.get("stain") or "")
    table = pd.DataFrame(
        {"label": labels, "stain": stain, "reviewed": looked_at & ~np.isin(labels, left_out)}
    )
    if saved.signs is not None:
        known = saved.signs.set_index("label").reindex(labels).reset_index(drop=True)
        table = pd.concat([table, known], axis=1)
    read = typing.get("source") == "mixture"
    table[[TYPE_I_SHARE, NEITHER_SHARE]] = (
        _shares(fibers, saved.config.rules.types.get(stain)) if read else np.nan
    )
    for name, said in (("type", decided.types), ("condition", decided.conditions)):
        before = fibers[name].astype(object) if name in fibers else pd.Series([""] * len(fibers))
        table[f"{name}_before"] = before.to_numpy()
        table[name] = _said(labels, before.to_numpy(), said)
    return table[same].reset_index(drop=True)


def _shares(fibers: pd.DataFrame, border: TypeBorder | None) -> NDArray[np.float64]:
    """(n, 2) posteriors of type I among types I and II, and of being neither."""
    posteriors = {
        str(name).removeprefix("p_"): fibers[name].to_numpy(float)
        for name in fibers
        if str(name).startswith("p_")
    }
    share = type_i_share(posteriors)
    others = [p for kind, p in posteriors.items() if kind != "I" and kind not in TYPE_II_KINDS]
    neither = np.sum(others, axis=0) + np.zeros(len(fibers))
    share = share if border is None else share_before(share, border)
    return np.column_stack([share, np.where(np.isfinite(share), neither, np.nan)])


def _said(
    labels: NDArray[np.int64], before: NDArray[np.object_], said: Mapping[int, str]
) -> list[str]:
    """What a person said of each fiber, or else let stand."""
    return [
        said.get(label, word) for label, word in zip(labels.tolist(), before.tolist(), strict=True)
    ]
