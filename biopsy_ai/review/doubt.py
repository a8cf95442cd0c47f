"""Which fibers deserve a look first, and why.

Every sign of a mistake gives a doubt between 0 and its weight; the doubts of a fiber add up as the
chances of independent mistakes do. The signs are measurements that stand in the fiber table and in
the list of contacts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.measure.exclusion import is_excluded
from biopsy_ai.patterns.stain_polarity import UNDETERMINED

if TYPE_CHECKING:
    from biopsy_ai.saved import SavedAnalysis

Floats = NDArray[np.float64]

LEAST_DOUBT = 0.05
"""What is less doubtful is not in the queue. [default]"""

LEFT_OUT_WEIGHT = 0.5
"""Doubts about fibers that are left out of the statistics count by this factor. [default]"""


@dataclass(frozen=True)
class Scale:
    """Where a measurement begins to be a sign of a mistake, and where it is a clear one.

    Attributes
    ----------
    none, full
        Value from which on the doubt is more than 0, and where it reaches the weight; either may
        be the larger one.
    weight
        The doubt that a clear sign gives.
    """

    none: float
    full: float
    weight: float

    def of(self, values: Floats) -> Floats:
        """Doubt by each value, between 0 and 1; 0 where it is not known."""
        share = (np.asarray(values, float) - self.none) / (self.full - self.none)
        return np.clip(np.nan_to_num(share, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)


# Weights and scales are defaults. They were chosen so that what is wrong in the sample slides comes
# first, and fibers of theirs that were merged or parted on purpose. [default]
CERTAINTY = Scale(none=0.97, full=0.75, weight=0.8)
"""Mean probability of the network that it is a fiber."""
SOLIDITY = Scale(none=0.92, full=0.75, weight=0.5)
"""Of an outline that is concave."""
ELONGATION = Scale(none=3.0, full=6.0, weight=0.4)
"""Length over width."""
TINY = Scale(none=0.08, full=0.02, weight=0.4)
"""Area over the median area: scraps of a torn fiber, or no fiber."""
MERGED_AREA = Scale(none=1.2, full=2.2, weight=0.7)
"""Area over the median area of what may be two fibers, if it has a cleft."""
MERGED_CLEFT = Scale(none=0.96, full=0.87, weight=1.0)
"""Solidity of what may be two fibers."""
SPLIT_GAP = Scale(none=0.55, full=0.3, weight=0.7)
"""Gap over the median gap of the section between what may be two parts of one fiber."""
SPLIT_CONTACT = Scale(none=0.12, full=0.3, weight=1.0)
"""Share of its border that the smaller one has in common with the other one."""
SPLIT_AREA = Scale(none=3.0, full=0.8, weight=1.0)
"""Area of both together over the median area."""
TYPE_POSTERIOR = Scale(none=0.95, full=0.55, weight=0.6)
"""Of the type that a fiber is given."""
NO_TYPE_WEIGHT = 0.5
"""Doubt about a fiber that was looked at and whose type cannot be told."""


class Doubts:
    """The doubts about the fibers that an analysis found.

    Parameters
    ----------
    saved
        The analysis.
    """

    def __init__(self, saved: SavedAnalysis) -> None:
        self._labels = saved.fibers["label"].to_numpy(np.int64)
        self._rows: list[NDArray[np.intp]] = []
        self._partners: list[NDArray[np.intp]] = []
        self._doubt: list[Floats] = []
        self._words: list[str] = []
        fibers = saved.fibers
        kept = ~is_excluded(fibers)
        self._factor = np.where(kept, 1.0, LEFT_OUT_WEIGHT)
        area = fibers["area_um2"].to_numpy(float)
        if len(area):
            area = area / np.median(area[kept] if kept.any() else area)
        self._add_outlines(fibers, area)
        self._add_types(fibers)
        if saved.contacts is not None and len(saved.contacts):
            self._add_parts(saved.contacts, area)
        none = np.zeros(0, np.intp)
        self._row = np.concatenate([none, *self._rows])
        self._partner = np.concatenate([none, *self._partners])
        self._amount = np.concatenate([np.zeros(0), *self._doubt])

    def queue(self, open_fibers: Iterable[int]) -> pd.DataFrame:
        """The fibers that deserve a look, most doubtful first.

        Parameters
        ----------
        open_fibers
            Those that no person has looked at.

        Returns
        -------
        DataFrame
            ``label``, ``doubt`` between 0 and 1, and ``reason`` in words.
        """
        is_open = np.isin(self._labels, np.fromiter(open_fibers, np.int64))
        counts = is_open[self._row] & ((self._partner < 0) | is_open[self._partner])
        signs = np.flatnonzero(counts)
        row, amount = self._row[signs], self._amount[signs]
        certain = np.zeros(len(self._labels))
        np.add.at(certain, row, np.log1p(-np.minimum(amount, 1.0 - 1e-9)))
        doubt = 1.0 - np.exp(certain)
        reasons: dict[int, list[str]] = {}
        for sign in signs[np.argsort(-amount, kind="stable")].tolist():
            reasons.setdefault(int(self._row[sign]), []).append(self._words[sign])
        order = np.argsort(-doubt, kind="stable")
        order = order[doubt[order] >= LEAST_DOUBT]
        return pd.DataFrame(
            {
                "label": self._labels[order],
                "doubt": doubt[order],
                "reason": ["; ".join(reasons[row]) for row in order.tolist()],
            }
        )

    def _add(
        self,
        rows: NDArray[np.intp],
        doubt: Floats,
        words: Callable[[int], str],
        partners: NDArray[np.intp] | None = None,
    ) -> None:
        """Add a sign; `words` tells it by its place among `rows`."""
        amount = doubt * self._factor[rows]
        seen = np.flatnonzero(amount > 0)
        self._rows.append(rows[seen])
        self._partners.append(np.full(len(seen), -1) if partners is None else partners[seen])
        self._doubt.append(amount[seen])
        self._words.extend(words(place) for place in seen.tolist())

    def _add_outlines(self, fibers: pd.DataFrame, area: Floats) -> None:
        every = np.arange(len(fibers))
        shaped = (fibers["shape_assessable"] & ~fibers["touches_border"]).to_numpy(bool)
        certainty = fibers["confidence"].to_numpy(float)
        solidity = np.where(shaped, fibers["solidity"].to_numpy(float), np.nan)
        longish = np.where(shaped, fibers["feret_aspect_ratio"].to_numpy(float), np.nan)
        self._add(
            every,
            CERTAINTY.weight * CERTAINTY.of(certainty),
            lambda k: f"outlined with certainty {certainty[k]:.2f}",
        )
        merged = np.sqrt(MERGED_AREA.of(area) * MERGED_CLEFT.of(solidity))
        self._add(
            every,
            MERGED_AREA.weight * merged,
            lambda k: f"may be two fibers: {area[k]:.1f} times the median area, with a cleft",
        )
        self._add(
            every,
            SOLIDITY.weight * SOLIDITY.of(solidity),
            lambda k: f"concave outline (solidity {solidity[k]:.2f})",
        )
        self._add(
            every,
            ELONGATION.weight * ELONGATION.of(longish),
            lambda k: f"{longish[k]:.1f} times as long as wide",
        )
        self._add(
            every,
            TINY.weight * TINY.of(np.where(fibers["touches_border"], np.nan, area)),
            lambda k: f"very small: {area[k]:.0%} of the median area",
        )

    def _add_types(self, fibers: pd.DataFrame) -> None:
        if "type" not in fibers or "type_posterior" not in fibers:
            return
        kind = fibers["type"].astype(object).fillna("").astype(str).to_numpy()
        posterior = fibers["type_posterior"].to_numpy(float)
        every = np.arange(len(fibers))
        self._add(
            every,
            TYPE_POSTERIOR.weight * TYPE_POSTERIOR.of(posterior),
            lambda k: f"type {kind[k]} with a probability of {posterior[k]:.2f}",
        )
        self._add(
            every,
            np.where(kind == UNDETERMINED, NO_TYPE_WEIGHT, 0.0),
            lambda _: "the type cannot be told",
        )

    def _add_parts(self, contacts: pd.DataFrame, area: Floats) -> None:
        """Neighbors that may be parts of one fiber."""
        pairs = np.searchsorted(self._labels, contacts[["label", "neighbor"]].to_numpy(np.int64))
        gap = contacts["gap_um"].to_numpy(float)
        doubt = np.cbrt(
            SPLIT_GAP.of(gap / max(float(np.median(gap)), 1e-9))
            * SPLIT_CONTACT.of(contacts["shared_share"].to_numpy(float))
            * SPLIT_AREA.of(area[pairs].sum(axis=1))
        )
        for one, other in ((0, 1), (1, 0)):
            self._add(
                pairs[:, one],
                SPLIT_GAP.weight * doubt,
                lambda k, other=other: (  # type: ignore[misc]
                    f"may be one fiber with {self._labels[pairs[k, other]]}, {gap[k]:.1f} µm away"
                ),
                pairs[:, other],
            )
