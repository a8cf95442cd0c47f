"""Statistics of a mosaic of two types, of many permutations at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.patterns.type_mosaic import TypeMosaic

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MosaicStatistics:
    """What is counted in each permutation, a row for each.

    Attributes
    ----------
    joins
        (c,) contacts between type I and type II.
    joins_without_wide
        (c,) of these, those that share no more border than a limit.
    assortativity
        (c,) float.
    enclosed
        (c, 2) enclosed fibers of type II and of type I.
    joins_by_fascicle
        (c, f) contacts between types in each fascicle, in the order of their numbers.
    """

    joins: Float
    joins_without_wide: Float
    assortativity: Float
    enclosed: Float
    joins_by_fascicle: Float

    @classmethod
    def from_columns(cls, columns: np.ndarray) -> MosaicStatistics:
        """Unpack what a `StatisticsOfMosaic` gave."""
        return cls(columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3:5], columns[:, 5:])


class StatisticsOfMosaic:
    """Count joins and enclosed fibers of many permutations of the types of a mosaic.

    The number of neighbors of type I of every fiber, a sparse product for all columns at once, is
    all that is needed.

    Parameters
    ----------
    mosaic : TypeMosaic
    wide_share : float
        Contacts longer than this share of the smaller perimeter count as wide.
    """

    def __init__(self, mosaic: TypeMosaic, wide_share: float) -> None:
        self._n_edges = len(mosaic.pairs)
        narrow = mosaic.pairs[mosaic.shared_share <= wide_share]
        self.n_wide = len(mosaic.pairs) - len(narrow)
        n = len(mosaic.labels)
        # the counts of a fiber must not overflow
        most = np.bincount(mosaic.contacts.ravel(), minlength=n).max(initial=0)
        self._dtype = np.int8 if most <= np.iinfo(np.int8).max else np.int16
        self._near = self._adjacency(mosaic.pairs, n)
        self._narrow = self._adjacency(narrow, n) if self.n_wide else None
        around = self._adjacency(mosaic.contacts, n)
        self._inner = np.flatnonzero(mosaic.inner)
        self._around = around[self._inner]
        self._degree = np.diff(self._around.indptr).astype(self._dtype)[:, None]
        self._order = np.argsort(mosaic.fascicles, kind="stable")
        by_fascicle = mosaic.fascicles[self._order]
        self._starts = np.flatnonzero(np.diff(by_fascicle, prepend=by_fascicle[:1] - 1))

    def _adjacency(self, pairs: np.ndarray, n: int) -> Any:
        from scipy.sparse import coo_array

        ends = np.concatenate([pairs, pairs[:, ::-1]])
        ones = np.ones(len(ends), self._dtype)
        return coo_array((ones, (ends[:, 0], ends[:, 1])), shape=(n, n)).tocsr()

    def __call__(self, codes: np.ndarray) -> Float:
        """Measure (n, c) codes, 1 for type I and 0 for type II; unpack with `MosaicStatistics`."""
        near = self._near @ codes
        ends = near.sum(axis=0, dtype=np.int64)
        different = near * (1 - codes)
        by_fascicle = np.add.reduceat(
            different.take(self._order, axis=0), self._starts, axis=0, dtype=np.int64
        )
        joins = by_fascicle.sum(axis=0)
        without_wide = joins
        if self._narrow is not None:
            without_wide = (self._narrow @ codes * (1 - codes)).sum(axis=0, dtype=np.int64)
        share = ends / max(2 * self._n_edges, 1)
        spread = 2 * self._n_edges * share * (1 - share)
        lack = np.divide(joins, spread, out=np.full(len(joins), np.nan), where=spread > 0)
        around, own = self._around @ codes, codes[self._inner] == 1
        type_i = np.count_nonzero(own & (around == self._degree), axis=0)
        type_ii = np.count_nonzero(~own & (around == 0), axis=0)
        return np.column_stack([joins, without_wide, 1 - lack, type_ii, type_i, by_fascicle.T])
