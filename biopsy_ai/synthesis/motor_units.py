"""Motor units on a neighbor graph: how they are laid out, lost, and taken over by their neighbors.

The fibers of a motor unit are of one type and lie scattered among those of other units. When a
motor neuron dies, its fibers lose their nerve; some are captured by a sprout of the unit of a
neighbor and take that unit's type, the rest stay atrophic. One loss after another turns the mosaic
of types into groups.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.errors import ConfigError

Pairs = NDArray[np.integer]
"""(m, 2) rows of fibers that lie side by side, each pair once."""

_AT_ONCE = 4096
"""Fibers whose units are drawn together."""


def grow_motor_units(
    pairs: Pairs,
    n: int,
    n_units: int,
    type1_share: float,
    rng: np.random.Generator,
    *,
    reach: float | None = None,
    type1_odds: NDArray[np.floating] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Give every fiber a motor unit.

    Parameters
    ----------
    pairs : (m, 2) ndarray of int
        Neighbors; they decide how far apart fibers are, and nothing where `reach` is None.
    n
        Number of fibers.
    n_units
        Number of units.
    type1_share
        Expected share of the fibers that are of type 1, 0..1. Of the units the nearest whole
        number is of type 1, at least one of each type that occurs.
    rng
        Where chance comes from.
    reach
        Size of a territory: a unit takes fibers around a random one with a weight that falls off
        like a normal density with this standard deviation, counted in fibers along `pairs`.
        None: every unit reaches everywhere.
    type1_odds : (n,) ndarray of float, optional
        Factor on the odds that a fiber belongs to a unit of type 1.

    Returns
    -------
    units : (n,) ndarray of int64
        Unit of each fiber, 0..n_units - 1. A unit may have no fiber.
    is_type1 : (n_units,) ndarray of bool
        Which units are of type 1; ``is_type1[units]`` are the types of the fibers.

    Raises
    ------
    ConfigError
        If there is no unit, a share lies outside 0..1, or `reach` is not positive.
    """
    _check_share("type1_share", type1_share)
    if n_units < 1:
        raise ConfigError(f"n_units={n_units}: at least one motor unit is needed")
    if reach is not None and not reach > 0:
        raise ConfigError(f"reach={reach}: a territory must reach further than 0 fibers")
    n_type1 = round(n_units * type1_share)
    if n_units > 1 and 0 < type1_share < 1:
        n_type1 = min(max(n_type1, 1), n_units - 1)
    is_type1 = np.zeros(n_units, dtype=bool)
    is_type1[rng.permutation(n_units)[:n_type1]] = True
    # the units of a type share its fibers, so that rounding the number of units shifts nothing
    weight = np.full(n_units, 1.0)
    if 0 < n_type1 < n_units:
        weight = np.where(is_type1, type1_share / n_type1, (1 - type1_share) / (n_units - n_type1))
    away = None
    if reach is not None and n:
        away = _steps_from(rng.integers(n, size=n_units), pairs, n) / reach
    odds = np.ones(n) if type1_odds is None else np.asarray(type1_odds, dtype=float)
    drawn = rng.random(n)
    units = np.empty(n, dtype=np.int64)
    for start in range(0, n, _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        chance = weight * np.where(is_type1, odds[some, None], 1.0)
        if away is not None:
            near = np.exp(-0.5 * away[some] ** 2)
            # a fiber that no territory reaches belongs to any unit
            chance = chance * np.where(near.sum(1, keepdims=True) > 1e-12, near, 1.0)
        upto = np.cumsum(chance, axis=1)
        units[some] = (upto <= (drawn[some] * upto[:, -1])[:, None]).sum(axis=1)
    return np.minimum(units, n_units - 1), is_type1


def denervate(
    pairs: Pairs,
    units: NDArray[np.integer],
    lost: float,
    capture: float,
    rng: np.random.Generator,
    *,
    n_units: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Take motor units away one after another, and let neighbors capture their fibers.

    Each fiber of a lost unit, its own and those it had captured, is captured with a set chance by
    the unit of a random neighbor that is innervated by another unit at that moment. A fiber that
    is not captured, or has no such neighbor, stays atrophic for good.

    Parameters
    ----------
    pairs : (m, 2) ndarray of int
        Neighbors between which nerves can sprout.
    units : (n,) ndarray of int
        Unit of each fiber, from 0.
    lost
        Share of the units that are lost, 0..1.
    capture
        Chance that an orphan fiber is captured, 0..1.
    rng
        Where chance comes from.
    n_units
        Number of units; by default the highest in `units` plus one.

    Returns
    -------
    units : (n,) ndarray of int64
        Unit of each fiber afterwards; of an atrophic fiber the last that it had.
    atrophic : (n,) ndarray of bool
        Fibers without a nerve.

    Raises
    ------
    ConfigError
        If a share lies outside 0..1.
    """
    _check_share("lost", lost)
    _check_share("capture", capture)
    now = np.array(units, dtype=np.int64)
    atrophic = np.zeros(len(now), dtype=bool)
    if n_units is None:
        n_units = int(now.max(initial=-1)) + 1
    pairs = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    to, of = np.concatenate([pairs, pairs[:, ::-1]]).T
    for unit in rng.permutation(n_units)[: round(lost * n_units)]:
        orphan = (now == unit) & ~atrophic
        reached = orphan & (rng.random(len(now)) < capture)
        offers = np.flatnonzero(reached[to] & ~orphan[of] & ~atrophic[of])
        offers = offers[rng.permutation(len(offers))]
        captured, first = np.unique(to[offers], return_index=True)
        atrophic |= orphan
        atrophic[captured] = False
        now[captured] = now[of[offers[first]]]
    return now, atrophic


def _steps_from(sources: NDArray[np.integer], pairs: Pairs, n: int) -> NDArray[np.float64]:
    """(n, sources) number of steps between fibers along the pairs; infinite where none lead."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import dijkstra

    first, second = np.asarray(pairs, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(n, n)).tocsr()
    steps: NDArray[np.float64] = dijkstra(graph, directed=False, indices=sources, unweighted=True)
    return steps.T


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"{name}={value}: a share lies between 0 and 1")
