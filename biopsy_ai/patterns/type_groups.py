"""Groups of fibers of one type: the largest connected one, and those that enclosed fibers seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.patterns.enclosed import find_enclosed

GROUP_COLUMNS = ("group", "type", "fascicle", "n_fibers", "n_enclosed", "members")
"""Columns of the table of groups, in order; see `table_of_groups`."""


def largest_groups(pairs: np.ndarray, codes: np.ndarray, n_types: int) -> NDArray[np.int64]:
    """Size of the largest connected group of each type.

    Parameters
    ----------
    pairs : (m, 2) array of int
        Every contact once.
    codes : (n,) or (n, c) array of int
        Type of each fiber, negative for none; or a column of them for each permutation.
    n_types : int

    Returns
    -------
    (n_types,) or (c, n_types) ndarray of int
        0 where no fiber has the type. A large group alone says little: random mosaics percolate
        from a share of one half on (criteria §4.5).
    """
    columns = codes[:, None] if codes.ndim == 1 else codes
    largest = np.zeros((columns.shape[1], n_types), dtype=np.int64)
    for number in range(columns.shape[1]):
        column = np.ascontiguousarray(columns[:, number])
        alike = column[pairs[:, 0]] == column[pairs[:, 1]]
        component, n_components = _components(pairs[alike], len(column))
        size = np.bincount(component, minlength=n_components)[component]
        for code in range(n_types):
            largest[number, code] = size[column == code].max(initial=0)
    return largest[0] if codes.ndim == 1 else largest


def find_core_groups(pairs: np.ndarray, enclosed: np.ndarray) -> NDArray[np.int64]:
    """Find the groups that enclosed fibers seed.

    Parameters
    ----------
    pairs : (m, 2) array of int
        Every contact once.
    enclosed : (n,) array of bool
        From `biopsy_ai.patterns.enclosed.find_enclosed`.

    Returns
    -------
    (n,) ndarray of int
        Number of the group of each fiber, from 1 by falling size; 0 in none. A group is an
        enclosed fiber with all its neighbors, and all others that share a fiber with it
        (criteria §4.5); its fibers are all of one type.
    """
    cores = pairs[enclosed[pairs].any(axis=1)]
    member = enclosed.copy()
    member[cores.ravel()] = True
    component, n_components = _components(cores, len(enclosed))
    size = np.bincount(component[member], minlength=n_components)
    first = np.full(n_components, len(enclosed))
    np.minimum.at(first, component[member], np.flatnonzero(member))
    order = np.lexsort([first, -size])
    number = np.zeros(n_components, dtype=np.int64)
    number[order] = np.arange(1, n_components + 1)
    return np.where(member, number[component], 0)


def shares_in_groups(
    pairs: np.ndarray, codes: np.ndarray, inner: np.ndarray, n_types: int
) -> NDArray[np.float64]:
    """Share of the fibers of each type that are in groups; 0 where there are none.

    Parameters
    ----------
    pairs : (m, 2) array of int
        Every contact once.
    codes : (n,) array of int
    inner : (n,) array of bool
    n_types : int

    Returns
    -------
    (n_types,) ndarray of float
    """
    enclosed = find_enclosed(pairs, codes, inner)
    member = enclosed.copy()
    member[pairs[enclosed[pairs].any(axis=1)].ravel()] = True
    grouped = np.bincount(codes[member], minlength=n_types)
    return np.asarray(grouped / np.maximum(np.bincount(codes, minlength=n_types), 1))


def table_of_groups(
    group: np.ndarray,
    enclosed: np.ndarray,
    types: Sequence[str] | np.ndarray,
    fascicles: np.ndarray,
    labels: np.ndarray,
) -> pd.DataFrame:
    """List the groups with their members.

    Parameters
    ----------
    group : (n,) array of int
        From `find_core_groups`.
    enclosed : (n,) array of bool
    types : (n,) array of str
    fascicles, labels : (n,) arrays of int

    Returns
    -------
    DataFrame
        Columns `GROUP_COLUMNS`, a row for each group; ``members`` are labels with spaces between.
    """
    fibers = pd.DataFrame(
        {"group": group, "type": types, "fascicle": fascicles, "enclosed": enclosed}
    )
    fibers["label"] = np.asarray(labels).astype(str)
    rows = [
        {
            "group": int(str(number)),
            "type": str(members["type"].iloc[0]),
            "fascicle": int(members["fascicle"].iloc[0]),
            "n_fibers": len(members),
            "n_enclosed": int(members["enclosed"].sum()),
            "members": " ".join(members["label"]),
        }
        for number, members in fibers[fibers["group"] > 0].groupby("group")
    ]
    return pd.DataFrame(rows, columns=list(GROUP_COLUMNS))


def summarize_groups(groups: pd.DataFrame, type_name: str, n_fibers: int) -> dict[str, Any]:
    """Number and sizes of the groups of a type, and how many of its fibers are in groups.

    Parameters
    ----------
    groups : DataFrame
        From `table_of_groups`.
    type_name : str
    n_fibers : int
        Fibers of the type.

    Returns
    -------
    dict
        ``n_groups``, ``mean_size``, ``max_size`` (fibers) and ``share_grouped``; None where there
        is nothing to take them from. The statistics of J Appl Physiol 2020;128:229, Table 1.
    """
    sizes = groups.loc[groups["type"] == type_name, "n_fibers"].to_numpy(float)
    return {
        "n_groups": len(sizes),
        "mean_size": float(sizes.mean()) if len(sizes) else None,
        "max_size": int(sizes.max()) if len(sizes) else None,
        "share_grouped": float(sizes.sum() / n_fibers) if n_fibers else None,
    }


def _components(pairs: np.ndarray, n: int) -> tuple[NDArray[np.int32], int]:
    """Component of each node, and how many there are."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(pairs), np.int8)
    graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    number, component = connected_components(graph, directed=False)
    return component, int(number)
