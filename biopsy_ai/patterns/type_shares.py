"""Shares of fiber types by number and by area, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from biopsy_ai.measure.adequacy import describe_fascicles, requirement
from biopsy_ai.measure.brooke_engel import share_of
from biopsy_ai.measure.exclusion import is_excluded
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.patterns.type_mixture import Floats

RESAMPLED = 2000
"""How often fascicles are drawn anew for an interval. [default]"""

_Z = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Clusters:
    """Complete fascicles, drawn anew with replacement.

    Attributes
    ----------
    home
        (n,) row of the fascicle of each fiber, -1 where it lies in no complete one.
    times
        (B, fascicles) how often each is drawn.
    """

    home: np.ndarray
    times: Floats

    def totals(self, values: Floats) -> Floats:
        """Sum of a value over the fibers of each draw, (B,)."""
        held = self.home >= 0
        sums = np.bincount(self.home[held], values[held], self.times.shape[1])
        return np.asarray(self.times @ sums)


def draw_clusters(
    table: pd.DataFrame, borders: pd.DataFrame | None, seed: int, limits: Limits = DEFAULTS
) -> Clusters | None:
    """Draw the complete fascicles of a section anew.

    Parameters
    ----------
    table : DataFrame
        The fiber table; without a column ``fascicle`` there are none.
    borders : DataFrame, optional
        Table of fascicles, see `biopsy_ai.measure.adequacy.describe_fascicles`.
    seed : int
    limits : Limits, optional

    Returns
    -------
    Clusters or None
        None with fewer complete fascicles than intervals over them need (``adequacy.yaml``).
    """
    if "fascicle" not in table or "touches_border" not in table:
        return None
    fascicles = describe_fascicles(table, borders, limits)
    complete = fascicles.loc[fascicles["complete"], "fascicle"].to_numpy(int)
    least = requirement("fascicle_scatter", limits=limits)
    assert least is not None
    if len(complete) < least.value:
        return None
    number = table["fascicle"].fillna(0).to_numpy(int)
    order = np.argsort(complete)
    at = np.minimum(np.searchsorted(complete[order], number), len(complete) - 1)
    home = np.where(complete[order][at] == number, order[at], -1)
    home[is_excluded(table)] = -1
    rng = np.random.default_rng(seed)
    even = np.full(len(complete), 1.0 / len(complete))
    return Clusters(home, rng.multinomial(len(complete), even, RESAMPLED).astype(float))


def describe_share(
    members: np.ndarray, of: np.ndarray, area_um2: Floats, clusters: Clusters | None
) -> dict[str, Any]:
    """Share of some fibers among others, by number and by area.

    Parameters
    ----------
    members, of : (n,) ndarray of bool
        The fibers, and those that they are a part of.
    area_um2 : (n,) ndarray of float
    clusters : Clusters, optional

    Returns
    -------
    dict
        JSON-ready: ``n``, ``of``, ``share``, ``wilson_95`` (fibers taken as independent),
        ``fascicles_95`` (fascicles drawn anew, None where there are too few), and ``by_area`` with
        ``share``, ``interval_95`` and the ``method`` of that.
    """
    entry = share_of(int((members & of).sum()), int(of.sum()))
    part, whole = (members & of).astype(float), of.astype(float)
    over = _drawn(part, whole, clusters)
    area = np.nan_to_num(np.asarray(area_um2, float))
    total = float((whole * area).sum())
    by_area: dict[str, Any] = {"share": None, "interval_95": None, "method": None}
    if total > 0:
        share = float((part * area).sum() / total)
        interval, method = _drawn(part * area, whole * area, clusters), "fascicles drawn anew"
        if interval is None:
            # ratio of two sums over independent fibers
            half = _Z * float(np.sqrt(np.sum((area * (part - share * whole)) ** 2)) / total)
            interval = [max(share - half, 0.0), min(share + half, 1.0)]
            method = "fibers taken as independent"
        by_area = {"share": share, "interval_95": interval, "method": method}
    return {**entry, "fascicles_95": over, "by_area": by_area}


def interval_of(draws: Floats) -> list[float] | None:
    """95 % interval of the values of the draws, None where too many do not exist."""
    finite = draws[np.isfinite(draws)]
    if len(finite) < 0.9 * len(draws) or not len(finite):
        return None
    return [float(edge) for edge in np.percentile(finite, (2.5, 97.5))]


def _drawn(part: Floats, whole: Floats, clusters: Clusters | None) -> list[float] | None:
    if clusters is None:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        return interval_of(clusters.totals(part) / clusters.totals(whole))
