"""Join counts: how many contacts join fibers of which types, and what chance gives.

Moments under random labeling, criteria §4.3 (Cliff & Ord 1981), written for any number of types.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Moments(NamedTuple):
    """Mean and variance of a count under a null."""

    mean: float
    variance: float

    @property
    def sd(self) -> float:
        """Standard deviation."""
        return math.sqrt(self.variance)


@dataclass(frozen=True)
class GraphCounts:
    """What the moments need to know of a graph.

    Attributes
    ----------
    n_nodes : int
        Nodes that types are dealt out to, those without an edge among them.
    n_edges : int
    n_touching : int
        Pairs of edges that share a node, A = Σ d (d - 1) / 2.
    """

    n_nodes: int
    n_edges: int
    n_touching: int

    @classmethod
    def of(cls, pairs: np.ndarray, n_nodes: int) -> GraphCounts:
        """Count.

        Parameters
        ----------
        pairs : (m, 2) array of int
            The nodes that each edge joins; every edge once.
        n_nodes : int
        """
        degree = np.bincount(np.asarray(pairs, dtype=np.int64).ravel(), minlength=n_nodes)
        return cls(n_nodes, len(pairs), int((degree * (degree - 1)).sum() // 2))

    @property
    def n_apart(self) -> int:
        """Ordered pairs of different edges that share no node."""
        return self.n_edges * (self.n_edges - 1) - 2 * self.n_touching


def count_joins(pairs: np.ndarray, codes: np.ndarray, n_types: int) -> NDArray[np.int64]:
    """Count the edges between nodes of each pair of types.

    Parameters
    ----------
    pairs : (m, 2) array of int
        Every edge once.
    codes : (n,) array of int
        Type of each node, 0 to ``n_types - 1``; edges to nodes of a negative code do not count.
    n_types : int

    Returns
    -------
    (n_types, n_types) ndarray of int
        Symmetric; the edges within a type on the diagonal.
    """
    first, second = codes[pairs[:, 0]], codes[pairs[:, 1]]
    typed = (first >= 0) & (second >= 0)
    low, high = np.minimum(first, second)[typed], np.maximum(first, second)[typed]
    counts = np.bincount(low * n_types + high, minlength=n_types**2).reshape(n_types, n_types)
    return np.asarray(counts + np.triu(counts, 1).T)


def same_type_moments(graph: GraphCounts, n: int) -> Moments:
    """Moments of the joins within a type that ``n`` nodes have, the numbers of all types fixed.

    Parameters
    ----------
    graph : GraphCounts
    n : int
        Nodes of that type.

    Returns
    -------
    Moments
        E = m n⁽²⁾ / N⁽²⁾; Var = m n⁽²⁾ / N⁽²⁾ + 2A n⁽³⁾ / N⁽³⁾ + [m (m - 1) - 2A] n⁽⁴⁾ / N⁽⁴⁾ - E²,
        with falling factorials x⁽ᵏ⁾ (criteria §4.3, non-free sampling).
    """
    same, three, four = (_ratio(_falling(n, k), graph.n_nodes, k) for k in (2, 3, 4))
    return _moments(graph, same, three, four)


def different_type_moments(graph: GraphCounts, n_a: int, n_b: int) -> Moments:
    """Moments of the joins between two types, the numbers of all types fixed.

    Parameters
    ----------
    graph : GraphCounts
    n_a, n_b : int
        Nodes of either type; the others may have further types.

    Returns
    -------
    Moments
        With two types in all those of criteria §4.3, non-free sampling. With more, two edges that
        meet in a node are both such joins with probability a b (a + b - 2) / N⁽³⁾.
    """
    join = _ratio(2 * n_a * n_b, graph.n_nodes, 2)
    meeting = _ratio(n_a * n_b * (n_a + n_b - 2), graph.n_nodes, 3)
    apart = _ratio(4 * _falling(n_a, 2) * _falling(n_b, 2), graph.n_nodes, 4)
    return _moments(graph, join, meeting, apart)


def total_different_moments(graph: GraphCounts, numbers: Sequence[int]) -> Moments:
    """Moments of all joins between different types together, the numbers of all types fixed.

    Parameters
    ----------
    graph : GraphCounts
    numbers : sequence of int
        Nodes of each type; their sum is the number of nodes of the graph.

    Returns
    -------
    Moments
        From the chances that one edge, two that meet, and two that do not join different types:
        1 - s, 1 - 2s + P(three alike), 1 - 2s + P(both edges join alike), s = Σ n⁽²⁾ / N⁽²⁾ [D].

    Raises
    ------
    ValueError
        If the numbers do not add up.
    """
    if sum(numbers) != graph.n_nodes:
        raise ValueError(f"{sum(numbers)} nodes have a type, and the graph has {graph.n_nodes}")
    size = graph.n_nodes
    twos = [_falling(n, 2) for n in numbers]
    same = _ratio(sum(twos), size, 2)
    three = _ratio(sum(_falling(n, 3) for n in numbers), size, 3)
    both = sum(_falling(n, 4) for n in numbers) + sum(twos) ** 2 - sum(two**2 for two in twos)
    return _moments(graph, 1 - same, 1 - 2 * same + three, 1 - 2 * same + _ratio(both, size, 4))


def free_same_type_moments(graph: GraphCounts, share: float) -> Moments:
    """Moments of the joins within a type that each node has with a known probability.

    Parameters
    ----------
    graph : GraphCounts
    share : float
        Probability of the type (criteria §4.3, free sampling).

    Returns
    -------
    Moments
    """
    return _moments(graph, share**2, share**3, share**4)


def free_different_type_moments(graph: GraphCounts, share_a: float, share_b: float) -> Moments:
    """Moments of the joins between two types that nodes have with known probabilities."""
    product = share_a * share_b
    return _moments(graph, 2 * product, product * (share_a + share_b), 4 * product**2)


def exact_entry(observed: float, moments: Moments) -> dict[str, float | None]:
    """Set a count against its exact moments: ``expected``, ``sd`` and ``z``, ready for JSON."""
    sd = float(moments.sd)
    z = (float(observed) - float(moments.mean)) / sd if sd > 0 else None
    return {"expected": float(moments.mean), "sd": sd, "z": z}


def _falling(n: int, k: int) -> int:
    """N (n - 1) … (n - k + 1), of whole numbers, exact."""
    return math.prod(max(n - i, 0) for i in range(k))


def _ratio(count: int, n: int, k: int) -> float:
    """Share of the ordered choices of k nodes out of n; 0 where there are none."""
    choices = _falling(n, k)
    return count / choices if choices else 0.0


def _moments(graph: GraphCounts, one: float, meeting: float, apart: float) -> Moments:
    """From the chances of one edge, of two that meet in a node, and of two that do not."""
    mean = graph.n_edges * one
    square = mean + 2 * graph.n_touching * meeting + graph.n_apart * apart
    return Moments(mean, max(square - mean**2, 0.0))
