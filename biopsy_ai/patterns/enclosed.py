"""Enclosed fibers: those whose neighbors are all of their own type, and how many chance gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.patterns.join_counts import Moments


def find_enclosed(pairs: np.ndarray, codes: np.ndarray, inner: np.ndarray) -> NDArray[np.bool_]:
    """Find the fibers that only fibers of their own type surround.

    Parameters
    ----------
    pairs : (m, 2) array of int
        Every contact once.
    codes : (n,) array of int
        Type of each fiber, negative for none.
    inner : (n,) array of bool
        Fibers all of whose sides are seen; no other can be enclosed.

    Returns
    -------
    (n,) ndarray of bool
    """
    differ = codes[pairs[:, 0]] != codes[pairs[:, 1]]
    met = np.zeros(len(codes), dtype=bool)
    met[pairs[differ].ravel()] = True
    return np.asarray(inner & (codes >= 0) & ~met)


@dataclass(frozen=True, eq=False)
class Neighborhoods:
    """Sizes of the inner fibers with their neighbors, as far as moments need them.

    Attributes
    ----------
    n_nodes : int
        Fibers that types are dealt out to.
    sizes : (s,) ndarray of int
        Inner fibers by the number of fibers that they and their neighbors are.
    unions : (u,) ndarray of int
        Ordered pairs of inner fibers, each with itself too, by the number of fibers that both and
        the neighbors of both are.
    """

    n_nodes: int
    sizes: NDArray[np.int64]
    unions: NDArray[np.int64]

    @classmethod
    def of(cls, pairs: np.ndarray, n_nodes: int, inner: np.ndarray) -> Neighborhoods:
        """Count.

        Parameters
        ----------
        pairs : (m, 2) array of int
            Every contact once.
        n_nodes : int
        inner : (n_nodes,) array of bool

        Notes
        -----
        Only fibers at most two contacts apart share a neighbor: their unions come from the
        product of the sparse adjacency with itself, all others from the numbers of each size.
        """
        from scipy.sparse import coo_array

        rows = np.concatenate([pairs[:, 0], pairs[:, 1], np.arange(n_nodes)])
        columns = np.concatenate([pairs[:, 1], pairs[:, 0], np.arange(n_nodes)])
        ones = np.ones(len(rows), np.int32)
        closed = coo_array((ones, (rows, columns)), shape=(n_nodes, n_nodes)).tocsr()
        closed = closed[np.flatnonzero(inner)]
        size = np.diff(closed.indptr).astype(np.int64)
        sizes = np.bincount(size)
        shared = (closed @ closed.T).tocoo()
        low, high = size[shared.row], size[shared.col]
        unions = np.convolve(sizes, sizes) if len(size) else np.zeros(1, np.int64)
        unions = unions - np.bincount(low + high, minlength=len(unions))
        unions = unions + np.bincount(low + high - shared.data, minlength=len(unions))
        return cls(n_nodes, sizes, unions)

    def moments(self, n: int) -> Moments:
        """Mean and variance of the enclosed fibers of a type that ``n`` fibers have.

        Parameters
        ----------
        n : int

        Returns
        -------
        Moments
            E = Σ q(|N|), Var = ΣΣ q(|N ∪ N'|) - E², with q(k) = Π (n - i) / (n_nodes - i), the
            chance that k given fibers are all of the type (criteria §4.2), exact.
        """
        steps = np.arange(max(len(self.sizes), len(self.unions)) - 1)
        left = np.maximum(self.n_nodes - steps, 1)
        alike = np.concatenate([[1.0], np.cumprod(np.maximum(n - steps, 0) / left)])
        mean = float(self.sizes @ alike[: len(self.sizes)])
        square = float(self.unions @ alike[: len(self.unions)])
        return Moments(mean, max(square - mean**2, 0.0))


def hexagonal_expectation(n_inner: int, share: float) -> float:
    """Enclosed fibers expected if each had six neighbors and types were drawn independently.

    The approximation of Jennekens 1971 and Johnson 1973, n p⁷ (criteria §4.2).
    """
    return float(n_inner * share**7)
