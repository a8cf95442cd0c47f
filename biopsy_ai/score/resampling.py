"""Replicates of a section: its fascicles, or neighborhoods of fibers, weighted at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.score.evidence import IntervalRule
from biopsy_ai.score.section import Flags, Floats, Section

COLUMNS = 32
"""Replicates that are worked on at the same time. Changes memory alone."""


@dataclass(frozen=True, eq=False)
class Replicates:
    """Weights of the fibers of a section.

    Attributes
    ----------
    weights
        (n, 1 + B) weight of each fiber; the first column, all ones, is the section itself.
    units
        What was weighted, in words.
    n_units
        How many of them.
    """

    weights: Floats
    units: str
    n_units: int

    def total(self, flags: Flags) -> Floats:
        """(1 + B,) total weight of some fibers."""
        return self.weights[flags].sum(axis=0)

    def share(self, flags: Flags, among: Flags) -> Floats:
        """(1 + B,) share of fibers with a mark, NaN where there are none to have it."""
        total = self.total(among)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(total > 0, self.total(flags & among) / total, np.nan)

    def moments(self, values: Floats, among: Flags) -> tuple[Floats, Floats]:
        """(1 + B,) mean and standard deviation (n - 1) of values, NaN where none has weight."""
        among = among & np.isfinite(values)
        n = int(np.count_nonzero(among))
        if n < 2:
            missing = np.full(self.weights.shape[1], np.nan)
            return missing, missing
        with np.errstate(invalid="ignore", divide="ignore"):
            weights = self.weights[among] / self.total(among)
        x = values[among]
        mean = x @ weights
        variance = np.maximum((x**2) @ weights - mean**2, 0.0) * n / (n - 1)
        return mean, np.sqrt(variance)

    def assortativity(self, pairs: NDArray[np.int64], marks: Flags) -> Floats:
        """(1 + B,) correlation of a mark over contacts; a contact weighs as its ends do."""
        if not len(pairs):
            return np.full(self.weights.shape[1], np.nan)
        ends = marks[pairs].astype(float)
        # some columns at a time, for a whole section has 100 000 contacts
        parts = []
        for start in range(0, self.weights.shape[1], COLUMNS):
            columns = self.weights[:, start : start + COLUMNS]
            weights = np.sqrt(columns[pairs[:, 0]] * columns[pairs[:, 1]])
            weights /= np.maximum(weights.sum(axis=0), 1e-12)
            mean = ends.mean(axis=1) @ weights
            spread = mean * (1 - mean)
            both = ends.prod(axis=1) @ weights
            with np.errstate(invalid="ignore", divide="ignore"):
                parts.append(np.where(spread > 1e-9, (both - mean**2) / spread, np.nan))
        return np.concatenate(parts)


def draw_replicates(section: Section, rule: IntervalRule) -> Replicates:
    """Draw replicates of a section.

    Parameters
    ----------
    section : Section
    rule : IntervalRule
        ``replicates``, ``least_units``, ``neighborhood`` and ``missed_share``.

    Returns
    -------
    Replicates

    Notes
    -----
    Bayesian bootstrap (Rubin 1981, Ann Stat 9:130): each unit weighs as an exponential variable.
    Units are the fascicles where there are enough of them, else compact neighborhoods of about 20
    fibers inside fascicles, for fibers that lie side by side resemble each other. Where that makes
    too few neighborhoods they are smaller, down to single fibers. In each replicate some fibers are
    left out, as segmentation may miss them. Units are taken in the order of their fibers' labels,
    so that the weights do not depend on how the section is turned.
    """
    units, words = find_units(section, rule)
    rng = np.random.default_rng([section.seed, 8128])
    number = int(units.max()) + 1 if len(units) else 0
    of_unit = rng.standard_exponential((number, rule.replicates))
    drawn = of_unit[units]
    drawn *= rng.random(drawn.shape) >= rule.missed_share
    return Replicates(np.hstack([np.ones((len(units), 1)), drawn]), words, number)


def find_units(section: Section, rule: IntervalRule) -> tuple[NDArray[np.int64], str]:
    """Number of the unit of each fiber from 0, (n,), and what the units are, in words."""
    return divide_fibers(section.table, section.measured, rule)


def divide_fibers(
    table: pd.DataFrame, measured: Flags, rule: IntervalRule
) -> tuple[NDArray[np.int64], str]:
    """Divide the fibers of a section into units that resemble each other less than their fibers do.

    Parameters
    ----------
    table
        The fiber table, n rows in the order of labels; a column ``fascicle`` is used if there.
    measured
        Fibers that enter the statistics.
    rule
        ``least_units`` and ``neighborhood``.

    Returns
    -------
    (n,) ndarray of int
        Number of the unit of each fiber, from 0.
    str
        What the units are, in words.
    """
    home = np.nan_to_num(_column(table, "fascicle")).astype(np.int64)
    sizes = np.bincount(home[measured & (home > 0)]) if home.any() else np.zeros(1)
    if np.count_nonzero(sizes >= rule.neighborhood) >= rule.least_units:
        return _in_order(home), "fascicles"
    places = np.column_stack([_column(table, "centroid_y_um"), _column(table, "centroid_x_um")])
    size = int(np.count_nonzero(measured)) // (2 * rule.least_units)
    size = min(max(size, 1), rule.neighborhood)
    if size == 1:
        return np.arange(len(home), dtype=np.int64), "fibers"
    units = np.zeros(len(home), np.int64)
    for number in np.unique(home):
        rows = np.flatnonzero(home == number)
        units[rows] = units.max() + 1 + _neighborhoods(places[rows], size)
    return _in_order(units), "neighborhoods of fibers"


def _column(table: pd.DataFrame, name: str) -> Floats:
    if name not in table:
        return np.full(len(table), np.nan)
    return pd.to_numeric(table[name], errors="coerce").to_numpy(float)


def _neighborhoods(places: Floats, size: int) -> NDArray[np.int64]:
    """Part places into compact neighborhoods, each time halving across the longer side."""
    found = np.zeros(len(places), np.int64)
    waiting, number = [np.arange(len(places))], 0
    while waiting:
        rows = waiting.pop()
        if len(rows) < 1.5 * size:
            found[rows] = number
            number += 1
            continue
        axis = int(np.argmax(np.ptp(places[rows], axis=0)))
        order = rows[np.argsort(places[rows, axis], kind="stable")]
        half = len(order) // 2
        low, middle, high = np.split(order, [half, len(order) - half])
        # the one in the middle goes where a section that is turned puts it, too
        if low.min() < high.min():
            low = np.append(low, middle)
        else:
            high = np.append(high, middle)
        waiting += [low, high]
    return found


def _in_order(units: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number units from 0 in the order in which the fibers, by label, first meet them."""
    _, first, inverse = np.unique(units, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
