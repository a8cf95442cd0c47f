"""How many fibers of a section are sick, and how many are not to be trusted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from biopsy_ai.measure.brooke_engel import share_of
from biopsy_ai.measure.condition import CERTAIN, CONDITIONS, DOUBTS
from biopsy_ai.measure.exclusion import is_excluded


def summarize_conditions(fibers: pd.DataFrame) -> dict[str, Any]:
    """Count the fibers with each flag.

    Parameters
    ----------
    fibers : DataFrame
        Column ``excluded`` and a column of probabilities for each flag, as
        `biopsy_ai.measure.condition.flag_conditions` gives them.

    Returns
    -------
    dict
        JSON-ready, by flag: ``n`` of ``of`` fibers, ``percent`` and its 95 % Wilson interval.
        Conditions are counted among the fibers that enter the statistics, doubts among all; only
        fibers that could be judged count. ``assessable`` is false, and ``percent`` None, where
        none could.
    """
    kept = ~is_excluded(fibers)
    summary = {}
    for flag in (*CONDITIONS, *DOUBTS):
        probability = fibers[flag].to_numpy(float)
        judged = np.isfinite(probability) & (kept if flag in CONDITIONS else True)
        share = share_of(
            int(np.count_nonzero(probability[judged] >= CERTAIN)), int(np.count_nonzero(judged))
        )
        part = share["share"]
        summary[flag] = {
            "assessable": bool(judged.any()),
            "percent": None if part is None else 100.0 * part,
            **{name: number for name, number in share.items() if name != "share"},
        }
    return summary
